"""IDX files, CIFAR-10 batches and scikit-learn's digits."""

from __future__ import annotations

import gzip
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits as embedded

from altmin.data import Dataset, Split, load
from altmin.data.catalogue import VARIANTS
from altmin.data.download import check
from altmin.data.files import opened
from altmin.data.images import CIFAR10, DIGITS, FASHION_MNIST, MNIST, RECORD, load_cifar, load_idx
from altmin.errors import DataError

PIXELS = {"train": np.arange(10 * 6).reshape(10, 2, 3) * 4, "t10k": np.arange(4 * 6).reshape(4, 2, 3) + 100}
LABELS = {"train": np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]), "t10k": np.array([2, 7, 1, 8])}


def idx(array: np.ndarray) -> bytes:
    """The IDX format: 0, 0, type 8 for bytes, the number of axes, their big-endian lengths, the bytes."""
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()


def write_mnist(folder, suffix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k"):
        for name, array in (("images-idx3", PIXELS[part]), ("labels-idx1", LABELS[part])):
            content = idx(array)
            (folder / f"{part}-{name}-ubyte{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return folder


def load_small(folder, **changes):
    """The small data set above, of which the last 3 training images are for validation."""
    offline = replace(MNIST, mirrors=("http://127.0.0.1:9/",))
    settings = {"train_samples": None, "dtype": torch.float32, "held_out": 3, **changes}
    return load_idx(offline, DIGITS, folder, **settings)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("place", "root"), [("mnist", "."), ("MNIST/raw", "."), ("mnist", "mnist"), ("MNIST/raw", "MNIST")]
)
def test_mnist_splits_wherever_the_files_lie(tmp_path, place, root, suffix):
    write_mnist(tmp_path / place, suffix)
    data = load_small(tmp_path / root)
    pixels = PIXELS["train"].reshape(10, 6)
    for split, x, y in (
        (data.train, pixels[:7], LABELS["train"][:7]),
        (data.validation, pixels[7:], LABELS["train"][7:]),
        (data.test, PIXELS["t10k"].reshape(4, 6), LABELS["t10k"]),
    ):
        assert split.x.dtype == torch.float32
        assert split.y.dtype == torch.int64
        np.testing.assert_allclose(split.x.numpy(), x / 255, rtol=1e-6)
        assert split.y.tolist() == y.tolist()
    assert (data.shape, data.image, data.features, data.outputs) == ((6,), (1, 2, 3), 6, 10)


def test_nothing_is_held_out_where_a_split_trains_on_all(tmp_path):
    data = load_small(write_mnist(tmp_path / "mnist"), held_out=0)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [10, 0, 4]
    assert data.validation.x.shape == (0, 6)


def test_pooled_images_have_the_means_of_squares(tmp_path):
    write_mnist(tmp_path / "mnist")
    data = load_small(tmp_path / "mnist", pool=2)
    squares = PIXELS["train"][:, :2, :2].reshape(10, -1).mean(1) / 255
    np.testing.assert_allclose(torch.cat([data.train.x, data.validation.x])[:, 0], squares, rtol=1e-6)
    size = [side // 2 for side in PIXELS["train"].shape[1:]]
    assert (data.image, data.shape, data.features) == ((1, *size), (size[0] * size[1],), size[0] * size[1])


@pytest.mark.parametrize("name", ["mnist-255", "mnist-uneven"])
def test_variants_of_another_scale_have_columns_times_a_factor_each(name: str):
    variant, x = VARIANTS[name], torch.rand(12, 784, dtype=torch.float64) + 0.1
    parts = Split(x[:6], torch.arange(6)), Split(x[6:9], torch.arange(3)), Split(x[9:], torch.arange(3))
    data = variant.scaled(Dataset("mnist", *parts, classes=None, shape=(784,)))
    factors = data.train.x[0] / x[0] / variant.largest
    assert torch.equal(data.train.y, parts[0].y)
    found = torch.cat([data.train.x, data.validation.x, data.test.x])
    torch.testing.assert_close(found, x * factors * variant.largest)
    end = variant.spread**0.5
    assert 0.999 / end <= factors.min() < 1.2 / end
    assert 0.8 * end < factors.max() <= 1.001 * end
    assert factors.log().mean().abs() < 0.1 * max(factors.log().max(), 1.0)


@pytest.mark.parametrize(
    ("name", "train", "validation"), [("mnist-60k", 60_000, 0), ("fashion-mnist-50k", 50_000, 10_000)]
)
def test_real_splits_by_name(real_data, name, train, validation):
    data, usual = (load(n, data_dir=real_data) for n in (name, name[: name.rindex("-")]))
    assert (data.name, len(data.train), len(data.validation), len(data.test)) == (name, train, validation, 10_000)
    assert torch.equal(data.train.x[:50_000], usual.train.x[:50_000])


def test_files_directly_in_a_folder_of_another_name_are_not_taken(tmp_path):
    write_mnist(tmp_path / "things")
    with pytest.raises(DataError, match="could not be downloaded"):
        load_small(tmp_path / "things")


def test_fewer_training_samples_leave_the_other_splits(tmp_path):
    write_mnist(tmp_path / "mnist")
    data = load_small(tmp_path, train_samples=2, dtype=torch.float64)
    assert data.train.y.tolist() == LABELS["train"][:2].tolist()
    assert data.train.x.dtype == torch.float64
    assert (len(data.validation), len(data.test)) == (3, 4)
    with pytest.raises(ValueError, match=r"train_samples` is 8, .* 1 and the 7 available"):
        load_small(tmp_path, train_samples=8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(PIXELS["train"])[:-5], "expected 76 bytes, found 71"),
        (idx(PIXELS["train"]) + b"?", "expected 76 bytes, found 77"),
        (gzip.compress(idx(PIXELS["train"]))[:-20], "expected 76 bytes, found .* gzip data breaks off"),
        (gzip.compress(idx(PIXELS["train"]))[:-2], "expected 76 bytes, found .* gzip data breaks off"),
        (idx(PIXELS["train"])[:9], "a header of 16 bytes, found 9"),
        (b"", "a header of 16 bytes, found 0"),
        (idx(LABELS["train"]), "it starts with 00000801, expected 00000803"),
        (idx(PIXELS["train"][:9]), "10 labels, but .* holds 9 images"),
    ],
    ids=["short", "long", "gzip", "gzip trailer", "header", "empty", "labels", "fewer images"],
)
def test_a_damaged_file_is_named_with_what_to_do(tmp_path, content, message):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_small(tmp_path)
    assert "-ubyte: " in str(caught.value)
    assert "downloaded again" in str(caught.value)


