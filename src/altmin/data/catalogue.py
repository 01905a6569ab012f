"""The data sets by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from altmin.data.base import Dataset
from altmin.data.download import DownloadProgress
from altmin.data.files import DataSource, data_root
from altmin.data.higgs import HIGGS, load_higgs
from altmin.data.images import CIFAR10, DIGITS, FASHION, FASHION_MNIST, MNIST, load_cifar, load_digits, load_idx
from altmin.data.synthetic import TRAIN, load_synthetic
from altmin.data.table import TableOptions
from altmin.errors import nearest


@dataclass(frozen=True)
class Variant:
    """Drawn images as a paper takes them: with a split, a size, or a scale, of its own.

    Attributes:
        base: The data set.
        held_out: How many of the training images, the last ones, are for validation; 0: there is no validation.
        pool: The side of the squares of pixels whose mean becomes one; 1 leaves images as they are.
        largest: What the largest pixel is.
        spread: How many times as large as the smallest the largest factor may be by which a pixel is multiplied; 1:
            all pixels have the same.
    """

    base: str
    held_out: int = 5_000
    pool: int = 1
    largest: float = 1.0
    spread: float = 1.0

    def scaled(self, dataset: Dataset) -> Dataset:
        """The same samples, each column times `largest` and a factor of its own, the same for every seed.

        Factors are drawn, their logarithms evenly, from one over the root of `spread` to the root.
        """
        if self.largest == self.spread == 1.0:
            return dataset
        drawn = torch.rand(dataset.features, generator=torch.Generator().manual_seed(0))
        return dataset.multiplied(self.largest * self.spread ** (drawn - 0.5))


@dataclass(frozen=True)
class DatasetDescription:
    """One row of the list of data sets; `None` stands for what depends on the table or is chosen.

    Attributes:
        name: The name to load it by.
        samples: The number of its samples in all.
        features: The number of features of one sample.
        classes: The number of classes.
        source: Where it comes from.
        split: How it is divided into training, validation and test.
        place: Where it lies, or where a download goes; empty where it needs no file of its own.
        present: Whether it can be loaded without a download.
    """

    name: str
    samples: int | None
    features: int | None
    classes: int | None
    source: str
    split: str
    place: str = ""
    present: bool = True


DRAWN = "60/20/20, stratified by seed"
IDX, IDX_50, IDX_60 = "55,000 / 5,000 / 10,000", "50,000 / 10,000 / 10,000", "60,000 / none / 10,000"
VARIANTS = {
    "mnist-60k": Variant("mnist", held_out=0),
    "mnist-50k": Variant("mnist", held_out=10_000),
    "mnist-196": Variant("mnist", pool=2),
    "mnist-255": Variant("mnist", largest=255.0),
    "mnist-uneven": Variant("mnist", spread=1_000.0),
    "fashion-mnist-60k": Variant("fashion-mnist", held_out=0),
    "fashion-mnist-50k": Variant("fashion-mnist", held_out=10_000),
}
"""Data sets whose images are another's, by their names."""
SOURCES: dict[str, DataSource] = {source.name: source for source in (MNIST, FASHION_MNIST, CIFAR10, HIGGS)}
DESCRIPTIONS = (
    DatasetDescription("digits", 1_797, 64, 10, "scikit-learn", DRAWN),
    DatasetDescription(
        "synthetic", None, 784, 10, "drawn by seed", f"as many as asked for, or {TRAIN:,} / 1,000 / 1,000"
    ),
    DatasetDescription("mnist", 70_000, 784, 10, "LeCun, Cortes and Burges", IDX),
    DatasetDescription("mnist-60k", 70_000, 784, 10, "mnist", IDX_60),
    DatasetDescription("mnist-50k", 70_000, 784, 10, "mnist", IDX_50),
    DatasetDescription("mnist-196", 70_000, 196, 10, "mnist, means of 2 x 2 pixels", IDX),
    DatasetDescription("mnist-255", 70_000, 784, 10, "mnist, pixels from 0 to 255", IDX),
    DatasetDescription("mnist-uneven", 70_000, 784, 10, "mnist, each pixel times 1/32 to 32", IDX),
    DatasetDescription("fashion-mnist", 70_000, 784, 10, "Zalando Research", IDX),
    DatasetDescription("fashion-mnist-60k", 70_000, 784, 10, "fashion-mnist", IDX_60),
    DatasetDescription("fashion-mnist-50k", 70_000, 784, 10, "fashion-mnist", IDX_50),
    DatasetDescription("cifar10", 60_000, 3_072, 10, "Krizhevsky", "batches 1 to 4 / batch 5 / test batch"),
    DatasetDescription("higgs", 11_000_000, 28, 2, "UCI", f"the rest / 500,000 / last 500,000; a sample: {DRAWN}"),
    DatasetDescription("csv", None, None, None, "your tables", f"{DRAWN}; 80/20 and the test table where there is one"),
)


