"""Several seeds: the runs that each seed alone has, in one table, one picture and folders of their own."""

from __future__ import annotations

import csv
import signal
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
import torch
import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import altmin
from altmin.cli import main
from cli.written import runs, same

SMALL = ["--hidden", "4", "--epochs", "3", "--quiet"]

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


def rows(out: str = "out") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(out, "curves.csv").read_text().splitlines()))


def test_a_seeds_run_is_that_of_the_seed_alone(capsys: pytest.CaptureFixture[str]):
    """Its split, start and batches, whichever command makes it; and its folder makes it again."""
    assert main(["compare", "bcd", "am-adam", *SMALL, "--seed", "2", "--seeds", "2", "--out", "all"]) == 0
    assert main(["train", "am-adam", *SMALL, "--seed", "2", "--seeds", "2", "--out", "out"]) == 0
    assert main(["train", "am-adam", *SMALL, "--seed", "3", "--out", "alone"]) == 0
    assert main(["train", "--config", "all/am-adam/seed-3/config.yaml", "--quiet", "--out", "again"]) == 0
    assert [(run["method"], run["seed"]) for run in runs("all")] == [
        *(("bcd", 2), ("bcd", 3), ("am-adam", 2), ("am-adam", 3))
    ]
    assert same(runs("all")[3]) == same(runs("out")[1]) == same(runs("alone")[0]) == same(runs("again")[0])
    assert runs("all")[2]["objective"] != runs("all")[3]["objective"]
    weights = [Path(out, "model.safetensors").read_bytes() for out in ("alone", "out/seed-3", "all/am-adam/seed-3")]
    assert weights[0] == weights[1] == weights[2]
    capsys.readouterr()
    assert main(["predict", "out/seed-3"]) == 0
    assert f"{runs('alone')[0]['test_accuracy']:.2%}" in capsys.readouterr().out
    assert main(["predict", "out"]) == 2
    assert "its folders seed-2, seed-3 do" in capsys.readouterr().err


def test_curves_have_every_seed():
    assert main(["compare", "bcd", *SMALL, "--seeds", "2", "--out", "out"]) == 0
    assert [(row["method"], row["seed"], row["iteration"]) for row in rows()] == [
        ("bcd", seed, iteration) for seed in "01" for iteration in "123"
    ]
    assert [float(row["objective"]) for row in rows()] == [*runs()[0]["objective"], *runs()[1]["objective"]]


def test_one_seed_is_as_without_the_option():
    assert main(["compare", "bcd", *SMALL, "--seeds", "1", "--out", "out"]) == 0
    assert Path("out/bcd/model.json").is_file()
    assert "seed" not in rows()[0]


def test_the_table_has_means_and_standard_deviations(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", *SMALL, "--seeds", "3", "--out", "out"]) == 0
    text = capsys.readouterr().out
    figures = [100 * run["test_accuracy"] for run in runs()]
    assert "3 seeds, 0 to 2" in text
    assert f"{fmean(figures):.2f} ± {stdev(figures):.2f}" in text
    assert len([line for line in text.splitlines() if line.startswith("bcd     squared ")]) == 1


@pytest.mark.usefixtures("picture")
def test_the_picture_has_the_mean_in_a_band(monkeypatch: pytest.MonkeyPatch):
    lines, bands = [], []
    plot, fill = Axes.plot, Axes.fill_between
    monkeypatch.setattr(Axes, "plot", lambda axes, *xy, **style: (lines.append(xy), plot(axes, *xy, **style))[1])
    monkeypatch.setattr(
        Axes, "fill_between", lambda axes, *xyz, **style: (bands.append(xyz), fill(axes, *xyz, **style))[1]
    )
    assert main(["compare", "bcd", *SMALL, "--seeds", "2", "--out", "out"]) == 0
    values = [[100 * float(row["validation_accuracy"]) for row in rows() if row["seed"] == seed] for seed in "01"]
    (by_iteration, by_seconds) = lines
    assert list(by_iteration[0]) == [1, 2, 3]
    assert list(by_iteration[1]) == pytest.approx([fmean(pair) for pair in zip(*values, strict=True)])
    spread = [stdev(pair) for pair in zip(*values, strict=True)]
    assert list(bands[0][2] - bands[0][1]) == pytest.approx([2 * s for s in spread])
    assert list(by_seconds[1]) == list(by_iteration[1])


@pytest.mark.usefixtures("picture")
def test_dots_stand_on_the_curves_and_test_figures_in_the_legend(monkeypatch: pytest.MonkeyPatch):
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda f, *to, **how: (figures.append(f), save(f, *to, **how))[1])
    assert main(["compare", "bcd", "adam", *SMALL, "--seeds", "1", "--out", "out"]) == 0
    (figure,) = figures
    axes, names = figure.axes[0], [text.get_text() for text in figure.legends[0].get_texts()]
    dots = [tuple(dots.get_offsets()[0]) for dots in axes.collections]  # type: ignore[index]
    assert dots == [(r["kept_iteration"], pytest.approx(100 * r["validation_accuracy"])) for r in runs()]
    assert names == [f"{r['method']}  {100 * r['test_accuracy']:.1f}%" for r in runs()]
    assert axes.get_ylabel() == "validation accuracy (%)"
    assert max(y for _, y in dots) < axes.get_ylim()[1] <= 50  # room for what three epochs reach, no more


