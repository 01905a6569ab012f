"""Several runs of each method as one row, on screen and in files."""

from __future__ import annotations

import csv
import json
from math import inf, isnan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from altmin.cli import main
from altmin.study.machine import in_units
from altmin.study.ranks import ranks
from altmin.study.run import Run
from altmin.study.summary import Spread, caption, differences
from cli.written import runs

SMALL = ["--hidden", "4", "--epochs", "3", "--quiet", "--out", "out"]

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


def table(name: str = "summary.csv") -> dict[str, dict[str, str]]:
    return {row["method"]: row for row in csv.DictReader(Path("out", name).read_text().splitlines())}


def whole() -> dict[str, Any]:
    return json.loads(Path("out/results.json").read_text())


def test_a_comparison_has_three_seeds_and_every_figure_its_mean_deviation_and_count():
    assert main(["compare", "bcd", "am-adam", *SMALL]) == 0
    assert [(run["method"], run["seed"]) for run in runs()] == [(m, s) for m in ("bcd", "am-adam") for s in (0, 1, 2)]
    rows = table()
    for each in whole()["methods"]:
        own = [run for run in runs() if run["method"] == each["method"]]
        assert {"test_accuracy", "train_loss", "cpu_seconds", "iterations", "kept_iteration"} <= set(each["figures"])
        assert ("gap" in each["figures"]) == (each["method"] == "bcd")  # a method that keeps no variables has none
        for name, found in each["figures"].items():
            values = [run[name] for run in own]
            assert found["mean"] == pytest.approx(fmean(values))
            assert found["deviation"] == pytest.approx(stdev(values))
            assert found["runs"] == 3
            assert float(rows[each["method"]][f"{name}_mean"]) == found["mean"]


def test_ranks_in_files_and_on_screen_are_those_of_test_accuracies(capsys: pytest.CaptureFixture[str]):
    """A network that hardly trains is told from one that does."""
    rate = ["--adam.lr", "1e-12", "--epochs", "20", "--batch-size", "100"]
    assert main(["compare", "am-newton", "adam", *SMALL, *rate]) == 0
    figures = {
        m: {run["seed"]: run["test_accuracy"] for run in runs() if run["method"] == m} for m in ("am-newton", "adam")
    }
    expected = ranks(figures, least=1 / 359)
    assert expected == {"am-newton": (1, 1), "adam": (2, 2)}
    assert [each["rank"] for each in whole()["methods"]] == [[1, 1], [2, 2]]
    assert [row["rank"] for row in table().values()] == ["1", "2"]
    assert "3 seeds tell 1 of 1 pairs of methods apart" in capsys.readouterr().out


def test_one_seed_has_no_ranks(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", "adam", *SMALL, "--seeds", "1"]) == 0
    assert [each["rank"] for each in whole()["methods"]] == [None, None]
    assert "rank" not in capsys.readouterr().out


def test_what_differs_besides_the_method_is_said(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", "am-adam", "adam", *SMALL, "--seeds", "1"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "differ loss (squared: bcd; cross_entropy: the others), batch size (1079: bcd; 200: the others)" in text
    assert "epochs (" not in text  # all were asked for three
    found = whole()["differing"]
    assert found["loss"] == {"bcd": "squared", "am-adam": "cross_entropy", "adam": "cross_entropy"}
    assert "epochs" not in found


def test_settings_of_one_method_differ_in_nothing_else():
    results = [
        {"method": name, "loss": "squared", "epochs": 3, "batch_size": 5, "threads": 1} for name in ("slow", "fast")
    ]
    compared = [Run(result["method"], result, []) for result in results]
    assert (differences(compared), caption(compared)) == ({}, "")


def test_costs_stand_beside_what_they_reach(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", "adam", *SMALL, "--seeds", "1"]) == 0
    bcd, adam = runs()
    assert (bcd["gradients"], adam["gradients"]) == ("no gradients at all", "full backpropagation")
    own, other = (line.split() for line in capsys.readouterr().out.splitlines()[-2:])
    assert own[:5] == ["bcd", "no", "gradients", "at", "all"]
    assert own[5:10] == [
        f"{100 * bcd['test_accuracy']:.2f}", "1079", "3", f"{bcd['seconds']:.2f}", f"{bcd['cpu_seconds']:.2f}"
    ]  # fmt: skip
    assert other[3:6] == [f"{100 * adam['test_accuracy']:.2f}", "200", "3"]


@pytest.mark.usefixtures("trials")
def test_memory_is_that_of_the_trial(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", "adam", *SMALL[:4], "--out", "out", "--seeds", "2"]) == 0
    sizes = {run["method"]: run["memory"] for run in runs()}
    assert sizes["bcd"] > sizes["adam"] > 1079 * 64 * 4  # the samples, and variables of every one
    assert f"about {in_units(max(sizes.values()))} (" in capsys.readouterr().out
    assert main(["train", "bcd", *SMALL, "--overwrite"]) == 0
    assert runs()[0]["memory"] == sizes["bcd"]


@pytest.mark.parametrize("asked", [False, True])
def test_progress_is_by_sample_and_has_the_objective_where_asked(asked: bool, capsys: pytest.CaptureFixture[str]):
    options = ["--hidden", "4", "--epochs", "2", "--out", "out"]
    assert main(["train", "bcd", *options, *(["--objective"] if asked else [])]) == 0
    text = capsys.readouterr().out
    row = next(csv.DictReader(Path("out/curves.csv").read_text().splitlines()))
    loss, gap, objective = (float(row[name]) for name in ("train_loss", "gap", "objective"))
    assert f"bcd 1/2: loss {loss:.4g}, gap {gap:.2g}, train " in text
    assert (f"objective {objective:.4g} (loss {float(row['terms.loss']):.4g}, linear " in text) == asked
    assert "objective" not in Path("out/config.yaml").read_text()


def test_a_spread_of_what_there_is():
    assert Spread.of([None, 2.0, 4.0]) == Spread(3.0, stdev([2.0, 4.0]), 2)
    assert Spread.of([None, 2.0]) == Spread(2.0, None, 1)
    assert Spread.of([None]) is None
    lost = Spread.of([inf, 2.0])
    assert lost is not None
    assert lost.mean == inf
    assert isnan(lost.deviation or 0.0)
    assert Spread(0.5, 0.25, 2).text(".1f", 100.0) == "50.0 ± 25.0"
