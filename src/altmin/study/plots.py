"""How methods compare, as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from altmin.files import replacing
from altmin.study.run import Run, by_name
from altmin.study.summary import caption
from altmin.train.picture import COLOURS, DASHES, draw, plain, spans_a_decade

LETTERS = 135  # of a line above the panels
BANDS = 6  # methods whose bands can be told apart
WORDS = {"train": "training", "validation": "validation"}
PERCENT = (0, 50, 80, 90, 95, 97, 98, 99, 100)


def plot(runs: Sequence[Run], path: Path) -> None:
    """Write a picture with a curve for each method: validation by epoch, and by CPU seconds; test in the legend.

    Of several seeds it is the mean, up to where the first of them ended, and of few methods in a band of a standard
    deviation. Where no sample is held out for validation, curves are of the samples that were trained on. A dot is at
    the weights kept.
    """
    figure, regression = Figure(figsize=(12, 5), layout="constrained"), all(_accuracy(run) is None for run in runs)
    panels = figure.subplots(1, 2, sharey=True)
    part = "validation" if any(row["validation_loss"] for run in runs for row in run.curve) else "train"
    groups, kind = by_name(runs), "loss" if regression else "accuracy"
    lines = [_draw(panels, i, group, f"{part}_{kind}", len(groups) <= BANDS) for i, group in enumerate(groups)]
    _label(panels, WORDS[part], regression)
    seeds = max(map(len, groups))
    bands = "; bands: a standard deviation each way" if len(groups) <= BANDS else ""
    means = "" if seeds == 1 else f" Means of {seeds} seeds{bands}."
    differing = caption(runs) if len(groups) > 1 else ""
    note = textwrap.fill(f"Dots: the weights kept.{means} {differing.capitalize()}", LETTERS, break_on_hyphens=False)
    figure.suptitle(note, fontsize="small", x=0.02, ha="left")
    figure.legend(handles=lines, loc="outside right upper", title=f"method, test {kind}", frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)


def plot_training(run: Run, path: Path) -> None:
    """Write a picture of one training: objective and terms, losses, accuracies, residuals, as far as recorded.

    Of a run without records there is none.
    """
    if not run.curve:
        return
    rows = [{name: None if cell in (None, "") else _number(cell) for name, cell in row.items()} for row in run.curve]
    with replacing(path) as part:
        draw(rows).savefig(part, format="png", dpi=110)


def _number(cell: Any) -> Any:
    """A figure, which files have as text; a name stays as it is."""
    try:
        return float(cell)
    except ValueError:
        return cell


def _draw(panels: Sequence[Axes], i: int, runs: Sequence[Run], figure: str, band: bool) -> Line2D:
    """One method's `figure` in both panels; no two of 32 methods share colour and dashes."""
    colour, dashes = COLOURS[i % len(COLOURS)], DASHES[(i + i // len(COLOURS)) % len(DASHES)]
    style: dict[str, Any] = {"color": colour, "linestyle": dashes, "linewidth": 1.6}
    regression = figure.endswith("loss")
    trained = [run for run in runs if run.result["kept_iteration"] is not None]
    factor = 1.0 if regression else 100.0
    for axes, name in zip(panels, ("iteration", "elapsed_cpu_seconds"), strict=True):
        if trained:
            x, _ = _spread([_column(run, name) for run in trained])
            mean, spread = _spread([[factor * value for value in _column(run, figure)] for run in trained])
            axes.plot(x, mean, **style)
            at, _ = _spread([[_at_kept(run, name), factor * _at_kept(run, figure)] for run in trained])
            axes.scatter(*at, color=colour, s=45, edgecolor="white", zorder=3, clip_on=False)
            if band and len(runs) > 1:
                axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, linewidth=0)
    return Line2D([], [], label=_name(runs, regression), **style)


def _spread(columns: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations at each place that all columns have."""
    rows = np.array([column[: min(map(len, columns))] for column in columns])
    return rows.mean(0), rows.std(0, ddof=1) if len(rows) > 1 else np.zeros(rows.shape[1])


def _at_kept(run: Run, name: str) -> float:
    """A column's value in the record of the iteration whose weights were kept, or the first one behind it."""
    places = _column(run, "iteration")
    kept = next((i for i, place in enumerate(places) if place >= run.result["kept_iteration"]), -1)
    return _column(run, name)[kept]


def _accuracy(run: Run) -> float | None:
    """That on the test set in percent, where it is known."""
    accuracy = run.result["test_accuracy"]
    return None if accuracy is None else 100 * accuracy


def _column(run: Run, name: str) -> list[float]:
    return [float(row[name]) for row in run.curve]


def _name(runs: Sequence[Run], regression: bool) -> str:
    """What the legend says of a method: its test figure, and how training ended where that was not well."""
    tests = [run.result["test_loss"] if regression else _accuracy(run) for run in runs]
    known = [[value] for value in tests if value is not None]
    (test,), (deviation,) = _spread(known or [[nan]])
    form, unit = (".4g", "") if regression else (".1f", "%")
    spread = f" ± {deviation:{form}}" if len(known) > 1 else ""
    figure = f"{test:{form}}{spread}{unit}" if known else ""
    statuses = dict.fromkeys(run.result["status"] for run in runs)
    return f"{runs[0].name}  {figure}" + ("" if list(statuses) == ["ok"] else f" ({', '.join(statuses)})")


def _label(panels: Sequence[Axes], part: str, regression: bool) -> None:
    for axes, text in zip(panels, ("epoch (full-batch methods: iteration)", "CPU seconds of training"), strict=True):
        axes.set_xlabel(text)
        axes.grid(alpha=0.3)
        if axes.has_data():
            axes.set_xscale("log")
            plain(axes.xaxis)
    panels[0].set_ylabel(f"{part} loss" if regression else f"{part} accuracy (%)")
    if not regression:
        _widen(panels[0])
    elif spans_a_decade(panels[0]):
        panels[0].set_yscale("log")
        plain(panels[0].yaxis)


def _widen(axes: Axes) -> None:
    """Give room to accuracies near 100%, where curves meet: equal steps are equal factors of the error (and 1%)."""
    axes.set_yscale("function", functions=(lambda a: -np.log(101 - np.minimum(a, 100.9)), lambda e: 101 - np.exp(-e)))
    axes.yaxis.set_major_locator(FixedLocator(PERCENT))
    axes.yaxis.set_minor_locator(NullLocator())
    most = axes.dataLim.y1 if axes.has_data() else 0
    axes.set_ylim(top=next((percent for percent in PERCENT if percent > most), 100))
