"""Real runs on MNIST from the command line, with an accuracy to reach, on fewer samples than the full runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from altmin.cli import main

pytestmark = pytest.mark.slow


# The full runs reach .89 (dladmm, 200 iterations), .80 (mdlam, 150), .93 (ipdlam and dlam), .97 (am-adam) and so on;
# on a tenth to two fifths of the samples, some narrower, by a fraction of the iterations, these are left on any seed.
@pytest.mark.parametrize(
    ("name", "hidden", "samples", "epochs", "least"),
    [
        ("ipdlam", "500", 10_000, 10, 0.90),
        ("dlam", "200", 6_000, 10, 0.85),
        ("mdlam", "100", 5_000, 60, 0.74),
        ("dladmm", "100", 5_000, 50, 0.78),
        ("am-adam", "100", 20_000, 5, 0.94),
        ("am-sgd", "100", 20_000, 8, 0.94),
        ("am-mem", "100", 10_000, 3, 0.80),
        ("adam", "100", 20_000, 5, 0.93),
    ],
)
def test_accuracy(name: str, hidden: str, samples: int, epochs: int, least: float, real_data: Path, tmp_path: Path):
    size = ["--hidden", hidden, hidden, "--train-samples", str(samples), "--epochs", str(epochs)]
    where = ["--data", "mnist", "--data-dir", str(real_data), "--out", str(tmp_path), "--threads", "1", "--quiet"]
    assert main(["train", name, *where, *size]) == 0
    (run,) = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert run["status"] == "ok"
    assert run["test_accuracy"] >= least
    assert run["validation_accuracy"] >= run["last_validation_accuracy"]
