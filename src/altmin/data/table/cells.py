"""A column's distinct cells: whatever is asked of text is asked once for each of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Cells:
    """The distinct texts of a column, blanks around them stripped, and the rows that hold them.

    Attributes:
        texts: The distinct texts, ``(k,)`` objects, in the order of their first rows.
        codes: The index in `texts` of every row, ``(N,)``; -1 where the cell is empty.
        values: The texts' values where the cells were numbers, booleans or dates and no text; dates in days since 1970.
        native: What those values are, ``"number"`` or ``"date"``.
    """

    texts: np.ndarray
    codes: np.ndarray
    values: np.ndarray | None = None
    native: str = "number"

    @classmethod
    def of(cls, column: pd.Series) -> Cells:
        """The cells of a column of text, numbers, dates or booleans."""
        codes, distinct = pd.factorize(column)
        values, native = None, "number"
        if pd.api.types.is_datetime64_any_dtype(distinct):
            values, native = days_of(pd.DatetimeIndex(distinct)), "date"
        elif pd.api.types.is_numeric_dtype(distinct):  # booleans too
            values = np.asarray(distinct, dtype=np.float64)
        texts = np.array([text_of(value) for value in np.asarray(distinct, dtype=object).tolist()], dtype=object)
        again, merged = pd.factorize(texts)
        if len(merged) < len(texts):  # texts that differ in their blanks
            texts, codes, values = np.asarray(merged, dtype=object), np.where(codes < 0, -1, again[codes]), None
        empty = np.flatnonzero(texts == "")
        return cls(texts, codes, values, native) if not len(empty) else cls(*_without(texts, codes, int(empty[0])))

    @cached_property
    def parsed(self) -> dict[Any, np.ndarray]:
        """The texts' values by what read them: each is read once."""
        return {}

    @cached_property
    def counts(self) -> np.ndarray:
        """How many rows hold each text."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.texts))

    @property
    def filled(self) -> int:
        """How many rows hold anything."""
        return int(self.counts.sum())

    def first(self, which: np.ndarray) -> int:
        """The first row whose text is among those that a mask over `texts` names."""
        return int(np.append(which, False)[self.codes].argmax())

    def spread(self, values: np.ndarray, empty: Any = np.nan) -> np.ndarray:
        """The value of every row from those of the distinct texts."""
        return np.append(values, np.asarray([empty], dtype=values.dtype))[self.codes]


def _without(texts: np.ndarray, codes: np.ndarray, empty: int) -> tuple[np.ndarray, np.ndarray]:
    """The texts without the empty one, whose rows get the code -1."""
    return np.delete(texts, empty), np.where(codes == empty, -1, codes - (codes > empty))


def text_of(value: Any) -> str:
    """A cell as text without blanks around it, whole numbers without a decimal point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def days_of(times: pd.DatetimeIndex) -> np.ndarray:
    """Days since 1970, nan for no time."""
    naive = times if times.tz is None else times.tz_convert("UTC").tz_localize(None)
    days = (naive - pd.Timestamp(0)) / pd.Timedelta(days=1)
    return np.asarray(days, dtype=np.float64)
