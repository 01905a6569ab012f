"""What is said of a run: what it is about, and how it went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from altmin.cli.screen import Screen
from altmin.data import Dataset
from altmin.study.description import DESCRIPTION
from altmin.study.model_source import ModelSource
from altmin.study.run import Run, TrainedRun
from altmin.study.saved_network import ENCODER, SOURCE, WEIGHTS
from altmin.study.setup import Setup

if TYPE_CHECKING:
    from altmin.data import TableEncoder


def tell(dataset: Dataset, screen: Screen) -> None:
    """Print what is trained on, and what each column of a table was taken for."""
    screen.say(about(dataset))
    if dataset.encoder is not None:
        screen.say(f"columns: {'; '.join(column_lines(dataset.encoder))}")


def column_lines(encoder: TableEncoder) -> list[str]:
    """What each column was taken for; four or more alike, one after the other, are one line."""
    lines: list[str] = []
    for about, alike in groupby((*encoder.columns, encoder.target), key=lambda column: column.about):
        names = [column.name for column in alike]
        whole = f"{names[0]} to {names[-1]} ({len(names)} columns): {about}"
        lines += [whole] if len(names) > 3 else [f"{name}: {about}" for name in names]
    return lines


def about(dataset: Dataset) -> str:
    """What is trained, validated and tested on."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = ", ".join(f"{len(split):,} {name}" for name, split in parts.items())
    kind = f"{dataset.outputs} numbers to predict" if dataset.classes is None else f"{len(dataset.classes)} classes"
    note = f" ({dataset.note})" if dataset.note else ""
    return f"{dataset.name}: {counts} samples, {dataset.features} features, {kind}{note}"


def network_files(setup: Setup) -> str:
    """The files of a network, in words."""
    own = f", {SOURCE}" if isinstance(setup.network.model, ModelSource) else ""
    own += f", {ENCODER}" if setup.network.encoder is not None else ""
    return f"{DESCRIPTION}{own} and {WEIGHTS}"


def tabulate(runs: Sequence[Run], screen: Screen) -> None:
    """Print a comparison: a row for each run."""
    if not runs:
        return
    screen.result(f"{_task(runs[0])}, {_unit(*runs)}; kept: the iteration whose weights were kept, of all;")
    screen.result("last: on test, by the last iteration's weights; s: of training, evaluation not counted")
    units = ["R^2", "RMSE"] if _regression(*runs) else []
    columns = ["method", "loss", "kept", "train", "valid.", "test", "last", *units, "s", "CPU s", "status"]
    screen.table(columns, [_row(run.result, units) for run in runs], left=2)


def _row(result: dict[str, Any], units: Sequence[str]) -> list[str]:
    kept = f"{result['kept_iteration'] or '-'}/{result['iterations']}"
    figures = [_figure(result, name) for name in ("train", "validation", "test", "last_test")]
    times = [f"{result[name]:.2f}" for name in ("seconds", "cpu_seconds")]
    regression = _quality(result, "test") if units else []
    return [result["method"], result["loss"], kept, *figures, *regression, *times, result["status"]]


def _quality(result: dict[str, Any], name: str) -> list[str]:
    """R^2 and RMSE of a regression."""
    r2, rmse = result[f"{name}_r2"], result[f"{name}_rmse"]
    return ["-" if r2 is None else f"{r2:.4f}", "-" if rmse is None else f"{rmse:.4g}"]


def report(done: TrainedRun, screen: Screen) -> None:
    """Print what became of one run: the weights kept and the last ones."""
    result, parts = done.result, ("train", "validation", "test")
    ended = f"{result['status']}, {result['iterations']} of {result['epochs']} iterations"
    times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s"
    screen.result(f"{_task(done)}, {done.name}, {result['loss']}: {ended}, {times}; {_unit(done)}")
    kept = "best on validation" if result["keep"] == "best" else "kept"
    rows = [(kept, result["kept_iteration"], ""), ("last", result["iterations"], "last_")]
    figures = [[name, str(i or "-"), *(_figure(result, prefix + part) for part in parts)] for name, i, prefix in rows]
    units = ["test R^2", "test RMSE"] if _regression(done) else []
    for line, (_, _, prefix) in zip(figures, rows, strict=True):
        line += _quality(result, f"{prefix}test") if units else []
    screen.table(["weights", "iteration", *parts, *units], figures)


def _task(run: Run) -> str:
    """Data and network, such as ``mnist, residual 784-19x100-10``."""
    runs = [(width, len(list(same))) for width, same in groupby(run.result["widths"])]
    widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
    model = "" if run.result["model"] == "mlp" else f"{run.result['model']} "
    return f"{run.result['data']}, {model}{widths}"


def _unit(*runs: Run) -> str:
    return "loss" if _regression(*runs) else "accuracy in %"


def _regression(*runs: Run) -> bool:
    return all(run.result["train_accuracy"] is None for run in runs)


def _figure(result: dict[str, Any], name: str) -> str:
    """A percentage; for regression a loss."""
    accuracy, loss = result[f"{name}_accuracy"], result[f"{name}_loss"]
    if accuracy is not None:
        return f"{100 * accuracy:.2f}"
    return "-" if loss is None else f"{loss:.4g}"
