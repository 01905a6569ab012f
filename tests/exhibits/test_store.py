"""Outcomes on disk: back as they were, never half, and never those of another training."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf, isnan, nan
from pathlib import Path

import pytest

from altmin.exhibits.store import Store
from altmin.methods import BCD
from exhibits.making import outcome, setting

ONE = outcome(seed=2, value=[0.1, nan, 1 / 3], diverged=True)


@pytest.fixture
def told() -> list[str]:
    return []


def path_of(folder: Path, seed: int = 2) -> Path:
    return folder / "runs" / f"{setting().digest(seed)}.json"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    Store(tmp_path, pytest.fail).put(setting(), 2, ONE)
    return path_of(tmp_path)


def test_there_and_back(tmp_path: Path, kept: Path):
    found = Store(tmp_path, pytest.fail).get(setting(), 2)
    assert found is not None
    assert isnan(found.curves["value"][1])
    assert (found.curves["value"][0], found.curves["value"][2]) == (0.1, 1 / 3)
    assert (found.status, found.error, found.seed, found.about) == (ONE.status, ONE.error, ONE.seed, ONE.about)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_infinity_comes_back_as_nan(tmp_path: Path):
    Store(tmp_path, pytest.fail).put(setting(), 0, outcome(value=[inf]))
    found = Store(tmp_path, pytest.fail).get(setting(), 0)
    assert found is not None
    assert isnan(found.curves["value"][0])


def test_only_what_was_asked_for(tmp_path: Path, kept: Path):
    store = Store(tmp_path, pytest.fail)
    assert store.get(setting(), 1) is None
    assert store.get(setting(epochs=3), 2) is None


def test_what_was_put_is_there_without_reading(tmp_path: Path):
    store = Store(tmp_path, pytest.fail)
    assert store.get(setting(), 0) is None
    store.put(setting(), 0, ONE)
    assert store.get(setting(), 0) is ONE


def changed(**values: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text(path.read_text()[:-20]),
    "no text": lambda path: path.write_bytes(b"\xff\xfe\x00"),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a number": lambda path: path.write_text("3"),
    "nothing in it": lambda path: path.write_text("{}"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "no curves": changed(curves=None),
    "a curve of words": changed(curves={"value": ["x"]}),
    "a curve that is a number": changed(curves={"value": 3}),
    "another status": changed(status="fine"),
    "no machine": changed(about=None),
    "another seed": changed(seed=3),
    "another training": changed(setting=setting(BCD(gamma=0.3)).described()),
    "more than an outcome": changed(more=1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_reported_and_not_used(damage: str, tmp_path: Path, kept: Path, told: list[str]):
    DAMAGES[damage](kept)
    store = Store(tmp_path, told.append)
    assert store.get(setting(), 2) is None
    assert store.get(setting(), 2) is None
    (text,) = told
    assert text.startswith(f"{kept} is damaged (")
    assert text.endswith("its training is made again")
    store.put(setting(), 2, ONE)
    assert Store(tmp_path, pytest.fail).get(setting(), 2) is not None


def test_a_file_that_was_copied_to_another_name(tmp_path: Path, kept: Path, told: list[str]):
    path_of(tmp_path, seed=0).write_bytes(kept.read_bytes())
    assert Store(tmp_path, told.append).get(setting(), 0) is None
    assert "another training" in told[0]
