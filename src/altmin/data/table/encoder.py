"""All that was fitted on a training table: what turns the rows of any table into a network's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from altmin.data.table.columns import CategoryColumn, Column, DroppedColumn, NumberColumn
from altmin.data.table.fitted_json import finite, plain, restored
from altmin.data.table.reading import Table
from altmin.data.table.targets import Target
from altmin.errors import DataError

VERSION = 1


@dataclass(frozen=True)
class TableEncoder:
    """The columns of a table as they were fitted on its training rows, and the target.

    Attributes:
        columns: The columns in the order of their features.
        target: The column to predict.
        impute: Whether missing values are filled in; they are refused otherwise.
        shift: What is subtracted from the features last; empty for nothing.
    """

    columns: tuple[Column, ...]
    target: Target
    impute: bool = True
    shift: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """The number of features."""
        return sum(column.width for column in self.columns)

    @property
    def about(self) -> tuple[str, ...]:
        """What every column was taken for, the target last."""
        return tuple(f"{column.name}: {column.about}" for column in (*self.columns, self.target))

    def shifted(self, shift: Sequence[float]) -> TableEncoder:
        """The same encoder, with something more to subtract from the features."""
        return replace(self, shift=tuple(shift))

    def features(self, table: Table, dtype: torch.dtype) -> tuple[Tensor, list[str]]:
        """The network's inputs ``(N, width)``, and remarks about the rows.

        Args:
            table: The rows; its columns in any order, with or without the target, further ones are ignored.
            dtype: The inputs' floating-point type.

        Raises:
            DataError: A column that is missing, or a cell that cannot be read or held.
        """
        remarks = self.compare_columns(table)
        x, start = torch.empty((len(table), self.width), dtype=dtype), 0
        for column in self.columns:
            if not column.width:
                continue
            if not self.impute:
                require_complete(table, column)
            values, remark = column.features(table)
            place = x[:, start : start + column.width]
            place.copy_(torch.from_numpy(values))
            require_finite(table, column.name, place, dtype)
            start += column.width
            remarks += [f"{column.name}: {remark}"] if remark else []
        return x - torch.tensor(self.shift, dtype=dtype) if self.shift else x, remarks

    def compare_columns(self, table: Table) -> list[str]:
        """A remark about columns that are ignored; a `DataError` about those that are missing."""
        known, own = {column.name for column in self.columns} | {self.target.name}, set(table.names)
        lacks, extra = [c.name for c in self.columns if c.width and c.name not in own], sorted(own - known)
        if lacks:
            difference = f"lacks {lacks}, has also {extra or 'none'}"
            raise DataError(f"{table.title}: other columns than the training table: {difference}")
        return [f"columns that the training table did not have are ignored: {', '.join(extra)}"] if extra else []

    def to_json(self) -> dict[str, Any]:
        """All of it as what JSON can say; numbers come back with the same bits."""
        columns = [plain(column) for column in self.columns]
        shared = {"impute": self.impute, "shift": list(self.shift)}
        return {"version": VERSION, "columns": columns, "target": plain(self.target), **shared}

    @classmethod
    def from_json(cls, value: Any) -> TableEncoder:
        """What `to_json` gave.

        Raises:
            ValueError: Anything else.
        """
        try:
            if value["version"] != VERSION:
                raise ValueError(f"version {value['version']!r}, but this altmin reads version {VERSION}")
            columns, target = tuple(map(restored, value["columns"])), restored(value["target"])
            encoder = cls(columns, target, bool(value["impute"]), tuple(map(finite, value["shift"])))
            if not isinstance(target, Target) or not all(map(_is_column, columns)):
                raise ValueError("a target among the columns, or none")
            if encoder.shift and len(encoder.shift) != encoder.width:
                raise ValueError(f"{len(encoder.shift)} numbers to subtract from {encoder.width} features")
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no encoder of a table ({error!r})") from error
        return encoder


def _is_column(fitted: Any) -> bool:
    return isinstance(fitted, NumberColumn | CategoryColumn | DroppedColumn)


def require_complete(table: Table, column: Column) -> None:
    """A `DataError` about the first missing value of a column."""
    cells = table.cells(column.name)
    missing = cells.codes < 0
    if isinstance(column, NumberColumn):
        missing = np.isnan(column.reading.values(table, column.name, cells))
    if missing.any():
        where = table.where(int(missing.argmax()))
        advice = "fill in or drop such rows, or have them imputed (--csv.missing impute)"
        raise DataError(f"{where}: column {column.name!r} has no value ({missing.sum():,} missing in all); {advice}")


def require_finite(table: Table, name: str, x: Tensor, dtype: torch.dtype) -> None:
    """A `DataError` about the first number that the features' type cannot hold."""
    wrong = ~torch.isfinite(x).all(1)
    if wrong.any():
        row = int(wrong.int().argmax())
        text, held = str(table.frame[name].iloc[row]).strip(), str(dtype).removeprefix("torch.")
        raise DataError(f"{table.where(row)}: column {name!r} holds {text}, so far from training that {held} overflows")
