"""What a column holds: numbers, dates, true or false, text; and which of its texts stand for no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from altmin.data.table.cells import Cells
from altmin.data.table.dates import Dates, dates_of
from altmin.data.table.numerals import Flags, Numerals, are_codes, has_decimal_commas, merge, numerals_of
from altmin.data.table.reading import Table
from altmin.errors import DataError

_WORDS = """
    ? - -- --- . .. * #N/A #NA <NA> N/A NA NAN N.A. n.a. n/a na NULL null NaN nan -NaN -nan NaT None
    unknown Unknown missing Missing #VALUE! #REF! #DIV/0! #NUM! #NAME? 1.#IND -1.#IND 1.#QNAN -1.#QNAN
"""
MISSING_WORDS = frozenset({*_WORDS.split(), "#N/A N/A"})
"""Texts that stand for no value in a column of numbers or dates; in a column of text they are words like others."""
LARGEST = 1e100  # sums of squares of such numbers are still finite
RARE, FREQUENT, FEW = 0.05, 0.2, 20  # shares of rows; distinct numbers

Measure = Numerals | Dates | Flags


@dataclass(frozen=True)
class Reading:
    """How the texts of a column are read as numbers.

    Attributes:
        measure: What turns texts into numbers.
        missing: Texts that stand for no value beside `MISSING_WORDS`.
    """

    measure: Measure
    missing: tuple[str, ...] = ()

    def distinct(self, cells: Cells) -> np.ndarray:
        """The value of each distinct cell, nan where it stands for no value or cannot be read."""
        if cells.values is not None and cells.native == self.measure.native:
            return cells.values
        return parsed(cells, self.measure)

    def values(self, table: Table, name: str, cells: Cells) -> np.ndarray:
        """The value of every row, ``(N,)`` float64, nan where there is none.

        Raises:
            DataError: A text that is neither such a value nor one that stands for none, or a value that is not finite.
        """
        values = self.distinct(cells)
        empty = _none(cells, self.missing)
        stray = np.isinf(values) | (np.isnan(values) & ~empty)
        if stray.any():
            raise stray_text(table, name, cells, stray, self.measure.noun)
        return cells.spread(np.where(empty, np.nan, values))


def parsed(cells: Cells, measure: Measure) -> np.ndarray:
    """The value of each distinct text, nan where it has none."""
    if measure not in cells.parsed:
        cells.parsed[measure] = measure.parse(cells.texts.tolist())
    return cells.parsed[measure]


def stray_text(table: Table, name: str, cells: Cells, stray: np.ndarray, noun: str) -> DataError:
    """The error about the first text that does not fit into a column."""
    row = cells.first(stray)
    return DataError(f"{table.where(row)}: column {name!r} holds {noun}, but here {cells.texts[cells.codes[row]]!r}")


def writes_decimal_commas(table: Table, columns: dict[str, Cells]) -> bool:
    """Whether a table's numbers have decimal commas: a column shows it that cannot mean thousands."""
    certain = table.file is not None and table.file.delimiter == ";"
    return any(has_decimal_commas(cells.texts[~_none(cells)].tolist(), certain) for cells in columns.values())


def _none(cells: Cells, words: Sequence[str] = ()) -> np.ndarray:
    """Which texts stand for no value in a column of numbers, a mask."""
    return np.asarray(pd.Series(cells.texts, dtype=object).isin([*MISSING_WORDS, *words]), dtype=bool)


def reading_of(table: Table, name: str, cells: Cells, decimal_commas: bool) -> Reading | None:
    """How a column is read as numbers; `None` where it is text.

    Raises:
        DataError: Nearly all its texts are finite numbers, but a few are neither numbers nor words for no value.
    """
    some = ~_none(cells)
    words, counts = cells.texts[some].tolist(), cells.counts[some]
    if not words or are_codes(words) or merge(words):
        return None
    if all(text.lower() in ("true", "false") for text in words):
        return Reading(Flags())
    for find in (lambda: numerals_of(words, counts, decimal_commas), lambda: dates_of(words, counts)):
        if (measure := find()) is not None and (missing := words_for_none(table, name, cells, measure)) is not None:
            return Reading(measure, missing)
    return None


def words_for_none(table: Table, name: str, cells: Cells, measure: Measure) -> tuple[str, ...] | None:
    """The texts that stand for no value in a column; `None` where it does not hold what is measured.

    A word without digits that comes again and again among values stands for none, such as ``refused``. A text that is
    rare, or has digits, is a mistake where there are few of them, and an error.
    """
    values, counts = parsed(cells, measure), cells.counts
    finite = np.isfinite(values)
    other = ~finite & ~_none(cells)
    good, rows = counts[finite].sum(), counts[finite | other].sum()
    infinite = other & np.isinf(values)
    if other.any() and bool((infinite == other).all()):
        raise stray_text(table, name, cells, infinite, measure.noun)
    if 2 * good <= rows:
        return None
    mistake = other & (np.array([any(map(str.isdigit, t)) for t in cells.texts], dtype=bool) | (counts < 3) | infinite)
    word = other & ~mistake
    if counts[mistake].sum() > max(1, RARE * rows) or (counts[word].sum() > FREQUENT * rows and finite.sum() <= FEW):
        return None
    if mistake.any():
        raise stray_text(table, name, cells, mistake, measure.noun)
    return tuple(cells.texts[word].tolist())
