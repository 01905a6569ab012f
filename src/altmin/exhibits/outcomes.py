"""What became of trainings: the curves of each, and figures of several seeds together."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median, stdev
from typing import Any, Literal

from altmin.methods import Method

Curve = list[float]


@dataclass(frozen=True)
class Outcome:
    """One training with one seed.

    Attributes:
        status: ``ok`` or ``diverged``.
        error: Why it diverged.
        curves: The figures of its records by name, each with a value for every record.
        seed: Of start and batches.
        about: Which code, on which machine.
    """

    status: Literal["ok", "diverged"]
    error: str | None
    curves: dict[str, Curve]
    seed: int
    about: dict[str, Any]

    @property
    def diverged(self) -> bool:
        """Whether it ended in nan, or in a network that is worse than none."""
        return self.status == "diverged"

    def curve(self, name: str) -> Curve:
        """One figure over the records; empty where it has none."""
        return self.curves.get(name, [])


@dataclass(frozen=True)
class Measure:
    """A column of a table: one number of a training.

    Attributes:
        figure: As records name it.
        how: The ``last`` value, the ``best`` (largest), the ``median`` over the records, that at the record of `at`, or
            the ``first`` record at which the figure is at least `at`.
        factor: What it is multiplied by, such as 100 for per cent.
        digits: Behind the decimal point.
        at: See `how`.
    """

    figure: str
    how: Literal["last", "best", "median", "at", "first"] = "last"
    factor: float = 1.0
    digits: int = 2
    at: float = 0

    def of(self, outcome: Outcome) -> float:
        """The number; nan where training diverged, or there is none."""
        values = outcome.curve(self.figure)
        if not values or (outcome.diverged and self.how != "best"):
            return math.nan
        return self.factor * self._read(values, outcome.curve("iteration"))

    def _read(self, values: Curve, iterations: Curve) -> float:
        match self.how:
            case "last":
                return values[-1]
            case "best":
                return max((v for v in values if not math.isnan(v)), default=math.nan)
            case "median":
                return math.nan if any(map(math.isnan, values)) else median(values)
            case "at":
                return next((v for i, v in zip(iterations, values, strict=True) if i >= self.at), values[-1])
            case "first":
                return next((i for i, v in zip(iterations, values, strict=True) if v >= self.at), math.nan)

    def text(self, value: float | None) -> str:
        """The number as the table has it."""
        if value is None:
            return ""
        if not math.isfinite(value):
            return "nan"
        return f"{value:.{self.digits}f}" if abs(value) < 10_000 else f"{value:.3g}"


@dataclass(frozen=True)
class Outcomes:
    """What became of all trainings of an exhibit, by panel and arm, with one outcome for each seed.

    Attributes:
        columns: The measures by name.
        found: The outcomes.
        chosen: The method that was best on validation, where there were trials.
        left_out: Panels of the exhibit that were not asked for.
    """

    columns: Mapping[str, Measure]
    found: Mapping[tuple[str, Any], Sequence[Outcome]]
    chosen: Mapping[tuple[str, Any], Method] = field(default_factory=dict)
    left_out: Sequence[str] = ()

    @property
    def panels(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(panel for panel, _ in self.found))

    @property
    def arms(self) -> list[Any]:
        """Their names."""
        return list(dict.fromkeys(arm for _, arm in self.found))

    def values(self, panel: str, arm: Any, column: str) -> list[float]:
        """One measure for each seed."""
        return [self.columns[column].of(outcome) for outcome in self.found[panel, arm]]

    def mean(self, panel: str, arm: Any, column: str) -> float:
        """The mean over the seeds; nan where one diverged."""
        values = self.values(panel, arm, column)
        return fmean(values) if values else math.nan

    def spread(self, panel: str, arm: Any, column: str) -> float:
        """The standard deviation over the seeds; 0 of one, nan where one diverged."""
        values = self.values(panel, arm, column)
        if not all(map(math.isfinite, values)):
            return math.nan
        return stdev(values) if len(values) > 1 else 0.0

    def curve(self, panel: str, arm: Any, name: str) -> list[Curve]:
        """One figure over the records, for each seed."""
        return [outcome.curve(name) for outcome in self.found[panel, arm]]
