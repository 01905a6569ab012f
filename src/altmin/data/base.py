"""What every data set is given as: three splits, their shapes, and how they are drawn."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from altmin.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from altmin.data.table.encoder import TableEncoder


@dataclass(frozen=True)
class Split:
    """Samples and their targets.

    Attributes:
        x: (N, p) floating-point features.
        y: (N,) int64 class indices, or (N, q) floating-point targets for regression.
    """

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class TargetScale:
    """What a regression target was standardised by.

    Attributes:
        mean: What was subtracted.
        scale: What the rest was divided by.
    """

    mean: float
    scale: float

    def standardised(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Targets in their units, computed in float64."""
        return ((y.double() - self.mean) / self.scale).to(dtype)

    def units(self, y: Tensor) -> Tensor:
        """Standardised targets or outputs in the target's units, as float64."""
        return y.double() * self.scale + self.mean


@dataclass(frozen=True)
class Dataset:
    """Training, validation and test samples of one data set; no sample is in two of them.

    Attributes:
        name: The name it was loaded by.
        train: The samples to fit.
        validation: The samples to choose settings by; none in a data set that trains on all that others hold out.
        test: The samples to quote the final accuracy on.
        classes: The classes' names in the order of their indices; `None` for regression.
        shape: The shape of one sample.
        image: The (channels, height, width) that a sample's pixels are flattened from; `None` where they are no image.
        note: Which samples the splits hold, in words, and which columns of a table were not taken as they stand.
        encoder: What a table's rows were encoded by, to encode others; `encoder.about` says what each column was taken
            for. `None` for other data sets.
        units: What brings standardised regression targets back into their units; `None` where they are in units.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...] | None
    shape: tuple[int, ...]
    image: tuple[int, ...] | None = None
    note: str = ""
    encoder: TableEncoder | None = None
    units: TargetScale | None = None

    @property
    def features(self) -> int:
        """The width of the network's input."""
        return self.train.x.shape[1]

    def centred(self) -> Dataset:
        """The same samples, less the mean of the training ones: signs of random sums of them are then balanced."""
        mean = self.train.x.mean(0)
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        moved = {name: Split(split.x - mean, split.y) for name, split in splits.items()}
        encoder = None if self.encoder is None else self.encoder.shifted(mean.tolist())
        return replace(self, note=f"{self.note}; centred".removeprefix("; "), encoder=encoder, **moved)

    def multiplied(self, factors: Tensor) -> Dataset:
        """The same samples, each column times its factor, ``(p,)``; of images, which no table has encoded."""
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        return replace(self, **{name: Split(split.x * factors.to(split.x), split.y) for name, split in splits.items()})

    def standardised(self) -> Dataset:
        """The same samples with a regression target of mean 0 and deviation 1 over the training ones; classes stay.

        Methods expect targets of about that size; `units` brings outputs back.
        """
        units = getattr(self.encoder and self.encoder.target, "units", None)
        if units is None or self.units is not None:
            return self
        splits = {name: getattr(self, name) for name in ("train", "validation", "test")}
        scaled = {name: Split(split.x, units.standardised(split.y, split.x.dtype)) for name, split in splits.items()}
        return replace(self, units=units, **scaled)

    @property
    def outputs(self) -> int:
        """The width of the network's output: the number of classes, or of regression targets."""
        return len(self.classes) if self.classes is not None else self.train.y.shape[1]


class Parts(NamedTuple):
    """The row numbers of the three splits."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def take(self, train_samples: int | None) -> Parts:
        """The same parts with only the first `train_samples` rows of the training part."""
        return self._replace(train=self.train[: taken(len(self.train), train_samples)])


def taken(available: int, train_samples: int | None) -> int:
    """The number of training samples to use; a `ValueError` where there are not so many."""
    if train_samples is None:
        return available
    if not 0 < train_samples <= available:
        raise ValueError(f"`train_samples` is {train_samples}, but must lie between 1 and the {available:,} available")
    return train_samples


def three_way(count: int, seed: int, labels: np.ndarray | None = None, names: Sequence[str] = ()) -> Parts:
    """Rows drawn 60/20/20 into training, validation and test, in random order.

    Args:
        count: The number of rows.
        seed: The seed of the draw.
        labels: Class indices to stratify by; `None` draws without regard to them.
        names: The classes' names, for error messages.
    """
    require_members(labels, names, least=3)
    rest, test = hold_out(np.arange(count), count // 5, seed, labels)
    train, validation = hold_out(rest, count // 5, seed, labels)
    return Parts(train, validation, test)


def hold_out(rows: np.ndarray, count: int, seed: int, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The rows that stay, and `count` that are held out, stratified where there are labels."""
    from sklearn.model_selection import train_test_split  # takes a second to import

    kinds = 1 if labels is None else len(np.unique(labels))
    if count < kinds:
        share = "a fifth" if labels is None else f"a fifth stratified over {kinds} classes"
        raise DataError(f"too few samples to hold out {share}: at least {5 * kinds} are needed")
    stratify = None if labels is None else labels[rows]
    stay, held = train_test_split(rows, test_size=count, random_state=seed, stratify=stratify)
    return np.asarray(stay), np.asarray(held)


def require_members(labels: np.ndarray | None, names: Sequence[str], least: int) -> None:
    """A `DataError` that names the first class with fewer than `least` samples."""
    if labels is None:
        return
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if count < least:
            raise DataError(f"class {name!r} has {count} sample(s); a stratified split needs {least}")


def numbers(frame: pd.DataFrame, name: Hashable) -> np.ndarray:
    """A column's values as float64, nan where they are no number."""
    import pandas as pd

    return np.asarray(pd.to_numeric(frame[name], errors="coerce"), dtype=np.float64)
