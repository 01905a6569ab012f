"""Dates and times as days since 1970, and what a network can make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import ClassVar

import numpy as np
import pandas as pd

from altmin.data.table.cells import days_of

DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y", "%d.%m.%y",
    "%m/%d/%y", "%d/%m/%y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y",
)  # fmt: skip
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
FORMATS = ("ISO8601", *DAYS, *(f"{day} {clock}" for day, clock in product(DAYS, CLOCKS)), *CLOCKS)
SWAPPED = {"%m/%d/%Y": "%d/%m/%Y", "%m-%d-%Y": "%d-%m-%Y", "%m/%d/%y": "%d/%m/%y"}


@dataclass(frozen=True)
class Dates:
    """How a column writes dates and times.

    Attributes:
        format: As `datetime.strptime` has it, or ``"ISO8601"``.
    """

    native: ClassVar[str] = "date"
    format: str

    @property
    def noun(self) -> str:
        """What the column holds."""
        return f"dates ({self.format})"

    def about(self, texts: Sequence[str]) -> str:
        """What a column of such texts was taken for."""
        day, _, clock = self.format.partition(" ")
        if day not in SWAPPED or np.isnan(Dates(f"{SWAPPED[day]} {clock}".strip()).parse(texts)).any():
            return f"date, {self.format}"
        return f"date, {self.format}, though the day may come first: write year-month-day to be sure"

    def check(self) -> None:
        """A `ValueError` about a format that is none of `FORMATS`."""
        if self.format not in FORMATS:
            raise ValueError(f"unknown format of dates {self.format!r}")

    def parse(self, texts: Sequence[str]) -> np.ndarray:
        """Days since 1970 as float64, nan for what is no such date; times without a zone count as UTC."""
        times = pd.to_datetime(pd.Series(texts, dtype=object), format=self.format, errors="coerce", utc=True)
        return days_of(pd.DatetimeIndex(times))


def dates_of(texts: Sequence[str], counts: np.ndarray) -> Dates | None:
    """The format by which most rows are dates; `None` where none of the most frequent texts is a date.

    Args:
        texts: Distinct texts.
        counts: How many rows hold each.
    """
    frequent = [str(texts[i]) for i in np.argsort(-counts, kind="stable")[:3].tolist()]
    likely = [Dates(format) for format in FORMATS if any(_fits(text, format) for text in frequent)]
    return max(likely, key=lambda dates: counts[~np.isnan(dates.parse(texts))].sum(), default=None)


def _fits(text: str, format: str) -> bool:
    if not any(map(str.isdigit, text)):
        return False
    if format == "ISO8601":
        return not np.isnan(Dates(format).parse([text])).any()
    try:
        return bool(datetime.strptime(text, format))
    except ValueError:
        return False


def _month(days: np.ndarray) -> np.ndarray:
    return np.floor(days).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12


def _weekday(days: np.ndarray) -> np.ndarray:
    return (np.floor(days).astype(np.int64) + 3) % 7  # the first of January 1970 was a Thursday; Monday is 0


def _hour(days: np.ndarray) -> np.ndarray:
    return np.minimum(((days - np.floor(days)) * 24 + 1e-6).astype(np.int64), 23)


def _circle(period: int, index: Callable[[np.ndarray], np.ndarray], wave: Callable[[np.ndarray], np.ndarray]):
    """Where `index` stands in its period, on a circle.

    Values are looked up, so that a row has the same bits whatever else its table holds.
    """
    values = wave(2 * np.pi * np.arange(period) / period)
    return lambda days: values[index(days)]


PARTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "value": lambda values: values,
    "month sin": _circle(12, _month, np.sin),
    "month cos": _circle(12, _month, np.cos),
    "weekday sin": _circle(7, _weekday, np.sin),
    "weekday cos": _circle(7, _weekday, np.cos),
    "hour sin": _circle(24, _hour, np.sin),
    "hour cos": _circle(24, _hour, np.cos),
}
"""What a column of numbers or days gives to the network: the value itself, and of days also where they stand in the
year, the week and the day, as points on circles."""
