"""How one training went, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

if TYPE_CHECKING:
    from altmin.train.history import Record

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#7F7F7F")
"""Of Okabe and Ito, told apart with any colour vision; grey for their yellow, which is faint on white."""
DASHES = ("-", "--", "-.", ":")
PARTS = "train", "validation", "test"

Curves = dict[str, Sequence[float | None]]


def draw(rows: Sequence[Record]) -> Figure:
    """A panel each for the objective and its terms, losses, accuracies, metrics, and residuals, as far as recorded.

    Args:
        rows: Records with dotted names for what was nested.
    """
    iterations = [row["iteration"] for row in rows]
    drawn = {title: known for title, curves in _panels(rows).items() if (known := _known(curves))}
    figure = Figure(figsize=(4.2 * len(drawn), 3.6), layout="constrained")
    panels = figure.subplots(1, len(drawn), squeeze=False)[0]
    for axes, (title, curves) in zip(panels, drawn.items(), strict=True):
        _fill(axes, title, iterations, curves)
    return figure


def _panels(rows: Sequence[Record]) -> dict[str, Curves]:
    """The curves of each panel by name."""
    names = list(dict.fromkeys(name for row in rows for name in row))

    def column(name: str) -> list[float | None]:
        return [row.get(name) for row in rows]

    def nested(prefix: str) -> Curves:
        return {name.removeprefix(prefix): column(name) for name in names if name.startswith(prefix)}

    return {
        "objective": {"objective": column("objective")} | nested("terms."),
        "loss, mean over samples": {part: column(f"{part}_loss") for part in PARTS},
        "accuracy": {part: column(f"{part}_accuracy") for part in PARTS},
        "metrics": nested("metrics."),
        "residuals and gap": nested("residuals.") | {"gap": column("gap")},
    }


def _known(curves: Curves) -> Curves:
    """The curves that have anything to draw: a term that is always zero has not."""
    return {name: curve for name, curve in curves.items() if any(v and np.isfinite(v) for v in curve)}


def _fill(axes: Axes, title: str, iterations: Sequence[int], curves: Curves) -> None:
    for i, (name, curve) in enumerate(curves.items()):
        values = [np.nan if v is None else v for v in curve]
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[(i + i // len(COLOURS)) % len(DASHES)],
        }
        axes.plot(iterations, values, label=name, marker="." if len(values) == 1 else "", **style)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("iteration")
    axes.grid(alpha=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if title not in ("accuracy", "metrics") and spans_a_decade(axes):
        axes.set_yscale("log")
    if len(curves) > 1:
        axes.legend(frameon=False, fontsize="small")


def spans_a_decade(axes: Axes) -> bool:
    """Whether curves reach over a factor of ten: over less a logarithmic axis shows nothing more, and lacks labels."""
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.empty(0)])
    positive = drawn[np.isfinite(drawn) & (drawn > 0)]
    return len(positive) > 0 and positive.max() >= 10 * positive.min()


def plain(axis: Axis) -> None:
    """Label a logarithmic axis at 1, 2, 5, 10, ... instead of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
