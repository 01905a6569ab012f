"""The column to predict: classes, or numbers with their mean and scale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from altmin.data.base import TargetScale
from altmin.data.table.kinds import LARGEST, MISSING_WORDS, Reading, reading_of, words_for_none
from altmin.data.table.numerals import PLAIN, Numerals, are_codes
from altmin.data.table.reading import Table
from altmin.errors import DataError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


@dataclass(frozen=True)
class ClassTarget:
    """A target of classes.

    Attributes:
        name: The column's name.
        classes: The classes' names in the order of their indices.
        numeric: Whether they are numbers, which are the same class however they are written: ``1`` and ``1.0``.
        table: The training table, for errors.
    """

    name: str
    classes: tuple[str, ...]
    numeric: bool
    table: str

    @property
    def about(self) -> str:
        """What the column was taken for."""
        return f"target, {len(self.classes)} classes"

    def read(self, table: Table) -> np.ndarray:
        """The class of every row, ``(N,)`` int64; -1 where there is no label.

        Raises:
            DataError: A class that training did not have.
        """
        cells, places = table.cells(self.name), {name: i for i, name in enumerate(self.classes)}
        none = [-1 if text in MISSING_WORDS else -2 for text in cells.texts]  # unless it is a class
        found = np.array([places.get(self.label(t), n) for t, n in zip(cells.texts, none, strict=True)], dtype=np.int64)
        if (found == -2).any():
            row = cells.first(found == -2)
            raise DataError(f"{table.where(row)}: class {cells.texts[cells.codes[row]]!r} is not in {self.table}")
        return cells.spread(found, -1)

    def label(self, text: str) -> str:
        """A label's name."""
        return number_name(text) if self.numeric and NUMBER.fullmatch(text) else text


@dataclass(frozen=True)
class NumberTarget:
    """A target of numbers.

    Attributes:
        name: The column's name.
        reading: How its texts are read.
        mean: The mean of the training rows.
        scale: Their standard deviation; 1 where that is 0.
    """

    name: str
    reading: Reading
    mean: float
    scale: float

    @property
    def about(self) -> str:
        """What the column was taken for."""
        return f"target, number, standardised for training (mean {self.mean:.6g}, deviation {self.scale:.6g})"

    @property
    def units(self) -> TargetScale:
        """The way back from standardised values."""
        return TargetScale(self.mean, self.scale)

    def read(self, table: Table) -> np.ndarray:
        """The target of every row in its units, ``(N,)`` float64; nan where there is none."""
        return self.reading.values(table, self.name, table.cells(self.name))


Target = ClassTarget | NumberTarget


def number_name(text: str) -> str:
    """A number's text however it is written: ``1.0`` as ``1``, exact for integers of any length."""
    value = Decimal(text).normalize()
    return f"{value + 0:f}"


def class_target(table: Table, name: str) -> ClassTarget:
    """The classes of a table's target.

    Raises:
        DataError: Rows without a label, a single class, a few texts among numbers.
    """
    cells = table.cells(name)
    require_labels(table, name, cells.codes < 0)
    texts = cells.texts.tolist()
    numeric = not are_codes(texts) and words_for_none(table, name, cells, PLAIN) == ()
    numeric = numeric and all(NUMBER.fullmatch(text) or text in MISSING_WORDS for text in texts)
    if numeric:
        require_labels(table, name, cells.spread(~np.array([bool(NUMBER.fullmatch(t)) for t in texts]), False))
        classes = sorted({number_name(text) for text in texts}, key=Decimal)
    else:
        classes = sorted(map(str, texts))
    if len(classes) < 2:
        raise DataError(f"{table.title}: target {name!r} has one class only, {classes[0]!r}")
    return ClassTarget(name, tuple(classes), numeric, table.title)


def number_target(table: Table, name: str, rows: np.ndarray, decimal_commas: bool, dtype: torch.dtype) -> NumberTarget:
    """A target of numbers, with mean and scale of the training rows.

    Raises:
        DataError: Rows without a number, or a number that the dtype cannot hold.
    """
    cells = table.cells(name)
    require_labels(table, name, cells.codes < 0)
    reading = reading_of(table, name, cells, decimal_commas)
    if reading is None or not isinstance(reading.measure, Numerals):
        row = cells.first(np.isnan(PLAIN.parse(cells.texts.tolist())))
        raise DataError(f"{table.where(row)}: target {name!r} is text: {cells.texts[cells.codes[row]]!r}")
    values = reading.values(table, name, cells)
    require_labels(table, name, np.isnan(values))
    require_dtype(table, name, values, dtype)
    scaler = StandardScaler().fit(values[rows, None])
    (mean,), (scale,) = map(np.ravel, (scaler.mean_, scaler.scale_))  # type: ignore[arg-type]
    return NumberTarget(name, reading, float(mean), float(scale))


def require_labels(table: Table, name: str, missing: np.ndarray) -> None:
    """A `DataError` about the first row without a label."""
    if missing.any():
        where, count = table.where(int(missing.argmax())), int(missing.sum())
        raise DataError(f"{where}: target {name!r} has no value ({count:,} missing in all); drop such rows")


def require_dtype(table: Table, name: str, values: np.ndarray, dtype: torch.dtype) -> None:
    """A `DataError` about the first value that a dtype cannot hold."""
    large = np.abs(values) > min(torch.finfo(dtype).max, LARGEST)
    if large.any():
        row = int(large.argmax())
        held = f"beyond what {str(dtype).removeprefix('torch.')} holds"
        raise DataError(f"{table.where(row)}: column {name!r} holds {values[row]:g}, {held}; give it another unit")


def in_units(values: np.ndarray, target: NumberTarget, dtype: torch.dtype) -> Tensor:
    """Values of a target as they are, ``(N, 1)``, in a dtype; in float64 where that loses what they differ by."""
    exact = torch.from_numpy(values)[:, None]
    lost = (exact.to(dtype).double() - exact).abs().max().item()
    return exact if lost > 1e-3 * target.scale else exact.to(dtype)
