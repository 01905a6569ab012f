"""How methods compare, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import ScalarFormatter

from altmin.checkpoint import replacing
from altmin.runs import Run

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
"""Of Okabe and Ito, told apart with any colour vision; without their yellow, which is faint on white."""
DASHES = ("-", "--", "-.", ":")


def plot(runs: Sequence[Run], path: Path) -> None:
    """Write a picture with a curve for each run: validation by epoch, and by CPU seconds; test as a dot."""
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    by_epoch, by_seconds = figure.subplots(1, 2, sharey=True)
    lines = [_draw(by_epoch, by_seconds, i, run) for i, run in enumerate(runs)]
    _label(by_epoch, by_seconds, runs)
    figure.legend(handles=lines, loc="outside right upper", frameon=False)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=150)


def _draw(by_epoch: Axes, by_seconds: Axes, i: int, run: Run) -> Line2D:
    """One run in both panels; no two of 28 runs share colour and dashes."""
    style = dict(color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i % len(DASHES)], linewidth=1.6)
    values, test = _quality(run)
    epochs, seconds = run.history["iteration"], list(accumulate(run.history["cpu_seconds"]))
    kept = run.result["kept_iteration"]
    for axes, x in ((by_epoch, epochs), (by_seconds, seconds)):
        axes.plot(x, values, **style)
        if kept is not None:
            axes.plot(x[kept - 1], test, "o", color=style["color"], markersize=6, markeredgecolor="white")
    return Line2D([], [], label=_name(run, test), **style)


def _quality(run: Run) -> tuple[list[float], float]:
    """Validation by iteration and test of the kept weights: accuracies in percent, losses for regression."""
    if run.result["test_accuracy"] is None:
        return run.history["validation_loss"], run.result["test_loss"]
    return [100 * a for a in run.history["validation_accuracy"]], 100 * run.result["test_accuracy"]


def _name(run: Run, test: float) -> str:
    figure = f"{test:.4g}" if run.result["test_accuracy"] is None else f"{test:.1f}%"
    return f"{run.name}  {figure}" + ("" if run.result["status"] == "ok" else f" ({run.result['status']})")


def _label(by_epoch: Axes, by_seconds: Axes, runs: Sequence[Run]) -> None:
    regression = runs[0].result["test_accuracy"] is None
    by_epoch.set_ylabel("loss" if regression else "accuracy (%)")
    by_epoch.set_xlabel("epoch (full-batch methods: iteration)")
    by_seconds.set_xlabel("CPU seconds of training")
    by_epoch.set_title("Lines: validation. Dots: test, of the weights kept.", loc="left", fontsize="medium")
    if regression:
        by_epoch.set_yscale("log")
    for axes in (by_epoch, by_seconds):
        axes.grid(alpha=0.3)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
