"""Any table of comma-separated values, for classification or regression."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from altmin.data.base import Dataset, Parts, Split, hold_out, numbers, require_members, three_way
from altmin.data.files import BROKEN_GZIP, damaged, opened
from altmin.errors import DataError, nearest


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Which tables to read, and what to learn from them.

    Attributes:
        train: The table to train and validate on, plain or gzip, with a header line; without `test` also to test on.
        test: A table with the same columns to test on.
        target: The column to predict.
        task: Whether the target is a class or a number.
    """

    train: Path
    test: Path | None = None
    target: str
    task: Literal["classification", "regression"] = "classification"


@dataclass(frozen=True)
class Table:
    """A table as text, and the file that its errors name."""

    path: Path
    frame: pd.DataFrame

    def where(self, row: int) -> str:
        """The file and the line that a row starts on."""
        return f"{self.path}, line {line_of(self.path, row)}"


def load_table(options: TableOptions, train_samples: int | None, seed: int, dtype: torch.dtype) -> Dataset:
    """A table's samples: numbers standardised and text one-hot, by the training rows alone."""
    if options.task not in (known := ["classification", "regression"]):
        raise ValueError(f"unknown task {options.task!r}; {nearest(str(options.task), known)}")
    tables = [read_table(Path(path).expanduser()) for path in (options.train, options.test) if path is not None]
    require_columns(tables, options.target)
    numeric = [name for name in tables[0].frame if is_numeric(tables[0], str(name))]
    tables = [with_numbers(table, numeric) for table in tables]
    targets, classes = target_values(tables, options)
    parts = split_rows(tables, targets, classes, seed).take(train_samples)

    frame = pd.concat([table.frame for table in tables], ignore_index=True).drop(columns=options.target)
    encoder = feature_encoder(frame, numeric).fit(frame.iloc[parts.train])
    y = torch.from_numpy(np.concatenate(targets)).to(torch.int64 if classes else dtype)
    train, validation, test = (
        Split(torch.from_numpy(np.asarray(encoder.transform(frame.iloc[rows]))).to(dtype), y[rows]) for rows in parts
    )
    return Dataset("csv", train, validation, test, classes, (train.x.shape[1],), None, describe_split(options, seed))


def describe_split(options: TableOptions, seed: int) -> str:
    """Which rows the splits hold, in words."""
    drawn = f"{'stratified, ' if options.task == 'classification' else ''}seed {seed}"
    if options.test is None:
        return f"{options.train}: 60/20/20, {drawn}"
    return f"{options.train}: 80/20 training and validation, {drawn}; test: {options.test}"


