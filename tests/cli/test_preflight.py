"""What would fail behind the last epoch is refused before the first one."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import altmin
from altmin.cli import main, preflight

TINY = ["--train-samples", "60", "--hidden", "4", "--epochs", "1", "--threads", "1"]


pytestmark = pytest.mark.usefixtures("here")


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The error of a command line that trains nothing."""
    assert main([*line.split(), "--out", "run"]) == 2
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    assert not re.search(r"^\S+ 1/", shown.out, re.MULTILINE)
    assert not list(Path("run").glob("*"))
    return shown.err


@pytest.mark.parametrize("command", ["train adam", "train dladmm", "compare adam dladmm"])
def test_samples_of_the_test_set_beyond_the_dtype(command: str, capsys: pytest.CaptureFixture[str]):
    a = np.random.default_rng(0).normal(size=100)
    table = pd.DataFrame({"a": a, "b": a[::-1], "label": np.where(a > 0, "yes", "no")})
    table.to_csv("train.csv", index=False)
    table.assign(b=[1e300, *table.b[1:]]).to_csv("test.csv", index=False)
    data = "--csv.train train.csv --csv.test test.csv --csv.target label"
    refused(f"{command} {data} --hidden 4 --epochs 2", capsys)


@pytest.mark.parametrize("command", ["train adam", "compare adam"])
def test_images_of_another_size_in_the_test_set(command: str, capsys: pytest.CaptureFixture[str]):
    Path("d/mnist").mkdir(parents=True)
    for name, n, side in (("train", 6000, 28), ("t10k", 50, 14)):
        pixels = struct.pack(">4B3I", 0, 0, 8, 3, n, side, side) + bytes(n * side * side)
        Path(f"d/mnist/{name}-images-idx3-ubyte").write_bytes(pixels)
        labels = struct.pack(">4BI", 0, 0, 8, 1, n) + bytes(i % 10 for i in range(n))
        Path(f"d/mnist/{name}-labels-idx1-ubyte").write_bytes(labels)
    refused(f"{command} --data mnist --data-dir d --train-samples 100 --hidden 4 --epochs 2", capsys)


@pytest.mark.thinned(1)
@pytest.mark.parametrize("command", ["train adam", "compare adam", "bench adam"])
@pytest.mark.parametrize(
    ("options", "part"),
    [
        ("--threads 100000", "--threads must be at most "),
        ("--device meta", "--device meta: PyTorch cannot compute there"),
        ("--device xla", "--device xla: PyTorch cannot compute there"),
        ("--hidden 1000000000 1000000000", "the network needs about 12 EB"),
    ],
)
def test_what_the_machine_does_not_have(command: str, options: str, part: str, capsys: pytest.CaptureFixture[str]):
    assert part in refused(f"{command} {options}", capsys)


def test_huge_numbers_of_epochs_need_memory_and_disk(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert "will be written there" in refused("train adam --hidden 4 --epochs 1000000000", capsys)
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**18))
    assert "use fewer --epochs" in refused("train adam --hidden 4 --epochs 1000000000", capsys)


def test_a_disk_without_space(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    assert "--out run: about 1.1 MB will be written there, and 1 kB are free" in refused(
        "train adam --hidden 4", capsys
    )


@pytest.mark.parametrize("command", ["train dladmm", "compare adam dladmm", "bench adam dladmm"])
def test_too_little_memory(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(preflight, "free_memory", lambda device: 10_000)
    text = refused(f"{command} --hidden 4", capsys)
    assert "of memory, and 10 kB are free; use fewer samples (--train-samples), narrower layers (--hidden)" in text


@pytest.mark.parametrize(
    ("command", "whose"),
    [
        ("train dladmm", ""),
        ("compare adam dladmm", " for dladmm, the most of all"),
        pytest.param("bench adam dladmm", " for all at once", marks=pytest.mark.slow),
    ],
)
def test_the_need_is_said_in_one_line(command: str, whose: str, capsys: pytest.CaptureFixture[str]):
    options = TINY[:4] if command.startswith("bench") else TINY
    assert main([*command.split(), *options, "--out", "run"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory: about ")]
    assert "(samples " in line
    assert f"){whose}; " in line
    assert line.endswith(" are free")
    assert main([*command.split(), *options, "--out", "quiet", "--quiet"]) == 0
    assert "memory: " not in capsys.readouterr().out


MODEL = """
from time import perf_counter_ns

from torch import nn


def changing():
    width = 3 + perf_counter_ns() % 10007
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
"""


def test_a_network_that_cannot_be_made_again(capsys: pytest.CaptureFixture[str]):
    Path("m.py").write_text(MODEL)
    assert "cannot be saved in run and read back" in refused("train adam --model m.py:changing", capsys)


def test_devices_that_compute_nothing_are_refused_in_python():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="`device` meta: PyTorch cannot compute there"):
        altmin.fit(model, altmin.DLAM(), (torch.randn(4, 2), torch.tensor([0, 1, 0, 1])), epochs=1, device="meta")


@pytest.mark.parametrize("value", [float("inf"), 1e300])
def test_validation_is_checked_before_training_in_python(value: float):
    x, y = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
    other = x.double().clone()
    other[1, 1] = value
    layer = torch.nn.Linear(2, 2)
    model, before = torch.nn.Sequential(layer), layer.weight.detach().clone()
    options: dict[str, Any] = {"validation": (other, y), "precision": "float32"}
    with pytest.raises(ValueError, match=r"`validation`: x holds inf at \(1, 1\)"):
        altmin.fit(model, altmin.OnlineAM(), (x, y), epochs=1, **options)
    with pytest.raises(ValueError, match=r"`validation`: x holds inf at \(1, 1\)"):
        altmin.fit_stream(model, altmin.OnlineAM(), iter([(x, y)]), steps=1, **options)
    assert torch.equal(layer.weight, before)
