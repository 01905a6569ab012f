"""Any table of delimited text as a data set, for classification or regression."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from altmin.data.base import Dataset, Parts, Split, hold_out, require_members, three_way
from altmin.data.table.cells import Cells
from altmin.data.table.columns import CategoryColumn, Column, DroppedColumn, NumberColumn
from altmin.data.table.encoder import TableEncoder
from altmin.data.table.fitting import fit_category, fit_number
from altmin.data.table.kinds import reading_of, writes_decimal_commas
from altmin.data.table.numerals import PLAIN
from altmin.data.table.options import TableOptions
from altmin.data.table.reading import Table, counts_rows, read_table
from altmin.data.table.targets import (
    ClassTarget,
    NumberTarget,
    Target,
    class_target,
    in_units,
    number_target,
    require_dtype,
    require_labels,
)
from altmin.errors import DataError, LeakWarning, nearest


def load_table(options: TableOptions, train_samples: int | None, seed: int, dtype: torch.dtype) -> Dataset:
    """A table's samples, encoded by the training rows alone."""
    table, test = read_tables(options)
    require_target(table, options.target)
    columns = {name: table.cells(name) for name in table.names}
    commas = writes_decimal_commas(table, columns)
    classes = class_target(table, options.target) if options.task == "classification" else None
    parts = split_rows(table, classes, seed, test).take(train_samples)
    target = classes or number_target(table, options.target, parts.train, commas, dtype)
    del columns[options.target]
    fitted = fit_columns(table, columns, parts.train, commas)
    encoder = TableEncoder(fitted, target, options.missing == "impute")
    warn_of_leaks(table, encoder)
    splits, remarks = encode(table, test, parts, encoder, dtype)
    note = "; ".join([describe_split(options, seed), *looked_at(encoder), *remarks])
    names = classes.classes if classes else None
    train, validation, test_split = splits
    return Dataset("csv", train, validation, test_split, names, (encoder.width,), note=note, encoder=encoder)


def read_tables(options: TableOptions) -> tuple[Table, Table | None]:
    """The training table, and the test table where there is one."""
    paths = [Path(path).expanduser() for path in (options.train, options.test) if path is not None]
    tables = [read_table(path, options.delimiter, options.encoding) for path in paths]
    return tables[0], tables[1] if len(tables) > 1 else None


def require_target(table: Table, target: str) -> None:
    """A `DataError` where there is no target, or nothing beside it."""
    if target not in table.names:
        separated = (
            f"fields are separated by {table.file.delimiter!r}; " if table.file and len(table.names) == 1 else ""
        )
        raise DataError(f"{table.title}: no target column {target!r}; {separated}{nearest(target, table.names)}")
    if len(table.names) < 2:
        raise DataError(f"{table.title}: no column but the target {target!r}")


def fit_columns(table: Table, columns: dict[str, Cells], rows: np.ndarray, commas: bool) -> tuple[Column, ...]:
    """Every column, its kind by the whole table and its numbers by the training rows.

    Raises:
        DataError: A text that does not fit into its column, or no column to learn from.
    """
    fitted: list[Column] = []
    for name, cells in columns.items():
        if counts_rows(table, name):
            fitted.append(DroppedColumn(name, "counts the rows and has no name, dropped"))
        elif (reading := reading_of(table, name, cells, commas)) is not None:
            fitted.append(fit_number(table, name, cells, reading, rows))
        else:
            fitted.append(fit_category(name, cells, rows))
    if not any(column.width for column in fitted):
        dropped = "; ".join(f"{column.name}: {column.about}" for column in fitted)
        raise DataError(f"{table.title}: no column to learn from ({dropped})")
    return tuple(fitted)


def warn_of_leaks(table: Table, encoder: TableEncoder) -> None:
    """A `LeakWarning` for every column that tells the target in all rows."""
    target = encoder.target
    y = target.read(table)
    for column in encoder.columns:
        if column.width and tells(table, column, y, isinstance(target, ClassTarget)):
            copy = f"column {column.name!r} tells the target {target.name!r} in every row"
            warnings.warn(f"{table.title}: {copy}: drop it if it is a copy", LeakWarning, stacklevel=2)


def tells(table: Table, column: Column, y: np.ndarray, classes: bool) -> bool:
    """Whether a column is the target by other names, or the same number."""
    cells = table.cells(column.name)
    if not classes:
        return isinstance(column, NumberColumn) and np.array_equal(column.reading.values(table, column.name, cells), y)
    count = int(y.max()) + 1
    if len(cells.texts) != count or (cells.codes < 0).any():
        return False
    return len(np.unique(cells.codes * count + y)) == count


def encode(
    table: Table, test: Table | None, parts: Parts, encoder: TableEncoder, dtype: torch.dtype
) -> tuple[list[Split], list[str]]:
    """The three splits, and remarks about rows that are unlike the training rows."""
    x, remarks = encoder.features(table, dtype)
    y = targets(table, encoder.target, dtype)
    splits = [Split(x[rows], y[rows]) for rows in (parts if test is None else parts[:2])]
    if test is not None:
        x, more = encoder.features(test, dtype)
        require_target(test, encoder.target.name)
        remarks += [f"{test.title}: {remark}" for remark in more]
        splits.append(Split(x, targets(test, encoder.target, dtype)))
    return splits, remarks


def targets(table: Table, target: Target, dtype: torch.dtype) -> torch.Tensor:
    """The target of every row, classes as int64 or numbers in their units.

    Raises:
        DataError: A row without a label, or an unknown class.
    """
    y = target.read(table)
    require_labels(table, target.name, np.isnan(y) if isinstance(target, NumberTarget) else y < 0)
    if isinstance(target, ClassTarget):
        return torch.from_numpy(y)
    require_dtype(table, target.name, y, dtype)
    return in_units(y, target, dtype)


def split_rows(table: Table, target: ClassTarget | None, seed: int, test: Table | None) -> Parts:
    """The rows of the three splits: those of a table of its own, or a fifth of the training table, are to test on."""
    labels, names, count = (target.read(table) if target else None), (target.classes if target else ()), len(table)
    try:
        if test is None:
            return three_way(count, seed, labels, names)
        require_members(labels, names, least=2)
        train, validation = hold_out(np.arange(count), count // 5, seed, labels)
    except DataError as error:
        hint = ". For a target that is a quantity, set the task to regression (--task regression)" if target else ""
        raise DataError(f"{table.title}: {error}{hint}") from error
    return Parts(train, validation, np.arange(len(test)))


def describe_split(options: TableOptions, seed: int) -> str:
    """Which rows the splits hold, in words."""
    drawn = f"{'stratified, ' if options.task == 'classification' else ''}seed {seed}"
    if options.test is None:
        return f"{options.train}: 60/20/20, {drawn}"
    return f"{options.train}: 80/20 training and validation, {drawn}; test: {options.test}"


def looked_at(encoder: TableEncoder) -> list[str]:
    """The columns that were not taken as they stand: all but plain numbers, and text without gaps or rest."""
    names = [column.name for column in encoder.columns if not is_plain(column)]
    return [f"columns to look at: {' | '.join(names)}"] if names else []


def is_plain(column: Column) -> bool:
    """Whether there is nothing to say about a column."""
    if isinstance(column, NumberColumn):
        return column.about == PLAIN.about([])
    return isinstance(column, CategoryColumn) and not column.others and "missing" not in column.about