def read_table(path: Path) -> Table:
    """A table with every field as text, empty fields missing."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        with opened(path) as file:
            frame = pd.read_csv(file, dtype=str, skipinitialspace=True)
    except BROKEN_GZIP as error:
        raise damaged(path, f"gzip data breaks off within its {path.stat().st_size:,} bytes") from error
    except (pd.errors.EmptyDataError, pd.errors.ParserError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a table of comma-separated values ({error})") from error
    if frame.empty:
        raise DataError(f"{path}: no rows below the header line")
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path}, line {line_of(path, 0)}: more fields than the header line names")
    return require_complete(Table(path, frame))


def require_complete(table: Table) -> Table:
    """The table; a `DataError` where a field is missing."""
    rows, columns = np.nonzero(table.frame.isna().to_numpy())
    if len(rows):
        column = table.frame.columns[columns[0]]
        raise DataError(
            f"{table.where(int(rows[0]))}: column {column!r} has no value ({len(rows)} missing in all); "
            "fill in or drop such rows"
        )
    return table


def require_columns(tables: list[Table], target: str) -> None:
    """A `DataError` where a column is missing or too many."""
    known = [str(name) for name in tables[0].frame]
    if target not in known:
        raise DataError(f"{tables[0].path}: no target column {target!r}; {nearest(target, known)}")
    if len(known) < 2:
        raise DataError(f"{tables[0].path}: no column but the target {target!r}")
    for table in tables[1:]:
        lacks, extra = sorted(set(known) - set(table.frame)), sorted(set(table.frame) - set(known))
        if lacks or extra:
            difference = f"lacks {lacks or 'none'}, has also {extra or 'none'}"
            raise DataError(f"{table.path}: other columns than {tables[0].path}: {difference}")


def is_numeric(table: Table, name: str) -> bool:
    """Whether a column holds numbers; a `DataError` where nearly all its values are finite numbers but some are not.

    Those are taken for mistakes if they are a single one or 5% among a majority of numbers.
    """
    values = numbers(table.frame, name)
    stray = ~np.isfinite(values)
    few = stray.sum() <= max(1, 0.05 * len(stray)) and 2 * stray.sum() < len(stray)
    if stray.any() and (few or not np.isnan(values).any()):
        raise stray_text(table, name, int(stray.argmax()))
    return not stray.any()


def stray_text(table: Table, name: str, row: int) -> DataError:
    """The error about a value that is no finite number in a column of numbers."""
    return DataError(f"{table.where(row)}: column {name!r} holds numbers, but here {table.frame[name].iloc[row]!r}")


def with_numbers(table: Table, numeric: list[str]) -> Table:
    """The table with the named columns as floating-point numbers."""
    frame = table.frame.astype(object)
    for name in numeric:
        values = numbers(table.frame, name)
        stray = ~np.isfinite(values)
        if stray.any():
            raise stray_text(table, name, int(stray.argmax()))
        frame[name] = values
    return Table(table.path, frame)


def target_values(tables: list[Table], options: TableOptions) -> tuple[list[np.ndarray], tuple[str, ...] | None]:
    """The target of each table, as class indices or as (N, 1) numbers, and the classes' names."""
    columns = [table.frame[options.target].to_numpy() for table in tables]
    if options.task == "regression":
        if columns[0].dtype == object:
            row = int(np.isnan(numbers(tables[0].frame, options.target)).argmax())
            raise DataError(f"{tables[0].where(row)}: target {options.target!r} is text: {columns[0][row]!r}")
        return [column[:, None] for column in columns], None
    labels = np.unique(columns[0])
    if len(labels) < 2:
        raise DataError(f"{tables[0].path}: target {options.target!r} has one class only, {class_name(labels[0])!r}")
    for table, column in zip(tables, columns, strict=True):
        if (unknown := ~np.isin(column, labels)).any():
            row = int(unknown.argmax())
            raise DataError(f"{table.where(row)}: class {class_name(column[row])!r} is not in {tables[0].path}")
    return [np.searchsorted(labels, column) for column in columns], tuple(map(class_name, labels))


def class_name(label: float | str) -> str:
    """A label as text, ``1.0`` as ``1``."""
    return str(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def split_rows(tables: list[Table], targets: list[np.ndarray], classes: tuple[str, ...] | None, seed: int) -> Parts:
    """The rows of the three splits in the tables put one below the other."""
    labels, count = (targets[0] if classes else None), len(targets[0])
    try:
        if len(tables) == 1:
            return three_way(count, seed, labels, classes or ())
        require_members(labels, classes or (), least=2)
        train, validation = hold_out(np.arange(count), count // 5, seed, labels)
    except DataError as error:
        hint = ". For a target that is a quantity, set the task to regression (--task regression)" if classes else ""
        raise DataError(f"{tables[0].path}: {error}{hint}") from error
    return Parts(train, validation, np.arange(count, count + len(targets[1])))


def feature_encoder(frame: pd.DataFrame, numeric: list[str]) -> ColumnTransformer:
    """An encoder that standardises columns of numbers and one-hot encodes columns of text."""
    scaled = [name for name in frame if name in numeric]
    text = [name for name in frame if name not in numeric]
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return ColumnTransformer([("numbers", StandardScaler(), scaled), ("text", one_hot, text)], sparse_threshold=0)


def line_of(path: Path, row: int) -> int:
    """The line of a file that a row of its table starts on: rows may span lines, and empty lines are no rows."""
    with opened(path) as file:
        reader = csv.reader(io.TextIOWrapper(file, encoding="utf-8", newline=""), skipinitialspace=True)
        start, index = 1, -2  # the header line is no row
        for fields in reader:
            index += any(field.strip() for field in fields) or len(fields) > 1
            if index == row:
                return start
            start = reader.line_num + 1
    return start
