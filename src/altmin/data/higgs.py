"""UCI HIGGS: 28 features of a collision, signal or background; a table too large to be read at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from altmin.data.base import Dataset, Parts, Split, three_way
from altmin.data.download import DownloadProgress, obtain
from altmin.data.files import DataSource, File, damaged
from altmin.data.higgs_table import FEATURES, rows, stream
from altmin.errors import DataError

__all__ = ["FEATURES", "HIGGS", "load_higgs", "moments", "stream", "stream_split"]

ROWS = 11_000_000
CLASSES = ("background", "signal")
FULL = 10_000_000  # rows from which on a file counts as the whole data set, with its customary test rows
HELD_OUT = 500_000
DIGITS = {"test": (0, 1), "validation": (2,), "train": (3, 4, 5, 6, 7, 8, 9)}  # last digits of a split's row numbers
READ = 10_000  # rows read at once where rows are picked from a stream

# No checksum of the 8 GB is published: a download is checked by its size and gzip's CRC, its rows when they are read.
HIGGS = DataSource(
    name="higgs",
    files=(File("HIGGS.csv", None, 8_035_497_980),),
    folders=("higgs",),
    mirrors=(
        "https://archive.ics.uci.edu/ml/machine-learning-databases/00280/",
        "http://mlphysics.ics.uci.edu/data/higgs/",
    ),
)


class Moments(NamedTuple):
    """Mean and standard deviation (1 where a feature is constant) of features, ``(28,)`` float64 each."""

    mean: Tensor
    scale: Tensor


def moments(path: Path | str) -> Moments:
    """Mean and standard deviation over the training rows of `stream_split`, in one pass over the file.

    Batches are merged by their means and their squared deviations from them (Chan, Golub and LeVeque 1983): no large
    sums are subtracted, so that nothing is lost where a feature's mean is large beside its deviation.
    """
    count, mean, squares = 0, torch.zeros(FEATURES, dtype=torch.float64), torch.zeros(FEATURES, dtype=torch.float64)
    for x, _ in picked(path, "train", torch.float64):
        variance, own = torch.var_mean(x, dim=0, correction=0)
        share, apart = len(x) / (count + len(x)), own - mean
        squares += len(x) * variance + count * share * apart.square()
        mean, count = mean + share * apart, count + len(x)
    return Moments(mean, deviation(squares / count))


def stream_split(
    path: Path | str,
    split: str,
    batch_size: int,
    *,
    standardise: Moments | None = None,
    repeat: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of one split of a HIGGS file in its order, as `stream` gives them, without the file in memory.

    Rows are counted from 0, and their last digit decides: 0 and 1 are test rows, 2 validation rows, the rest training
    rows; this needs no memory and works for a sample as for the whole file. (`load_higgs` splits otherwise.)

    Args:
        path: As in `stream`.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        batch_size: The number of rows in a batch; the very last batch may be smaller.
        standardise: What to shift and scale features by, from `moments`; `None` leaves them as they are.
        repeat: Passes over the file; a batch may hold the end of one and the start of the next.
        dtype: The features' floating-point type.

    Raises:
        ValueError: An unknown split, or a number below 1.
        DataError: A file that is broken, or has no rows of that split.
    """
    if split not in DIGITS:
        raise ValueError(f"`split` must be one of {', '.join(DIGITS)}, got {split!r}")
    for name, value in (("batch_size", batch_size), ("repeat", repeat)):
        if value < 1:
            raise ValueError(f"`{name}` must be a positive integer, got {value!r}")
    pieces = (piece for _ in range(repeat) for piece in picked(path, split, torch.float64))
    for x, y in regrouped(pieces, batch_size):
        yield (x if standardise is None else (x - standardise.mean) / standardise.scale).to(dtype), y


def picked(path: Path | str, split: str, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows of one split, in pieces that are never empty."""
    found, digits = False, torch.tensor(DIGITS[split])
    for i, (x, y) in enumerate(stream(path, READ, dtype)):
        rows = torch.isin((i * READ + torch.arange(len(x))) % 10, digits)
        if rows.any():
            found = True
            yield x[rows], y[rows]
    if not found:
        raise DataError(f"{path}: no {split} rows; those end in {', '.join(map(str, DIGITS[split]))}, counted from 0")


def regrouped(pieces: Iterator[tuple[Tensor, Tensor]], size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same rows in groups of `size`, the last one perhaps smaller."""
    x, y = next(pieces)
    for more_x, more_y in pieces:
        for _ in range(len(x) // size):
            yield x[:size], y[:size]
            x, y = x[size:], y[size:]
        x, y = torch.cat([x, more_x]), torch.cat([y, more_y])
    yield from zip(x.split(size), y.split(size), strict=True)


def deviation(variance: Tensor) -> Tensor:
    """The standard deviation, and 1 for a constant feature, which then becomes 0 and not nan."""
    return torch.where(variance > 0, variance.sqrt(), 1)


def load_higgs(
    source: DataSource,
    data_dir: Path | str | None,
    train_samples: int | None,
    seed: int,
    dtype: torch.dtype,
    progress: DownloadProgress | None = None,
) -> Dataset:
    """HIGGS, whole or a sample, standardised by the training rows."""
    (path,) = obtain(source, data_dir, progress).values()
    x, y = whole(path, source.files[0].most, dtype)
    parts = split_rows(y.numpy(), seed)
    train, validation, test = standardised(x, y, parts.take(train_samples))
    kind = f"60/20/20, stratified, seed {seed}"
    if len(y) >= FULL:
        kind = f"test: the last {HELD_OUT:,} rows, validation: the {HELD_OUT:,} before, training: the rest"
    return Dataset("higgs", train, validation, test, CLASSES, (FEATURES,), None, f"{len(y):,} rows; {kind}")


def whole(path: Path, most: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """All rows of a file, of which there are no more than HIGGS has, nor more than `most` bytes."""
    batches, count = [], 0
    for batch in rows(path, READ, dtype, most):
        batches.append(batch)
        if (count := count + len(batch[0])) > ROWS:
            raise damaged(path, f"more than the {ROWS:,} rows of HIGGS")
    x, y = (torch.cat(tensors) for tensors in zip(*batches, strict=True))
    return x, y


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
    for split in splits:
        split.x.sub_(mean).div_(deviation(variance))
    return splits
