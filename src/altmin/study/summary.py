"""Several runs of each method together: means, deviations and how many runs they are of, costs, and ranks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite, nan
from statistics import fmean, stdev
from typing import Any

from altmin.study.measures import Measures
from altmin.study.ranks import BySeed, ranks
from altmin.study.run import PARTS, Run, by_name

REACHED = tuple(f"{last}{part}_{f.name}" for last in ("", "last_") for part in PARTS for f in fields(Measures))
COSTS = ("iterations", "seconds", "cpu_seconds", "memory")
FIGURES = ("kept_iteration", "gap", *REACHED, *COSTS)
DIFFERING = {"loss": "loss", "epochs": "epochs", "batch_size": "batch size", "threads": "threads"}


@dataclass(frozen=True)
class Spread:
    """A figure of several runs.

    Attributes:
        mean: Of the runs that have it.
        deviation: The standard deviation of one run (n - 1); `None` of a single one.
        runs: How many have it.
    """

    mean: float
    deviation: float | None
    runs: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """That of the values that there are; `None` where there are none."""
        known = [float(value) for value in values if value is not None]
        if not known:
            return None
        deviation = None if len(known) == 1 else stdev(known) if all(map(isfinite, known)) else nan
        return cls(fmean(known), deviation, len(known))

    def text(self, form: str, factor: float = 1.0) -> str:
        """Such as ``96.10 ± 0.55``.

        Args:
            form: How numbers are written, as in ``format``.
            factor: What they are multiplied by, such as 100 for percents.
        """
        deviation = "" if self.deviation is None else f" ± {factor * self.deviation:{form}}"
        return f"{factor * self.mean:{form}}{deviation}"


@dataclass(frozen=True)
class Summary:
    """One method's runs.

    Attributes:
        method: Its name or label.
        loss: The loss of its training.
        batch_size: Samples of a step.
        epochs: Passes over the samples that were asked for.
        gradients: How far gradients reach in it.
        runs: How many there are, one of each seed.
        statuses: How they ended, such as ``2 ok, 1 diverged``.
        rank: The best and the worst place that it may have among the methods (`altmin.study.ranks`); `None` where it
            has no figure, and where there is one seed or one method.
        figures: Those of `FIGURES` that any of the runs has.
    """

    method: str
    loss: str
    batch_size: int
    epochs: int
    gradients: str
    runs: int
    statuses: str
    rank: tuple[int, int] | None
    figures: dict[str, Spread]

    @property
    def place(self) -> str:
        """The rank in words, such as ``2-4``."""
        return "-" if self.rank is None else "-".join(map(str, dict.fromkeys(self.rank)))

    def flat(self) -> dict[str, Any]:
        """As a row of a table, with three columns for each figure."""
        row: dict[str, Any] = asdict(self) | {"rank": self.place}
        figures: dict[str, dict[str, Any]] = row.pop("figures")
        return row | {f"{name}_{kind}": value for name, spread in figures.items() for kind, value in spread.items()}


def regression(runs: Sequence[Run]) -> bool:
    """Whether the runs' targets are numbers."""
    return all(run.result["train_accuracy"] is None for run in runs)


def summaries(runs: Sequence[Run]) -> list[Summary]:
    """One for each method, in the order of the runs."""
    groups, places = by_name(runs), places_of(runs)
    return [_summary([run.result for run in group], places.get(group[0].name)) for group in groups]


def places_of(runs: Sequence[Run]) -> dict[str, tuple[int, int]]:
    """The ranks of methods by test accuracy, in regression by the error, as far as their seeds tell them apart.

    None where a single method, or a single seed of each, leaves nothing to tell.
    """
    found = {name: own for name, own in _merits(runs).items() if own}
    if len(found) < 2 or max(map(len, found.values())) < 2:
        return {}
    least = 0.0 if regression(runs) else 1.0 / runs[0].result["test_samples"]
    return ranks(found, least)


def _merits(runs: Sequence[Run]) -> dict[str, BySeed]:
    """What methods are ranked by, by name and seed; more is better."""
    sign, name = (-1.0, "test_rmse") if regression(runs) else (1.0, "test_accuracy")
    groups = {group[0].name: group for group in by_name(runs)}
    return {
        method: {run.seed: sign * run.result[name] for run in group if run.result[name] is not None}
        for method, group in groups.items()
    }


def _summary(results: Sequence[dict[str, Any]], rank: tuple[int, int] | None) -> Summary:
    first = results[0]
    spreads = {name: Spread.of(result.get(name) for result in results) for name in FIGURES}
    return Summary(
        method=first["method"],
        loss=first["loss"],
        batch_size=first["batch_size"],
        epochs=first["epochs"],
        gradients=first["gradients"],
        runs=len(results),
        statuses=_statuses(results),
        rank=rank,
        figures={name: spread for name, spread in spreads.items() if spread is not None},
    )


def _statuses(results: Sequence[dict[str, Any]]) -> str:
    counts = Counter(result["status"] for result in results)
    return next(iter(counts)) if len(counts) == 1 else ", ".join(f"{n} {status}" for status, n in counts.items())


def differences(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """What is not the same in all runs besides the method, its numbers and the seed: the values by method."""
    firsts = [group[0].result for group in by_name(runs)]
    values = {what: {first["method"]: first[name] for first in firsts} for name, what in DIFFERING.items()}
    return {what: by for what, by in values.items() if len(set(by.values())) > 1}


def caption(runs: Sequence[Run]) -> str:
    r"""The same in a sentence, those methods that agree together and the most of them as the others.

    Example:
        >>> results = [{"method": m, "loss": loss, "epochs": 9, "batch_size": 5, "threads": 1}
        ...            for m, loss in (("bcd", "squared"), ("adam", "cross_entropy"), ("sgd", "cross_entropy"))]
        >>> print(caption([Run(result["method"], result, []) for result in results]).replace("; losses", ";\nlosses"))
        besides the method differ loss (squared: bcd; cross_entropy: the others);
        losses of different kinds cannot be compared
    """
    found = [f"{what} ({_by_value(by)})" for what, by in differences(runs).items()]
    warning = "; losses of different kinds cannot be compared" if "loss" in differences(runs) else ""
    return f"besides the method differ {', '.join(found)}{warning}" if found else ""


def _by_value(values: dict[str, Any]) -> str:
    names: dict[Any, list[str]] = {}
    for method, value in values.items():
        names.setdefault(value, []).append(method)
    *few, (most, _) = sorted(names.items(), key=lambda item: len(item[1]))
    return "; ".join([*(f"{value}: {', '.join(methods)}" for value, methods in few), f"{most}: the others"])
