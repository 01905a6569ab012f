"""Data frames of pandas or polars in the place of arrays: their columns as numbers, each named where it holds none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

READER = "read the table by altmin.data, which knows such columns: data.load('csv', csv=data.TableOptions(...))"


def is_frame(values: Any) -> bool:
    """Whether something is a data frame of pandas or polars, neither of which needs to be there."""
    return hasattr(values, "columns") and hasattr(values, "to_numpy")


def names_of(frame: Any) -> list[str]:
    """The names of the columns, as text."""
    return [str(name) for name in frame.columns]


def numbers_of(name: str, part: str, frame: Any) -> NDArray[Any]:
    """The columns beside each other, ``(N, columns)``; those of a target that is one column, ``(N,)``.

    Args:
        name: The argument's name, for errors.
        part: Which of the pair it is, x or y.
        frame: The data frame.

    Raises:
        TypeError: A column that holds no numbers; y may be one column of anything, which is then looked at as labels.
        ValueError: A column with missing values, or a frame without columns.
    """
    columns = list(_columns(frame))
    if not columns:
        raise ValueError(f"`{name}`: {part} is a data frame without columns")
    if part == "y" and len(columns) == 1:
        return np.asarray(columns[0][1])
    return np.column_stack([_numbers(f"`{name}`: column {label!r} of {part}", column) for label, column in columns])


def _columns(frame: Any) -> Iterator[tuple[Any, Any]]:
    if hasattr(frame, "items"):  # of pandas
        yield from frame.items()
    else:
        yield from ((column.name, column) for column in frame.get_columns())


def _numbers(where: str, column: Any) -> NDArray[Any]:
    """One column; `where` says in errors which."""
    missing = np.asarray(column.isna() if hasattr(column, "isna") else column.is_null())
    values = np.asarray(column)
    if values.dtype.kind == "f":
        missing = missing | np.isnan(values)
    if missing.any():
        row, count = int(missing.argmax()), int(missing.sum())
        raise ValueError(f"{where} has {count} missing values, the first in row {row}; fill them in, or {READER}")
    if values.dtype.kind == "O" and str(column.dtype).startswith(("Int", "UInt", "Float", "boolean")):
        values = values.astype(float)  # of pandas' own types, which may have missing values
    if values.dtype.kind not in "biuf":
        raise TypeError(f"{where} holds no numbers (dtype {column.dtype}); encode or drop it, or {READER}")
    return values
