"""Draw an exhibit in its paper's layout: curves by data set, or a table with two entries as lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from altmin.exhibits.exhibit import Curves, Exhibit, Grid, title
from altmin.exhibits.outcomes import Curve, Outcomes
from altmin.files import replacing
from altmin.train.picture import COLOURS, DASHES, spans_a_decade

WORDS = {
    "iteration": "iteration",
    "elapsed_cpu_seconds": "CPU seconds",
    "objective": "objective",
    "mean_objective": "objective a sample",
    "train_accuracy": "training accuracy (%)",
    "test_accuracy": "test accuracy (%)",
    "train_loss": "training loss",
    "test_loss": "test loss",
    "residuals.E_3": "residual of the constraint",
    "zero_weights": "share of weights that are zero",
}
PERCENT = 100.0
LETTERS = 12  # of the title, an inch
GAP = 0.1  # around a panel, in inches


def draw(exhibit: Exhibit, outcomes: Outcomes, note: str, path: Path) -> None:
    """Write the picture of an exhibit.

    Args:
        exhibit: Says how it is drawn.
        outcomes: What is drawn: the mean over the seeds, and in a paler tone from the least to the largest.
        note: A line below the title.
        path: A PNG file.
    """
    picture = exhibit.picture
    columns = len(picture.figures) * len(picture.by) if isinstance(picture, Curves) else 1
    rows = len(outcomes.panels)
    shape = (rows, columns) if columns > 1 else (1, rows)
    layout = ConstrainedLayoutEngine(w_pad=GAP, h_pad=GAP)  # labels keep off the panels beside them
    figure = Figure(figsize=(1.5 + 4.2 * shape[1], 0.9 + 3.3 * shape[0]), layout=layout)
    axes = figure.subplots(*shape, squeeze=False)
    if isinstance(picture, Curves):
        handles = _curves(picture, exhibit, outcomes, axes.reshape(rows, columns))
    else:
        handles = _grid(picture, exhibit, outcomes, axes.reshape(rows))
    figure.legend(handles=handles, loc="outside right center", frameon=False, fontsize="small")
    lines = f"{exhibit.paper}, {exhibit.place}: {exhibit.title}", note
    width = round(LETTERS * figure.get_figwidth())
    figure.suptitle("\n".join(textwrap.fill(line, width) for line in lines), fontsize="medium")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=110)


def _curves(picture: Curves, exhibit: Exhibit, outcomes: Outcomes, axes: np.ndarray) -> list[Line2D]:
    """A row for each panel of the exhibit, a column for each figure by each axis."""
    kinds = [(figure, by) for figure in picture.figures for by in picture.by]
    for row, panel in zip(axes, outcomes.panels, strict=True):
        for ax, (figure, by) in zip(row, kinds, strict=True):
            for i, arm in enumerate(outcomes.arms):
                _curve(ax, outcomes.curve(panel, arm, by), outcomes.curve(panel, arm, figure), figure, _style(i))
            ax.set_title(panel, fontsize="small")
            ax.set_xlabel(picture.unit if by == "iteration" else WORDS.get(by, by))
            ax.set_ylabel(WORDS.get(figure, figure))
            ax.grid(alpha=0.3)
            if by == "iteration":
                ax.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
            if figure in picture.log and spans_a_decade(ax):
                ax.set_yscale("log", nonpositive="mask")
    return [Line2D([], [], label=title(arm), **_style(i)) for i, arm in enumerate(outcomes.arms)]


def _style(i: int) -> dict[str, Any]:
    """No two of 32 curves share colour and dashes."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": DASHES[(i // len(COLOURS)) % len(DASHES)],
        "linewidth": 1.5,
    }


def _curve(ax: Axes, xs: Sequence[Curve], ys: Sequence[Curve], figure: str, style: dict[str, Any]) -> None:
    """One arm's mean over the seeds, and its spread; where a training ended early, so do both."""
    length = min(map(len, ys), default=0)
    if length == 0:
        return
    factor = PERCENT if figure.endswith("accuracy") else 1.0
    x = np.mean([curve[:length] for curve in xs], axis=0)
    y = factor * np.asarray([curve[:length] for curve in ys])
    ax.plot(x, y.mean(0), **style, marker="o" if length == 1 else None)
    if len(y) > 1:
        ax.fill_between(x, y.min(0), y.max(0), color=style["color"], alpha=0.15, linewidth=0)


def _grid(picture: Grid, exhibit: Exhibit, outcomes: Outcomes, axes: np.ndarray) -> list[Line2D]:
    """A line for each row over the columns; the paper's numbers dashed."""
    pairs = [arm for arm in outcomes.arms if isinstance(arm, tuple)]
    rows, columns = (list(dict.fromkeys(pair[i] for pair in pairs)) for i in (0, 1))
    for ax, panel in zip(axes, outcomes.panels, strict=True):
        printed = exhibit.printed.get(panel, {})
        for i, row in enumerate(rows):
            colour = COLOURS[i % len(COLOURS)]
            ours = [outcomes.mean(panel, (row, column), picture.measure) for column in columns]
            paper = [printed.get((row, column), {}).get(picture.measure) for column in columns]
            ax.plot(columns, ours, color=colour, marker="o", markersize=4)
            if any(value is not None for value in paper):
                ax.plot(columns, [np.nan if v is None else v for v in paper], color=colour, linestyle="--", alpha=0.6)
        ax.set_title(panel, fontsize="small")
        ax.set_xlabel(picture.columns)
        ax.set_ylabel(picture.measure)
        if spans_a_decade(ax):
            ax.set_yscale("log", nonpositive="mask")
        ax.grid(alpha=0.3)
    named = [
        Line2D([], [], color=COLOURS[i % len(COLOURS)], label=f"{picture.rows} {row}") for i, row in enumerate(rows)
    ]
    return [*named, Line2D([], [], color="grey", linestyle="--", label="paper")]
