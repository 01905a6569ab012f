"""Image data sets: scikit-learn's digits, MNIST and Fashion-MNIST (IDX files), and CIFAR-10 (binary batches)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from altmin.data.base import Dataset, Split, taken, three_way
from altmin.data.download import DownloadProgress, obtain
from altmin.data.files import DataSource, File, damaged, unpack
from altmin.errors import DataError

DIGITS = tuple("0123456789")
FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
RECORD = 1 + 3 * 32 * 32  # a label byte, then the red, green and blue planes

MNIST = DataSource(
    name="mnist",
    files=(
        File("train-images-idx3-ubyte", "6bbc9ace898e44ae57da46a324031adb", 47_040_016),
        File("train-labels-idx1-ubyte", "a25bea736e30d166cdddb491f175f624", 60_008),
        File("t10k-images-idx3-ubyte", "2646ac647ad5339dbf082846283269ea", 7_840_016),
        File("t10k-labels-idx1-ubyte", "27ae3e4e09519cfbb04c329615203637", 10_008),
    ),
    folders=("mnist", "MNIST/raw"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
)

FASHION_MNIST = DataSource(
    name="fashion-mnist",
    files=(
        File("train-images-idx3-ubyte", "f4a8712d7a061bf5bd6d2ca38dc4d50a", 47_040_016),
        File("train-labels-idx1-ubyte", "9018921c3c673c538a1fc5bad174d6f9", 60_008),
        File("t10k-images-idx3-ubyte", "8181f5470baa50b63fa0f6fddb340f0a", 7_840_016),
        File("t10k-labels-idx1-ubyte", "15d484375f8d13e6eb1aabb0c3f46965", 10_008),
    ),
    folders=("fashion-mnist", "FashionMNIST/raw"),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
)

CIFAR10 = DataSource(
    name="cifar10",
    files=(
        File("data_batch_1.bin", "5dd7e06a14cb22eb9f671a540d1b7c25", 10_000 * RECORD),
        File("data_batch_2.bin", "5ea93a67294ea407fff1d09f752e9692", 10_000 * RECORD),
        File("data_batch_3.bin", "942cd6a4bcdd0dd3c604fbe906cb4421", 10_000 * RECORD),
        File("data_batch_4.bin", "ae636b3ba5c66a11e91e8cb52e771fcb", 10_000 * RECORD),
        File("data_batch_5.bin", "53f37980c15c3d472c316c40844f3f0d", 10_000 * RECORD),
        File("test_batch.bin", None, 10_000 * RECORD),
    ),
    folders=("cifar10", "cifar-10-batches-bin", "cifar10/cifar-10-batches-bin"),
    mirrors=(
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
    archive="cifar-10-binary.tar.gz",
)


def load_digits(train_samples: int | None, seed: int, dtype: torch.dtype) -> Dataset:
    """scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, 60/20/20 by the seed."""
    from sklearn.datasets import load_digits as embedded

    x, y = (np.asarray(array) for array in embedded(return_X_y=True))
    parts = three_way(len(x), seed, y, DIGITS).take(train_samples)
    train, validation, test = (
        Split(torch.from_numpy(x[rows] / 16).to(dtype), torch.from_numpy(y[rows]).long()) for rows in parts
    )
    note = f"60/20/20, stratified, seed {seed}"
    return Dataset("digits", train, validation, test, DIGITS, (64,), (1, 8, 8), note)


def load_idx(
    source: DataSource,
    classes: tuple[str, ...],
    data_dir: Path | str | None,
    train_samples: int | None,
    dtype: torch.dtype,
    progress: DownloadProgress | None = None,
    held_out: int = 5_000,
    pool: int = 1,
) -> Dataset:
    """Images from IDX files, pixels the means of `pool` squared; the last `held_out` to train on are for validation."""
    paths = obtain(source, data_dir, progress)
    x, y = labelled(source, paths, "train", len(classes))
    test = labelled(source, paths, "t10k", len(classes))
    first = len(x) - held_out
    if first < 1:
        raise DataError(
            f"{paths['train-images-idx3-ubyte']}: {len(x):,} images, of which {held_out:,} are validation's"
        )
    count = taken(first, train_samples)
    size = tuple(side // pool for side in x.shape[1:])
    parts = (x[:count], y[:count]), (x[first:], y[first:]), test
    return Dataset(
        source.name,
        *(pooled(scaled(*part, dtype), x.shape[1:], pool) for part in parts),
        classes=classes,
        shape=(math.prod(size),),
        image=(1, *size),
        note=f"training: the first {first:,} training images, validation: the last {held_out:,}, "
        f"test: the {len(test[0]):,} test images",
    )


def load_cifar(
    source: DataSource,
    data_dir: Path | str | None,
    train_samples: int | None,
    dtype: torch.dtype,
    progress: DownloadProgress | None = None,
) -> Dataset:
    """CIFAR-10: batches 1 to 4 to train on, 5 for validation, and what the test batch holds for test."""
    paths = obtain(source, data_dir, progress)
    *batches, held_out = (read_records(paths[file.name], file.most, file.size) for file in source.files[:-1])
    test = read_records(paths[source.files[-1].name], source.files[-1].most)
    train = np.concatenate(batches)
    count = taken(len(train), train_samples)
    return Dataset(
        source.name,
        *(scaled(part[:, 1:], part[:, 0], dtype) for part in (train[:count], held_out, test)),
        classes=CIFAR,
        shape=(RECORD - 1,),
        image=(3, 32, 32),
        note=f"training: batches 1 to 4, validation: batch 5, test: the {len(test):,} images that test_batch.bin holds",
    )


def labelled(source: DataSource, paths: dict[str, Path], part: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The images and labels of two IDX files that belong together."""
    most = {file.name: file.most for file in source.files}
    images, labels = f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"
    x, y = read_idx(paths[images], 3, most[images]), read_idx(paths[labels], 1, most[labels])
    if len(x) != len(y):
        raise damaged(paths[labels], f"{len(y):,} labels, but {paths[images].name} holds {len(x):,} images")
    require_labels(paths[labels], y, classes)
    return x, y


