"""The pictures that runs end with."""

from __future__ import annotations

import csv
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from matplotlib.axes import Axes

from altmin.cli import main
from altmin.study import plots
from cli.written import runs

SMALL = ["--hidden", "4", "--epochs", "3", "--quiet", "--out", "out"]
PICTURE = Path("out/train.png")

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


@pytest.mark.usefixtures("picture")
def test_a_training_is_drawn_as_it_was_recorded(monkeypatch: pytest.MonkeyPatch):
    lines: dict[str, np.ndarray] = {}
    plot = Axes.plot
    monkeypatch.setattr(
        Axes, "plot", lambda axes, x, y, **how: (lines.setdefault(how["label"], np.asarray(y)), plot(axes, x, y, **how))
    )
    assert main(["train", "bcd", *SMALL]) == 0
    height, width, _ = matplotlib.image.imread(PICTURE).shape
    assert width > height > 200
    rows = list(csv.DictReader(Path("out/curves.csv").read_text().splitlines()))
    for name, column in (("objective", "objective"), ("E_1", "residuals.E_1"), ("gap", "gap")):
        assert list(lines[name]) == [float(row[column]) for row in rows]


@pytest.mark.usefixtures("picture")
@pytest.mark.parametrize("more", [["--seeds", "2"], ["--then", "adam", "--then.epochs", "2"]])
def test_several_trainings_are_drawn_together(more: list[str], monkeypatch: pytest.MonkeyPatch):
    drawn: list[int] = []
    plot = plots.plot
    monkeypatch.setattr(plots, "plot", lambda found, path: (drawn.append(len(found)), plot(found, path)))
    assert main(["train", "bcd", *SMALL, *more]) == 0
    assert drawn == [2]
    assert PICTURE.stat().st_size > 10_000


@pytest.mark.parametrize("command", ["train", "compare"])
def test_none_is_drawn_where_none_is_wanted(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "bcd", *SMALL, "--no-plot"]) == 0
    assert main([command, "--resume", "out", "--no-plot"]) == 0
    assert not list(Path("out").glob("*.png"))
    assert "plot" not in Path("out/config.yaml").read_text()
    assert ".png" not in capsys.readouterr().out
    assert main([command, "--resume", "out"]) == 0
    assert [path.name for path in Path("out").glob("*.png")] == [f"{command}.png"]


def test_a_picture_that_fails_costs_the_exit_code_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    def fail(*_: object) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plots, "plot_training", fail)
    assert main(["train", "bcd", *SMALL]) == 3
    error = capsys.readouterr().err
    assert error.startswith("altmin: error: train.png could not be drawn: ")
    assert error.endswith("; the results are in out\n")
    assert runs()[0]["status"] == "ok"
    assert Path("out/model.safetensors").is_file()


@pytest.mark.usefixtures("picture")
def test_a_training_without_records_has_no_picture():
    assert main(["train", "sgd", *SMALL, "--lr", "1e30"]) == 1
    assert not PICTURE.exists()
