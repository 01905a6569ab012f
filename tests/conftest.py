"""Shared by all tests: one thread a process, and the folder of real data where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    """A generator with a fixed seed."""
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped without it."""
    folder = Path(os.environ.get("ALTMIN_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    if not (folder / "mnist").is_dir():
        pytest.skip(f"real data sets are looked for in ALTMIN_TEST_DATA or {folder}, and are not there")
    return folder
