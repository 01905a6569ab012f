"""Fitted columns: what each gives to the network, by numbers of the training rows alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from altmin.data.table.cells import Cells
from altmin.data.table.dates import PARTS
from altmin.data.table.kinds import LARGEST, Reading
from altmin.data.table.reading import Table
from altmin.errors import DataError


class Column(Protocol):
    """A column that was fitted."""

    @property
    def name(self) -> str:
        """Its name in the header line."""
        ...

    @property
    def about(self) -> str:
        """What it was taken for, in words."""
        ...

    @property
    def width(self) -> int:
        """How many features it gives."""
        ...

    def features(self, table: Table) -> tuple[np.ndarray, str]:
        """Its features, ``(N, width)`` of any dtype, and a remark about the rows; empty where there is nothing to say.

        Raises:
            DataError: A cell that cannot be read.
        """
        ...


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers, dates, or true and false: standardised, the median where there is none.

    Attributes:
        name: Its name in the header line.
        about: What it was taken for, in words.
        reading: How its texts are read.
        fill: The median of the training rows, in place of what is missing.
        indicator: Whether a further feature says that a value is missing.
        parts: Which features are made of a value, names in `PARTS`.
        means: The mean of each over the training rows.
        scales: Its standard deviation there; 1 where that is 0.
    """

    name: str
    about: str
    reading: Reading
    fill: float
    indicator: bool
    parts: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]

    @property
    def width(self) -> int:
        """How many features it gives."""
        return len(self.parts) + self.indicator

    def features(self, table: Table) -> tuple[np.ndarray, str]:
        """Its standardised features, and how many rows have no value where training had none such."""
        values = finite_values(self.reading, table, self.name, table.cells(self.name))
        missing = np.isnan(values)
        filled = np.where(missing, self.fill, values)
        fitted = zip(self.parts, self.means, self.scales, strict=True)
        columns = [(PARTS[part](filled) - mean) / scale for part, mean, scale in fitted]
        columns += [missing.astype(np.float64)] if self.indicator else []
        new = missing.any() and not self.indicator
        return np.column_stack(columns), f"{missing.sum():,} without a value, as no training row" if new else ""


@dataclass(frozen=True)
class CategoryColumn:
    """A column of text, one-hot.

    Attributes:
        name: Its name in the header line.
        about: What it was taken for, in words.
        categories: The texts that have a feature of their own.
        empty: Whether empty cells have one.
        others: Whether all further texts share one; without it their features are zeros.
    """

    name: str
    about: str
    categories: tuple[str, ...]
    empty: bool
    others: bool

    @property
    def width(self) -> int:
        """How many features it gives."""
        return len(self.categories) + self.empty + self.others

    def features(self, table: Table) -> tuple[np.ndarray, str]:
        """A one in the column of each row's text, and how many rows have a text that no training row had."""
        cells = table.cells(self.name)
        places = {text: i for i, text in enumerate(self.categories)}
        rest = self.width - 1 if self.others else -1
        known = np.array([places.get(text, rest) for text in cells.texts], dtype=np.int64)
        rows = cells.spread(known, len(self.categories) if self.empty else rest)
        one_hot = np.zeros((len(rows), self.width), dtype=np.uint8)
        one_hot[np.flatnonzero(rows >= 0), rows[rows >= 0]] = 1
        new = int((rows < 0).sum())
        return one_hot, f"{new:,} with a value that no training row had" if new else ""


@dataclass(frozen=True)
class DroppedColumn:
    """A column that nothing is learnt from.

    Attributes:
        name: Its name in the header line.
        about: What it was taken for, and why it is dropped.
    """

    name: str
    about: str
    width = 0

    def features(self, table: Table) -> tuple[np.ndarray, str]:
        """None."""
        return np.empty((len(table), 0)), ""


def finite_values(reading: Reading, table: Table, name: str, cells: Cells) -> np.ndarray:
    """The values of a column, none so large that sums of their squares overflow."""
    values = reading.values(table, name, cells)
    large = np.abs(values) > LARGEST
    if large.any():
        row = int(large.argmax())
        text = cells.texts[cells.codes[row]]
        raise DataError(f"{table.where(row)}: column {name!r} holds {text}, beyond {LARGEST:g}; give it another unit")
    return values
