"""What is said of a run: what it is about, and how it went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from altmin.cli.screen import Screen
from altmin.data import Dataset
from altmin.study.description import DESCRIPTION
from altmin.study.model_source import ModelSource
from altmin.study.run import Run, TrainedRun, by_name
from altmin.study.saved_network import ENCODER, SOURCE, WEIGHTS
from altmin.study.setup import Setup
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
    """Print a comparison: a row for each method, with means and standard deviations where it has several seeds."""
    if not runs:
        return
    groups = by_name(runs)
    several = any(len(group) > 1 for group in groups)
    screen.result(f"{_task(runs[0])}, {_unit(*runs)}; kept: the iteration whose weights were kept, of all;")
    screen.result("last: on test, by the last iteration's weights; s: of training, evaluation not counted")
    if several:
        screen.result(f"{_seeds(runs)}: means ± standard deviations (n - 1); of iterations means alone")
    units = ["R^2", "RMSE"] if _regression(*runs) else []
    seeds = ["seeds"] if several else []
    columns = ["method", "loss", *seeds, "kept", "train", "valid.", "test", "last", *units, "s", "CPU s", "status"]
    screen.table(columns, [_row([run.result for run in group], units, several) for group in groups], left=2)


def _row(results: Sequence[dict[str, Any]], units: Sequence[str], seeds: bool) -> list[str]:
    first = results[0]
    kept, made = ([result[name] for result in results] for name in ("kept_iteration", "iterations"))
    figures = [_figures(results, name) for name in ("train", "validation", "test", "last_test")]
    times = [_spread([result[name] for result in results], ".2f") for name in ("seconds", "cpu_seconds")]
    regression = _quality(results, "test") if units else []
    count = [str(len(results))] if seeds else []
    iterations = f"{_spread(kept, '.4g', alone=True)}/{_spread(made, '.4g', alone=True)}"
    return [first["method"], first["loss"], *count, iterations, *figures, *regression, *times, _statuses(results)]


def _statuses(results: Sequence[dict[str, Any]]) -> str:
    """How runs ended, such as ``2 ok, 1 diverged``."""
    counts = Counter(result["status"] for result in results)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())


def _spread(values: Sequence[float | None], form: str, alone: bool = False) -> str:
    """The mean of figures and, but where it stands `alone`, their standard deviation; of those that there are."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    deviation = "" if alone or len(known) == 1 else f" ± {stdev(known):{form}}"
    return f"{fmean(known):{form}}{deviation}"


def _quality(results: Sequence[dict[str, Any]], name: str) -> list[str]:
    """R^2 and RMSE of a regression."""
    return [_spread([r[f"{name}_{what}"] for r in results], form) for what, form in (("r2", ".4f"), ("rmse", ".4g"))]


def report(done: TrainedRun, screen: Screen) -> None:
    """Print what became of one run: the weights kept and the last ones."""
    result, parts = done.result, ("train", "validation", "test")
    ended = f"{result['status']}, {result['iterations']} of {result['epochs']} iterations"
    times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s"
    screen.result(f"{_task(done)}, {done.name}, {result['loss']}: {ended}, {times}; {_unit(done)}")
    kept = "best on validation" if result["keep"] == "best" else "kept"
    rows = [(kept, result["kept_iteration"], ""), ("last", result["iterations"], "last_")]
    figures = [
        [name, str(i or "-"), *(_figures([result], prefix + part) for part in parts)] for name, i, prefix in rows
    ]
    units = ["test R^2", "test RMSE"] if _regression(done) else []
    for line, (_, _, prefix) in zip(figures, rows, strict=True):
        line += _quality([result], f"{prefix}test") if units else []
    screen.table(["weights", "iteration", *parts, *units], figures)
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


def _task(run: Run) -> str:
    """Data and network, such as ``mnist, residual 784-19x100-10``."""
    runs = [(width, len(list(same))) for width, same in groupby(run.result["widths"])]
    widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
    model = "" if run.result["model"] == "mlp" else f"{run.result['model']} "
    return f"{run.result['data']}, {model}{widths}"


def _seeds(runs: Sequence[Run]) -> str:
    seeds = sorted({run.seed for run in runs})
    return f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"


def _unit(*runs: Run) -> str:
    return "loss" if _regression(*runs) else "accuracy in %"


def _regression(*runs: Run) -> bool:
    return all(run.result["train_accuracy"] is None for run in runs)


def _figures(results: Sequence[dict[str, Any]], name: str) -> str:
    """A percentage; for regression a loss."""
    accuracies = [100 * r[f"{name}_accuracy"] for r in results if r[f"{name}_accuracy"] is not None]
    return _spread(accuracies, ".2f") if accuracies else _spread([r[f"{name}_loss"] for r in results], ".4g")
