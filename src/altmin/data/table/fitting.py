"""Columns fitted by the training rows of a table: numbers standardised, texts one-hot, identifiers left out."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from altmin.data.table.cells import Cells
from altmin.data.table.columns import CategoryColumn, DroppedColumn, NumberColumn, finite_values
from altmin.data.table.dates import PARTS, Dates
from altmin.data.table.kinds import Reading
from altmin.data.table.numerals import are_codes
from altmin.data.table.reading import Table

MOST_CATEGORIES = 100  # columns that one of text is given at most
IDENTIFIER, LEAST_ROWS = 0.9, 20  # a share of different values among so many rows is that of an identifier


def fit_number(table: Table, name: str, cells: Cells, reading: Reading, rows: np.ndarray) -> NumberColumn:
    """A column of numbers by its training rows."""
    values = finite_values(reading, table, name, cells)
    indicator, seen = bool(np.isnan(values[rows]).any()), values[rows][~np.isnan(values[rows])]
    fill = float(np.median(seen)) if len(seen) else 0.0
    parts = list(PARTS) if isinstance(reading.measure, Dates) else ["value"]
    seen = seen if len(seen) else np.zeros(1)
    made = {part: PARTS[part](seen) for part in parts}
    made = {part: made[part] for part in parts if part == "value" or np.ptp(made[part]) > 0}
    scaler = StandardScaler().fit(np.column_stack(list(made.values())))
    means, scales = tuple(map(float, scaler.mean_)), tuple(map(float, scaler.scale_))  # type: ignore[union-attr,arg-type]
    about = about_number(cells, reading, fill, indicator) + ("" if np.ptp(seen) else ", always the same")
    return NumberColumn(name, about, reading, fill, indicator, tuple(made), means, scales)


def about_number(cells: Cells, reading: Reading, fill: float, indicator: bool) -> str:
    """What a column of numbers was taken for."""
    none = np.isnan(reading.distinct(cells))
    words = (["empty"] if (cells.codes < 0).any() else []) + list(map(repr, cells.texts[none].tolist()))
    about = reading.measure.about(cells.texts[~none].tolist())
    if not words:
        return about
    missing = len(cells.codes) - cells.counts[~none].sum()
    value = "the median date" if isinstance(reading.measure, Dates) else f"the median {fill:.6g}"
    named = ", ".join([*words[:5], *(["..."] if len(words) > 5 else [])])
    return f"{about}, {missing:,} missing ({named}): {value}{' and an indicator' if indicator else ''} in their place"


def fit_category(name: str, cells: Cells, rows: np.ndarray) -> CategoryColumn | DroppedColumn:
    """A column of text by its training rows; dropped where nearly every row has another value."""
    if cells.filled == 0:
        return DroppedColumn(name, "no values, dropped")
    if cells.filled >= LEAST_ROWS and len(cells.texts) > IDENTIFIER * cells.filled:
        return DroppedColumn(name, f"text, {len(cells.texts):,} values, dropped as an identifier")
    codes = cells.codes[rows]
    texts, counts = np.unique(codes[codes >= 0], return_counts=True)
    frequent = (
        texts[np.argsort(-counts, kind="stable")[: MOST_CATEGORIES - 1]] if len(texts) > MOST_CATEGORIES else texts
    )
    categories = sorted(cells.texts[frequent].tolist())
    empty, others = bool((codes < 0).any()), len(frequent) < len(texts)
    return CategoryColumn(name, about_text(cells, categories, len(texts), others), tuple(categories), empty, others)


def about_text(cells: Cells, categories: list[str], count: int, others: bool) -> str:
    """What a column of text was taken for."""
    names = f" ({', '.join(categories)})" if len(categories) <= 3 and sum(map(len, categories)) < 40 else ""
    about = f"{count:,} {'category' if count == 1 else 'categories'}{names}"
    about += ", codes with leading zeros" if are_codes(cells.texts.tolist()) else ""
    about += f", the {len(categories)} most frequent by themselves, the others together" if others else ""
    missing = int((cells.codes < 0).sum())
    return about + (f", {missing:,} missing: a category of their own" if missing else "")
