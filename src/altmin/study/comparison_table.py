"""Runs as two tables of texts: what each method reaches, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from altmin.study.ranks import RULE
from altmin.study.run import Run, by_name
from altmin.study.summary import Spread, Summary, caption, regression, summaries

MEGABYTES = 1e-6
REACHED = (
    "loss, gap: per training sample, of the weights kept; kept: their iteration, of all; last: on test, by the last "
    "iteration's weights"
)
COSTS = (
    "passes: over the training samples; s, CPU s: of training, evaluation not counted; MB: of memory at most, data "
    "included, as tried before"
)


@dataclass(frozen=True)
class ComparisonTable:
    """A row for each method.

    Attributes:
        title: What it is about.
        columns: The headings.
        rows: The cells.
        notes: Lines under it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]]
    notes: list[str]


def reached(runs: Sequence[Run]) -> ComparisonTable:
    """Loss, gap and scores, with means and standard deviations where methods have several seeds, and ranks."""
    found, several = summaries(runs), any(len(group) > 1 for group in by_name(runs))
    ranked, numbers = any(each.rank for each in found), regression(runs)
    units = ["R^2", "RMSE"] if numbers else []
    columns = ["method", "loss of", *_if(several, "runs"), *_if(ranked, "rank"), "kept", "loss", "gap"]
    columns += ["train", "valid.", "test", "last", *units, "status"]
    seeds = f"; {_seeds(runs)}: means ± standard deviations (n - 1), of iterations means alone" if several else ""
    notes = [f"rank: by test; {told(found)}. {RULE}"] if ranked else []
    notes += [caption(runs)] if len(found) > 1 else []
    return ComparisonTable(
        f"{task(runs[0])}, {unit(*runs)}; {REACHED}{seeds}",
        columns,
        [_reached(each, numbers, several, ranked) for each in found],
        [note for note in notes if note],
    )


def costs(runs: Sequence[Run]) -> ComparisonTable:
    """How far gradients reach, passes, seconds and memory, beside what the test set says."""
    columns = ["method", "gradients", "test", "batch", "passes", "s", "CPU s", "MB"]
    return ComparisonTable(f"costs; {COSTS}", columns, [_costs(each) for each in summaries(runs)], [])


def told(found: Sequence[Summary]) -> str:
    """How many pairs of methods could be told apart."""
    known = [each.rank for each in found if each.rank is not None]
    apart, pairs = sum(best - 1 for best, _ in known), len(known) * (len(known) - 1) // 2
    seeds = max(each.runs for each in found)
    return f"{seeds} seeds tell {apart} of {pairs} pairs of methods apart; more seeds or fewer methods tell more"


def _if(wanted: bool, cell: str) -> list[str]:
    return [cell] if wanted else []


def _reached(each: Summary, numbers: bool, several: bool, ranked: bool) -> list[str]:
    iterations = f"{_cell(each, 'kept_iteration', '.4g', alone=True)}/{_cell(each, 'iterations', '.4g', alone=True)}"
    figures = [_scored(each, name) for name in ("train", "validation", "test", "last_test")]
    measures = [_cell(each, "train_loss", ".3g"), _cell(each, "gap", ".2g")]
    errors = [_cell(each, "test_r2", ".4f"), _cell(each, "test_rmse", ".4g")] if numbers else []
    front = [each.method, each.loss, *_if(several, str(each.runs)), *_if(ranked, each.place), iterations]
    return [*front, *measures, *figures, *errors, each.statuses]


def _costs(each: Summary) -> list[str]:
    passes = _cell(each, "iterations", ".4g", alone=True)
    times = [_cell(each, name, ".2f") for name in ("seconds", "cpu_seconds")]
    memory = _cell(each, "memory", ".1f", MEGABYTES, alone=True)
    return [each.method, each.gradients, _scored(each, "test"), str(each.batch_size), passes, *times, memory]


def _scored(each: Summary, part: str) -> str:
    """A percentage; for regression a loss."""
    known = f"{part}_accuracy" in each.figures
    return _cell(each, f"{part}_accuracy", ".2f", 100.0) if known else _cell(each, f"{part}_loss", ".4g")


def _cell(each: Summary, name: str, form: str, factor: float = 1.0, alone: bool = False) -> str:
    """The mean of a figure and, but where it stands `alone`, its standard deviation."""
    found = each.figures.get(name)
    if found is None:
        return "-"
    return (Spread(found.mean, None, 1) if alone else found).text(form, factor)


def task(run: Run) -> str:
    """Data and network, such as ``mnist, residual 784-19x100-10``."""
    runs = [(width, len(list(same))) for width, same in groupby(run.result["widths"])]
    widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
    model = "" if run.result["model"] == "mlp" else f"{run.result['model']} "
    return f"{run.result['data']}, {model}{widths}"


def unit(*runs: Run) -> str:
    """What the figures of the splits are."""
    return "loss" if regression(runs) else "accuracy in %"


def _seeds(runs: Sequence[Run]) -> str:
    seeds = sorted({run.seed for run in runs})
    return f"{len(seeds)} seeds, {seeds[0]} to {seeds[-1]}"
