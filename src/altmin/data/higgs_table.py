"""Rows of the HIGGS table, checked, from a file that is never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from altmin.data.base import numbers
from altmin.data.files import BROKEN_GZIP, damaged, opened
from altmin.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

FEATURES = 28
LINE = 2**11  # bytes; 29 numbers in full precision need 725


def stream(path: Path | str, batch_size: int, dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a HIGGS file in its order, as (b, 28) features that are not standardised and (b,) int64 labels.

    No more than one batch is held at a time. A last batch may be smaller.

    Args:
        path: The table, plain or gzip, label first; a header line is optional.
        batch_size: The number of rows in a batch.
        dtype: The features' floating-point type.
    """
    yield from rows(Path(path), batch_size, dtype)


def rows(path: Path, batch_size: int, dtype: torch.dtype, most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """The same, of a file that may have `most` unpacked bytes."""
    import pandas as pd

    header = has_header(path)
    row = 0
    try:
        with (
            opened(path, most, LINE) as file,
            pd.read_csv(
                file,
                header=None,
                skiprows=int(header),
                chunksize=batch_size,
                skip_blank_lines=False,
                low_memory=False,
            ) as chunks,
        ):
            for chunk in chunks:
                yield tensors(chunk, path, row + header + 1, dtype)
                row += len(chunk)
    except BROKEN_GZIP as error:
        size = path.stat().st_size
        raise damaged(path, f"gzip data breaks off within its {size:,} bytes, after row {row:,} or later") from error
    except pd.errors.EmptyDataError as error:
        raise damaged(path, "no rows") from error
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise damaged(path, f"not a table of {1 + FEATURES} columns ({error})") from error


def has_header(path: Path) -> bool:
    """Whether a table's first line holds names instead of numbers; a `DataError` where it is no line of HIGGS.

    What is read makes room for as many columns in every row as the first one has: they are counted before.
    """
    with opened(path, line=LINE) as file:
        try:
            lines = [file.readline(2 * LINE).decode("utf-8", "replace").strip() for _ in range(2)]
        except BROKEN_GZIP as error:
            raise damaged(path, f"gzip data breaks off within its {path.stat().st_size:,} bytes") from error
    name = lines[0].split(",")[0].strip()
    header = name != "" and not _is_number(name)
    columns = lines[header].count(",") + 1
    if columns > 1 + FEATURES:
        raise DataError(f"{path}: {columns:,} columns, expected a label and {FEATURES} features")
    return header


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def tensors(chunk: pd.DataFrame, path: Path, line: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """The features and labels of some rows, the first of which is on line `line` of the file."""
    if chunk.shape[1] != 1 + FEATURES:
        raise DataError(f"{path}: {chunk.shape[1]} columns, expected a label and {FEATURES} features")
    values = np.column_stack([numbers(chunk, name) for name in chunk])
    values[~np.isin(values[:, 0], (0, 1)), 0] = np.nan  # a label that is no label is as bad as none
    for row, column in np.argwhere(~np.isfinite(values)):
        expected = "a finite number" if column else "a label, 0 or 1"
        raise DataError(f"{path}, line {line + row}, column {column + 1}: {chunk.iat[row, column]} is not {expected}")
    return torch.from_numpy(values[:, 1:]).to(dtype), torch.from_numpy(values[:, 0]).long()
