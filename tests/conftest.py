"""Shared by all tests: one thread a process, and the folder of real data where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn import datasets

from altmin import registration
from altmin.losses import LOSSES
from altmin.methods.registry import METHODS
from altmin.regularizers import REGULARIZERS
from thinned import leave_to_the_slow_run

torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before pytest leaves out what is slow."""
    leave_to_the_slow_run(items)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def _digits_read_once() -> Iterator[None]:
    """scikit-learn parses its digits at every call, for 30 ms: hundreds of tests of the command line would wait."""
    x, y = datasets.load_digits(return_X_y=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "load_digits", lambda return_X_y: (x.copy(), y.copy()))
        yield


@pytest.fixture
def same_threads() -> Iterator[None]:
    """The number of threads that a test sets is gone behind it."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def short_timings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is spent on clocks' resolution."""
    monkeypatch.setattr("altmin.bench.measure.LEAST", 0.0)
    monkeypatch.setattr("altmin.bench.measure.SIDE", 64)


@pytest.fixture
def short_refits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last layer that is fitted in the end takes few steps, as good as hundreds where its fit is not looked at."""
    for user in ("methods.mac", "layerwise.last_layer"):
        monkeypatch.setattr(f"altmin.{user}.REFIT_STEPS", 20)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that the test works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trials() -> None:
    """The memory that training will need is found out by trials, as users have it."""


@pytest.fixture
def picture() -> None:
    """The picture of a comparison is drawn."""


@pytest.fixture
def training_alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No trials and no picture, which take longer than the small runs of tests, but where a test asks for them."""
    if "trials" not in request.fixturenames:
        monkeypatch.setattr("altmin.cli.preflight._check_memory", lambda *_: {})
    if "picture" not in request.fixturenames:
        for name in ("plot", "plot_training"):
            monkeypatch.setattr(f"altmin.study.plots.{name}", lambda _, path: path.touch())


@pytest.fixture
def registrations() -> Iterator[None]:
    """What a test registers is gone behind it: other tests run over all that is registered."""
    tables: list[dict[Any, Any]] = [registration._conversions, LOSSES._kinds, REGULARIZERS._kinds, METHODS]
    before = [dict(table) for table in tables]
    yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped without it."""
    folder = Path(os.environ.get("ALTMIN_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / "mnist").is_dir():
        pytest.skip(f"real data sets are looked for in ALTMIN_TEST_DATA or {folder}, and are not there")
    return folder
