"""UCI HIGGS: 28 features of a collision, signal or background; a table too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from altmin.data.base import Dataset, Parts, Split, numbers, three_way
from altmin.data.download import Progress, obtain
from altmin.data.files import BROKEN_GZIP, File, Source, damaged, opened
from altmin.errors import DataError

FEATURES = 28
CLASSES = ("background", "signal")
FULL = 10_000_000  # rows from which on a file counts as the whole data set, with its customary test rows
HELD_OUT = 500_000

# No checksum of the 8 GB is published: a download is checked by its size and gzip's CRC, its rows when they are read.
HIGGS = Source(
    name="higgs",
    files=(File("HIGGS.csv", None, 8_035_497_980),),
    folders=("higgs",),
    mirrors=(
        "https://archive.ics.uci.edu/ml/machine-learning-databases/00280/",
        "http://mlphysics.ics.uci.edu/data/higgs/",
    ),
)


def stream(path: Path | str, batch_size: int, dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a HIGGS file in its order, as (b, 28) features that are not standardised and (b,) int64 labels.

    No more than one batch is held at a time. A last batch may be smaller.

    Args:
        path: The table, plain or gzip, label first; a header line is optional.
        batch_size: The number of rows in a batch.
        dtype: The features' floating-point type.
    """
    path = Path(path)
    header = has_header(path)
    row = 0
    try:
        with (
            opened(path) as file,
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
    """Whether a table's first line holds names instead of numbers."""
    with opened(path) as file:
        try:
            first = file.readline().decode("utf-8", "replace").split(",")[0].strip()
        except BROKEN_GZIP as error:
            raise damaged(path, f"gzip data breaks off within its {path.stat().st_size:,} bytes") from error
    try:
        float(first)
    except ValueError:
        return first != ""
    return False


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


def load_higgs(
    source: Source,
    data_dir: Path | str | None,
    train_samples: int | None,
    seed: int,
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Dataset:
    """HIGGS, whole or a sample, standardised by the training rows."""
    (path,) = obtain(source, data_dir, progress).values()
    batches = list(stream(path, 100_000, dtype))
    x, y = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    del batches
    parts = split_rows(y.numpy(), seed)
    train, validation, test = standardised(x, y, parts.take(train_samples))
    kind = f"60/20/20, stratified, seed {seed}"
    if len(y) >= FULL:
        kind = f"test: the last {HELD_OUT:,} rows, validation: the {HELD_OUT:,} before, training: the rest"
    return Dataset("higgs", train, validation, test, CLASSES, (FEATURES,), None, f"{len(y):,} rows; {kind}")


def split_rows(labels: np.ndarray, seed: int, full: int = FULL, held_out: int = HELD_OUT) -> Parts:
    """The rows of the three splits: the customary ones of the whole file, or 60/20/20 of a sample."""
    count = len(labels)
    if count < full:
        return three_way(count, seed, labels, CLASSES)
    train, validation, test = np.split(np.arange(count), (count - 2 * held_out, count - held_out))
    return Parts(train, validation, test)


def standardised(x: Tensor, y: Tensor, parts: Parts) -> list[Split]:
    """The splits, with features shifted and scaled to mean 0 and variance 1 over the training rows."""
    splits = [Split(x[rows], y[rows]) for rows in parts]
    variance, mean = torch.var_mean(splits[0].x, dim=0, correction=0)
    scale = torch.where(variance > 0, variance.sqrt(), 1)  # a constant feature becomes 0, not nan
    for split in splits:
        split.x.sub_(mean).div_(scale)
    return splits
