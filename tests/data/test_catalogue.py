"""Data sets by name, and where they are looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import altmin.data
from altmin.data import TableOptions, data_root, describe, load, names
from altmin.data.base import three_way
from altmin.data.images import MNIST
from altmin.errors import DataError


def test_names():
    images = [f"{name}{split}" for name in ("mnist", "fashion-mnist") for split in ("", "-60k", "-50k")]
    images[3:3] = ["mnist-196", "mnist-255", "mnist-uneven"]
    assert names() == ["digits", "synthetic", *images, "cifar10", "higgs", "csv"]


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="unknown data set 'fashion_mnist'; did you mean 'fashion-mnist'"):
        load("fashion_mnist")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_samples": 0}, "`train_samples` is 0"),
        ({"train_samples": -3}, "`train_samples` is -3"),
        ({"train_samples": 1080}, "train_samples` is 1080, .* 1,079 available"),
        ({"dtype": torch.int64}, "`dtype` is torch.int64"),
        ({"csv": TableOptions(train=Path("a.csv"), target="y")}, "'csv', and no other"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        load("digits", **settings)


def test_csv_needs_its_tables():
    with pytest.raises(ValueError, match="needs the tables"):
        load("csv")


def test_where_data_are_looked_for(monkeypatch, tmp_path):
    assert data_root() == tmp_path / "home" / ".cache" / "altmin"
    monkeypatch.setenv("ALTMIN_DATA", str(tmp_path / "mine"))
    assert data_root() == tmp_path / "mine"
    assert data_root(tmp_path / "argument") == tmp_path / "argument"
    assert data_root("~/there") == tmp_path / "home" / "there"


def test_description_says_where_data_lie_or_would(tmp_path):
    rows = {row.name: row for row in describe(tmp_path)}
    assert list(rows) == names()
    assert rows["digits"].present
    assert not rows["mnist"].present
    assert rows["mnist"].place == str(tmp_path / "mnist")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in MNIST.files:
        (raw / f"{file.name}.gz").touch()
    row = next(row for row in describe(tmp_path) if row.name == "mnist")
    assert row.present
    assert Path(row.place) == raw


def test_description_of_digits_is_true():
    row, data = describe()[0], load("digits")
    assert row.samples == len(data.train) + len(data.validation) + len(data.test)
    assert (row.features, row.classes) == (data.features, data.outputs)


def test_synthetic_images_are_drawn_by_the_seed_and_can_be_told_apart():
    first, again, other = (load("synthetic", train_samples=300, seed=seed) for seed in (0, 0, 1))
    assert len(first.train) == 300
    assert first.features == torch.tensor(first.shape).prod() == 784
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)
    means = torch.stack([first.train.x[first.train.y == c].mean(0) for c in range(first.outputs)])
    nearest = torch.cdist(first.test.x, means).argmin(1)
    assert float((nearest == first.test.y).double().mean()) > 0.95


def numpy_state():
    state = np.random.get_state(legacy=True)  # noqa: NPY002
    assert isinstance(state, tuple)
    return state[1].copy()


def test_importing_and_loading_leave_random_states_alone():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    before = torch.get_rng_state(), numpy_state()
    load("digits", seed=3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (numpy_state() == before[1]).all()


def test_the_package_imports_only_the_errors_of_the_library():
    folder = Path(altmin.data.__file__).parent
    imports = [line for path in folder.glob("*.py") for line in path.read_text().splitlines() if "import" in line]
    own = {line.split()[1] for line in imports if line.strip().startswith(("from altmin", "import altmin"))}
    assert "altmin.errors" in own
    assert {name for name in own if not name.startswith("altmin.data")} == {"altmin.errors"}


def test_three_way_split_takes_every_row_once():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    parts = three_way(100, 0, labels, "abc")
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [np.bincount(labels[part]).tolist() for part in parts] == [[30, 18, 12], [10, 6, 4], [10, 6, 4]]


def test_a_class_too_small_to_stratify_is_named():
    with pytest.raises(DataError, match=r"class 'b' has 2 sample\(s\); a stratified split needs 3"):
        three_way(40, 0, np.repeat([0, 1], [38, 2]), "ab")


def test_too_few_samples_to_stratify():
    with pytest.raises(DataError, match="at least 15 are needed"):
        three_way(9, 0, np.repeat([0, 1, 2], 3), "abc")


def test_centred_samples_differ_by_the_training_mean():
    plain, moved = load("digits"), load("digits", center=True)
    assert float(moved.train.x.mean(0).abs().max()) < 1e-5
    for part in ("train", "validation", "test"):
        gap = getattr(plain, part).x - getattr(moved, part).x
        torch.testing.assert_close(gap, plain.train.x.mean(0).expand_as(gap))
