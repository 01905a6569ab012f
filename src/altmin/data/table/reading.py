"""A table as text, with the file that errors about it name."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from altmin.data.base import numbers
from altmin.data.table.cells import Cells
from altmin.data.table.text import TextFile, text_file
from altmin.errors import DataError


@dataclass(frozen=True)
class Table:
    """A table of any cells, and the file that it came from.

    Attributes:
        frame: The cells: text from a file, where an empty field is empty text; anything from a frame of the user's.
        file: The file; `None` for a frame.
    """

    frame: pd.DataFrame
    file: TextFile | None = None
    _cells: dict[str, Cells] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return [str(name) for name in self.frame]

    @property
    def title(self) -> str:
        """What errors call it."""
        return "the table" if self.file is None else str(self.file.path)

    def cells(self, name: str) -> Cells:
        """A column's distinct cells, found once."""
        if name not in self._cells:
            self._cells[name] = Cells.of(self.frame.iloc[:, self.names.index(name)])
        return self._cells[name]

    def where(self, row: int) -> str:
        """The file and the line that a row starts on."""
        return f"{self.title}, row {row}" if self.file is None else f"{self.title}, line {self.file.line(row)}"


def read_table(path: Path, delimiter: str | None = None, encoding: str | None = None) -> Table:
    """A table with every field as text.

    Args:
        path: The file, plain or packed by gzip, bzip2, xz, zip or Zstandard.
        delimiter: What separates its fields; `None`: by its first rows.
        encoding: How its characters are written; `None`: UTF-8, or what its mark says.

    Raises:
        DataError: A file that is missing, damaged or no table, rows of another width than the header, two columns of
            one name.
    """
    file = text_file(path, delimiter, encoding)
    try:
        names = header_of(file)
        with file.open() as text:
            settings = {"sep": file.delimiter, "skipinitialspace": True, "na_filter": False}
            frame = pd.read_csv(text, dtype=str, **settings)  # pyright: ignore[reportArgumentType]
    except (pd.errors.EmptyDataError, pd.errors.ParserError, csv.Error, StopIteration) as error:
        raise DataError(f"{path}: not a table of fields separated by {file.delimiter!r} ({error})") from error
    if frame.empty:
        raise DataError(f"{path}: no rows below the header line")
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path}, line {file.line(0)}: more fields than the header line names")
    frame.columns = pd.Index(names)
    require_width(frame, file)
    return Table(frame, file)


def header_of(file: TextFile) -> list[str]:
    """The names in the header line, blanks around them stripped, with a name for those that have none."""
    line, fields = next(file.rows())
    names = [field.strip() or f"Unnamed: {i}" for i, field in enumerate(fields)]
    require_distinct(names, f"{file.path}, line {line}")
    return names


def require_distinct(names: Sequence[str], where: str) -> None:
    """A `DataError` where two columns have one name."""
    for i, name in enumerate(names):
        if name in names[:i]:
            raise DataError(f"{where}: two columns are named {name!r}; rename or drop one of them")


def require_width(frame: pd.DataFrame, file: TextFile) -> None:
    """A `DataError` about the first row with fewer fields than the header; pandas would take the rest for empty."""
    if not (frame.iloc[:, -1] == "").any():
        return
    for line, fields in file.rows():
        if len(fields) < frame.shape[1]:
            counts = f"{len(fields)} fields, but the header line names {frame.shape[1]}"
            raise DataError(f"{file.path}, line {line}: {counts}; the row may be cut off")


def table_of(frame: pd.DataFrame) -> Table:
    """A table from a frame of the user's.

    Raises:
        DataError: No rows, or two columns of one name.
    """
    if frame.empty:
        raise DataError("the table has no rows")
    frame = frame.set_axis([str(name).strip() for name in frame], axis=1)
    require_distinct(list(frame), "the table")
    return Table(frame.reset_index(drop=True))


def counts_rows(table: Table, name: str) -> bool:
    """Whether a column without a name only counts the rows, as the index that pandas writes does."""
    if not name.startswith("Unnamed: "):
        return False
    values = numbers(table.frame, name)
    return bool(np.array_equal(values, values[0] + np.arange(len(values))))