def read_idx(path: Path, axes: int, most: int) -> np.ndarray:
    """The bytes of an IDX file, plain or gzip, as a uint8 array with `axes` axes; `most` bytes with its header."""
    header = 4 + 4 * axes
    shape = idx_shape(path, unpack(path, header)[0][:header], axes)
    expected = header + math.prod(shape)
    if expected > most:
        raise damaged(path, f"its header asks for {expected:,} bytes, but the file has {most:,} at most")
    data, whole = unpack(path, expected)
    require_size(path, expected, len(data), whole)
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def idx_shape(path: Path, head: bytes, axes: int) -> list[int]:
    """The lengths of the axes that an IDX file's first bytes tell."""
    magic, header = bytes((0, 0, 8, axes)), 4 + 4 * axes
    if len(head) >= 4 and head[:4] != magic:
        raise damaged(path, f"not an IDX file of {axes} axes: it starts with {head[:4].hex()}, expected {magic.hex()}")
    if len(head) < header:
        raise damaged(path, f"expected a header of {header} bytes, found {len(head)}")
    return np.frombuffer(head, ">u4", axes, offset=4).tolist()


def read_records(path: Path, most: int, expected: int | None = None) -> np.ndarray:
    """The (N, 3073) records of a CIFAR-10 batch of at most `most` bytes; `expected` where their number is fixed."""
    data, whole = unpack(path, most)
    if len(data) > most:
        raise damaged(path, f"expected {most:,} bytes, found more")
    if not data or len(data) % RECORD:
        raise damaged(path, f"expected a multiple of {RECORD:,} bytes, found {len(data):,}")
    require_size(path, expected or len(data), len(data), whole)
    records = np.frombuffer(data, np.uint8).reshape(-1, RECORD)
    require_labels(path, records[:, 0], len(CIFAR))
    return records


def require_size(path: Path, expected: int, found: int, whole: bool) -> None:
    """A `DataError` where a file does not hold the bytes that it should, of which no more than one too many is read."""
    if found != expected or not whole:
        reason = " or more" if found > expected else "" if whole else " before its gzip data breaks off"
        raise damaged(path, f"expected {expected:,} bytes, found {found:,}{reason}")


def require_labels(path: Path, labels: np.ndarray, classes: int) -> None:
    """A `DataError` where a label is the index of no class."""
    if labels.size and labels.max() >= classes:
        raise damaged(path, f"label {labels.max()} at sample {labels.argmax() + 1}, expected 0 to {classes - 1}")


def pooled(split: Split, size: tuple[int, ...], side: int) -> Split:
    """Flat images of a size, with the mean of each square of `side` pixels as one."""
    if side == 1:
        return split
    means = torch.nn.functional.avg_pool2d(split.x.unflatten(1, (1, *size)), side)
    return Split(means.flatten(1), split.y)


def scaled(pixels: np.ndarray, labels: np.ndarray, dtype: torch.dtype) -> Split:
    """Flattened pixels scaled to [0, 1], and labels."""
    x = torch.from_numpy(pixels.reshape(len(pixels), math.prod(pixels.shape[1:])).copy()).to(dtype).div_(255)
    return Split(x, torch.from_numpy(labels.astype(np.int64)))