@pytest.mark.usefixtures("picture")
@pytest.mark.parametrize("seeds", ["1", "2"])
def test_records_that_are_few_are_drawn(seeds: str):
    options = ["--record-every", "2", "--seeds", seeds, "--out", "out"]
    assert main(["compare", "bcd", "--hidden", "4", "--epochs", "5", "--quiet", *options]) == 0
    assert Path("out/compare.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train bcd", "compare bcd dlam"])
def test_a_run_that_was_ended_goes_on_where_it_was(command: str, monkeypatch: pytest.MonkeyPatch):
    assert main([*command.split(), *SMALL, "--seeds", "3", "--out", "whole"]) == 0
    step, count = altmin.BCD.step, iter(range(1, 10**6))

    def stopped(self: Any, sweep: Any) -> None:
        step(self, sweep)
        if next(count) == 5:  # the second iteration of the second seed
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(altmin.BCD, "step", stopped)
    assert main([*command.split(), *SMALL, "--seeds", "3", "--out", "out"]) == 143
    assert [run["status"] for run in runs() if run["method"] == "bcd"] == ["ok", "stopped"]
    assert main([command.split()[0], "--resume", "out", "--quiet"]) == 0
    assert [same(run) for run in runs()] == [same(run) for run in runs("whole")]
    assert [row["objective"] for row in rows()] == [row["objective"] for row in rows("whole")]
    assert not list(Path("out").rglob("checkpoints"))
    before = {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}
    assert main([command.split()[0], "--resume", "out", "--quiet"]) == 0
    assert before == {path: path.read_bytes() for path in Path("out").rglob("*") if path.is_file()}


def test_seeds_that_diverge_are_said(capsys: pytest.CaptureFixture[str]):
    options = ["--epochs", "30", "--hidden", "8", "--alpha", "1e5", "--quiet", "--seeds", "2", "--out", "out"]
    assert main(["train", "ipdlam", *options]) == 1
    assert [run["status"] for run in runs()] == ["diverged", "diverged"]
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ipdlam  squared ")]
    assert [row.split()[-1] for row in rows] == ["diverged"]


@pytest.mark.slow
def test_its_folders_are_parts_of_it(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", *SMALL, "--seeds", "2", "--out", "out"]) == 0
    assert main(["compare", "bcd", *SMALL, "--seeds", "2", "--out", "all"]) == 0
    assert main(["train", "--resume", "out/seed-1"]) == 2
    assert "altmin train --resume" in capsys.readouterr().err
    assert main(["train", "--resume", "all/bcd/seed-1"]) == 2
    assert "altmin compare --resume" in capsys.readouterr().err
    Path("all/bcd/seed-1/notes.txt").write_text("mine")
    for out in ("out", "all"):
        assert main(["train", "bcd", *SMALL, "--out", out, "--overwrite"]) == 0
    assert sorted(path.name for path in Path("out").iterdir() if path.is_dir()) == []
    assert [str(path) for path in Path("all").rglob("*") if path.is_dir()] == ["all/bcd", "all/bcd/seed-1"]
    assert yaml.safe_load(Path("out/config.yaml").read_text())["seeds"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--seeds 0", "--seeds must be a whole number from 1 to"),
        ("--seeds 2 --seed 4294967295", "--seeds 2 leads from 4294967295 beyond the largest seed, 4,294,967,295"),
    ],
)
@pytest.mark.parametrize("command", ["train", "compare"])
def test_errors_are_one_line(command: str, options: str, message: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "bcd", *options.split()]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"altmin: error: {message}")
    assert text.count("\n") == 1


def test_auto_is_a_device_of_every_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["train", "adam", *SMALL, "--device", "auto", "--out", "out"]) == 0
    assert main(["predict", "out", "--device", "auto", "--quiet"]) == 0
    assert main(["bench", "adam", "--hidden", "4", "--quiet", "--device", "auto", "--rounds", "1"]) == 0