def test_a_label_beyond_the_classes_is_an_error(tmp_path):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(np.array([1, 2, 10, 4])))
    with pytest.raises(DataError, match="t10k-labels-idx1-ubyte: label 10 at sample 3, expected 0 to 9"):
        load_small(tmp_path)


def test_too_few_images_for_validation_is_an_error(tmp_path):
    write_mnist(tmp_path / "mnist")
    with pytest.raises(DataError, match="10 images, of which 10 are validation's"):
        load_small(tmp_path, held_out=10)


def records(count: int, seed: int) -> np.ndarray:
    """CIFAR-10 records: a label and 3,072 pixels each."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.integers(0, 10, (count, 1)), rng.integers(0, 256, (count, 3072))], 1).astype(np.uint8)


@pytest.fixture
def cifar(tmp_path):
    """Batches of 4 images, a test batch of 3, and the source that expects such batches."""
    batches = {file.name: records(4, seed) for seed, file in enumerate(CIFAR10.files)}
    batches["test_batch.bin"] = records(3, 9)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    for name, batch in batches.items():
        (tmp_path / "cifar-10-batches-bin" / name).write_bytes(batch.tobytes())
    return batches, replace(CIFAR10, files=tuple(replace(file, size=4 * RECORD) for file in CIFAR10.files))


def test_cifar_splits_by_batches(tmp_path, cifar):
    batches, source = cifar
    data = load_cifar(source, tmp_path, None, torch.float32)
    train = np.concatenate([batches[f"data_batch_{b}.bin"] for b in (1, 2, 3, 4)])
    for split, expected in (
        (data.train, train),
        (data.validation, batches["data_batch_5.bin"]),
        (data.test, batches["test_batch.bin"]),
    ):
        assert split.y.tolist() == expected[:, 0].tolist()
        np.testing.assert_allclose(split.x.numpy(), expected[:, 1:] / 255, rtol=1e-6)
    assert "the 3 images that test_batch.bin holds" in data.note
    assert (data.image, data.outputs) == ((3, 32, 32), 10)


@pytest.mark.parametrize(
    ("name", "length", "message"),
    [
        ("test_batch.bin", 2 * RECORD + 1, "a multiple of 3,073 bytes, found 6,147"),
        ("test_batch.bin", 0, "a multiple of 3,073 bytes, found 0"),
        ("data_batch_2.bin", 2 * RECORD, "expected 12,292 bytes, found 6,146"),
    ],
)
def test_a_cifar_batch_cut_short_is_an_error(tmp_path, cifar, name, length, message):
    path = tmp_path / "cifar-10-batches-bin" / name
    path.write_bytes(bytes(length))
    with pytest.raises(DataError, match=f"{name}: expected .*{message}|{name}: {message}"):
        load_cifar(cifar[1], tmp_path, None, torch.float32)


def test_digits_are_split_by_the_seed():
    data = load("digits")
    x, y = embedded(return_X_y=True)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [1079, 359, 359]
    everything = torch.cat([data.train.x, data.validation.x, data.test.x]).numpy() * 16
    order, original = np.lexsort(everything.T), np.lexsort(x.T)
    np.testing.assert_allclose(everything[order], x[original], atol=1e-5)
    share = torch.bincount(data.test.y) / len(data.test)
    np.testing.assert_allclose(share, np.bincount(y) / len(y), atol=0.005)
    assert torch.equal(load("digits").test.x, data.test.x)
    assert not torch.equal(load("digits", seed=1).test.x, data.test.x)
    assert torch.equal(load("digits", train_samples=50).train.x, data.train.x[:50])


@pytest.mark.parametrize("source", [MNIST, FASHION_MNIST], ids=lambda source: source.name)
def test_checksums_of_the_real_files(real_data, source):
    paths = source.find(real_data)
    if paths is None:
        pytest.skip(f"no {source.name} in {real_data}")
    for file in source.files:
        with opened(paths[file.name]) as stream:
            check(file, stream)


@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_real_idx_data(real_data, name, mean):
    """The means are the ones that these data sets are commonly normalised by."""
    if {"mnist": MNIST, "fashion-mnist": FASHION_MNIST}[name].find(real_data) is None:
        pytest.skip(f"no {name} in {real_data}")
    data = load(name, data_dir=real_data)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [55_000, 5_000, 10_000]
    sums = data.train.x.double().sum() + data.validation.x.double().sum()
    assert sums / (60_000 * 784) == pytest.approx(mean, abs=1e-4)
    assert torch.bincount(data.train.y).add(torch.bincount(data.validation.y)).sum() == 60_000


def test_real_cifar10(real_data):
    paths = CIFAR10.find(real_data)
    if paths is None:
        pytest.skip(f"no CIFAR-10 batches in the binary layout in {real_data}")
    for file in CIFAR10.files[:-1]:
        with opened(paths[file.name]) as stream:
            check(file, stream)
    data = load("cifar10", data_dir=real_data, train_samples=1_000)
    assert data.classes is not None
    assert [data.classes[label] for label in data.train.y[:3]] == ["frog", "truck", "truck"]
    assert data.train.x[:, :1024].mean() > data.train.x[:, 2048:].mean(), "images are redder than blue on average"
    assert len(data.validation) == 10_000


def header(*lengths: int) -> bytes:
    return bytes([0, 0, 8, len(lengths)]) + b"".join(length.to_bytes(4, "big") for length in lengths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(2**31, 2**16, 2**17), "asks for 18,446,744,073,709,551,632 bytes, but the file has 47,040,016 at most"),
        (header(60_000, 28, 29), "asks for 48,720,016 bytes"),
        (gzip.compress(header(10, 2, 3) + bytes(2**22)), "expected 76 bytes, found 77 or more"),
    ],
    ids=["overflow", "larger than MNIST", "more than its header says"],
)
def test_an_idx_file_has_no_more_than_its_data_set(tmp_path, content, message):
    folder = write_mnist(tmp_path / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_small(tmp_path)


@pytest.mark.parametrize("name", ["data_batch_1.bin", "test_batch.bin"])
def test_a_cifar_batch_has_no_more_than_its_data_set(tmp_path, cifar, name):
    path = tmp_path / "cifar-10-batches-bin" / name
    path.write_bytes(gzip.compress(bytes(RECORD * 1_000)))
    with pytest.raises(DataError, match=f"{name}: expected 12,292 bytes, found more"):
        load_cifar(cifar[1], tmp_path, None, torch.float32)
