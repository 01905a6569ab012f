"""What is said of a run: what it is about, and how it went."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from altmin.cli.screen import Screen, objective_of
from altmin.data import Dataset
from altmin.study.comparison_table import costs, reached, task, unit
from altmin.study.description import DESCRIPTION
from altmin.study.model_source import ModelSource
from altmin.study.run import Run, TrainedRun
from altmin.study.saved_network import ENCODER, SOURCE, WEIGHTS
from altmin.study.setup import Setup
from altmin.study.summary import regression
from altmin.train.history import History

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
    """Print what each method reaches, and what that costs."""
    for found in (reached(runs), costs(runs)) if runs else ():
        screen.result(found.title)
        screen.table(found.columns, found.rows, left=2)
        for note in found.notes:
            screen.result(note)


def report(done: TrainedRun, screen: Screen) -> None:
    """Print what became of one run: the weights kept and the last ones."""
    result, parts = done.result, ("train", "validation", "test")
    ended = f"{result['status']}, {result['iterations']} of {result['epochs']} iterations"
    times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s"
    screen.result(f"{task(done)}, {done.name}, {result['loss']}: {ended}, {times}; {unit(done)}")
    kept = "best on validation" if result["keep"] == "best" else "kept"
    last = done.history.records[-1] if done.history.records else {}
    rows = [
        (kept, result["kept_iteration"], "", result["gap"]),
        ("last", result["iterations"], "last_", last.get("gap")),
    ]
    units = ["test R^2", "test RMSE"] if regression([done]) else []
    figures = [
        [
            *(name, str(i or "-"), _cell(result[f"{prefix}train_loss"], ".4g"), _cell(gap, ".2g")),
            *(_figures(result, prefix + part) for part in parts),
            *(_quality(result, f"{prefix}test") if units else []),
        ]
        for name, i, prefix, gap in rows
    ]
    screen.table(["weights", "iteration", "loss", "gap", *parts, *units], figures)
    if screen.objective and last:
        screen.result(f"in the end {objective_of(last)}")
    for text in _theory(done.history):
        screen.result(text)


def _theory(history: History) -> Iterator[str]:
    """How near training came to a stationary point, and how often the papers' inequalities held; where it is known."""
    last = history.records[-1] if history.records else {}
    if "relative_stationarity" in last:
        yield f"relative stationarity in the end: {last['relative_stationarity']:.3g}"
    for name in last.get("holds", ()):
        found = [record["holds"].get(name) for record in history.records]
        claimed = [held for held in found if held is not None]
        where = f"in {sum(claimed)} of {len(claimed)} records" if claimed else "not claimed with these numbers"
        yield f"{name}: {'held ' if claimed else ''}{where}"


def _quality(result: dict[str, Any], name: str) -> list[str]:
    """R^2 and RMSE of a regression."""
    return [_cell(result[f"{name}_{what}"], form) for what, form in (("r2", ".4f"), ("rmse", ".4g"))]


def _figures(result: dict[str, Any], name: str) -> str:
    """A percentage; for regression a loss."""
    accuracy = result[f"{name}_accuracy"]
    return _cell(result[f"{name}_loss"], ".4g") if accuracy is None else f"{100 * accuracy:.2f}"


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"