def names() -> list[str]:
    """The names that `load` knows."""
    return [row.name for row in DESCRIPTIONS]


def describe(data_dir: Path | str | None = None) -> list[DatasetDescription]:
    """One row for each data set, with where it lies or would be downloaded to."""
    return [located(row, data_root(data_dir)) for row in DESCRIPTIONS]


def located(row: DatasetDescription, root: Path) -> DatasetDescription:
    """The row with its place below a data folder."""
    variant = VARIANTS.get(row.name)
    source = SOURCES.get(row.name if variant is None else variant.base)
    if source is None:
        return row
    paths = source.find(root)
    folder = next(iter(paths.values())).parent if paths else source.home(root)
    return replace(row, place=str(folder), present=paths is not None)


def load(
    name: str,
    *,
    data_dir: Path | str | None = None,
    train_samples: int | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    csv: TableOptions | None = None,
    progress: DownloadProgress | None = None,
    center: bool = False,
) -> Dataset:
    """The training, validation and test samples of a data set, downloaded if it lies nowhere yet.

    Args:
        name: One of `names`.
        data_dir: The folder that data sets lie in; ``ALTMIN_DATA`` or ``~/.cache/altmin`` by default.
        train_samples: Use only so many training samples, from the front.
        seed: The seed of splits that are drawn.
        dtype: The floating-point type of features and of regression targets.
        csv: The tables to read for the name ``csv``.
        progress: Called with (file, bytes so far, bytes in all or `None`) while a file is downloaded.
        center: Subtract the mean of the training samples from all samples.

    Raises:
        ValueError: An unknown name, or settings that do not go together.
        DataError: A file that is missing, cut short, or not what its name says.
    """
    require_settings(name, train_samples, dtype, csv)
    dataset = _read(name, data_dir, train_samples, seed, dtype, csv, progress)
    return dataset.centred() if center else dataset


def _read(
    name: str,
    data_dir: Path | str | None,
    train_samples: int | None,
    seed: int,
    dtype: torch.dtype,
    csv: TableOptions | None,
    progress: DownloadProgress | None,
) -> Dataset:
    if csv is not None:
        from altmin.data.table.loading import load_table  # pandas takes a second to import

        return load_table(csv, train_samples, seed, dtype)
    if name == "digits":
        return load_digits(train_samples, seed, dtype)
    if name == "synthetic":
        return load_synthetic(train_samples, seed, dtype)
    if name == "higgs":
        return load_higgs(SOURCES[name], data_dir, train_samples, seed, dtype, progress)
    if name == "cifar10":
        return load_cifar(SOURCES[name], data_dir, train_samples, dtype, progress)
    variant = VARIANTS.get(name, Variant(name))
    classes = FASHION if variant.base == "fashion-mnist" else DIGITS
    options = {"held_out": variant.held_out, "pool": variant.pool}
    dataset = load_idx(SOURCES[variant.base], classes, data_dir, train_samples, dtype, progress, **options)
    return replace(variant.scaled(dataset), name=name)


def require_settings(name: str, train_samples: int | None, dtype: torch.dtype, csv: TableOptions | None) -> None:
    """A `ValueError` about settings that no data set can be loaded by."""
    if name not in names():
        raise ValueError(f"unknown data set {name!r}; {nearest(name, names())}")
    if (name == "csv") != (csv is not None):
        raise ValueError("the data set 'csv', and no other, needs the tables to read: csv=TableOptions(...)")
    if train_samples is not None and train_samples < 1:
        raise ValueError(f"`train_samples` is {train_samples}, but must be at least 1")
    if not dtype.is_floating_point:
        raise ValueError(f"`dtype` is {dtype}, but features need a floating-point type")
