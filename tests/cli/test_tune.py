"""``altmin tune``: trials on validation, a folder that goes on, and options that train the best one again."""

from __future__ import annotations

import csv
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

import altmin
from altmin.checks import number
from altmin.cli import main
from altmin.errors import DivergenceError
from altmin.methods.registry import register_method
from altmin.study import run as study_run
from cli.written import runs

pytest.importorskip("optuna")
pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone", "same_threads")

SMALL = ["--hidden", "8", "--epochs", "3", "--train-samples", "100"]
LINE = ["tune", "dladmm", *SMALL, "--out", "s"]


def trials(folder: str = "s") -> list[dict[str, str]]:
    with Path(folder, "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: list[dict[str, str]], *names: str) -> list[tuple[str, ...]]:
    return [tuple(row[name] for name in names or ("validation_accuracy", "rho", "nu", "factor")) for row in rows]


def test_the_best_trial_is_trained_again_to_the_bit():
    assert main([*LINE, "--trials", "6"]) == 0
    found = trials()
    assert len(found) == 6
    assert numbers(found[:1], "rho", "nu", "factor") == [("1e-06", "1e-06", "2.0")]
    whole = [row for row in found if row["status"] == "ok"]
    best = max(whole, key=lambda row: float(row["validation_accuracy"]))
    assert main(["train", "--config", "s/best.yaml", "--quiet", "--out", "t"]) == 0
    (run,) = runs("t")
    assert run["validation_accuracy"] == float(best["validation_accuracy"])
    assert [run["parameters"][name] for name in ("rho", "nu", "factor")] == [
        float(best[name]) for name in ("rho", "nu", "factor")
    ]


def test_the_same_command_goes_on_to_the_very_trials(capsys: pytest.CaptureFixture[str]):
    assert main([*LINE, "--trials", "3"]) == 0
    assert main([*LINE, "--trials", "5"]) == 0
    assert "s holds 3 trials; 2 are left" in capsys.readouterr().out
    assert main([*LINE[:-1], "whole", "--trials", "5"]) == 0
    assert numbers(trials()) == numbers(trials("whole"))
    assert len(set(numbers(trials()))) == 5


def test_a_search_that_is_done_is_shown_again(capsys: pytest.CaptureFixture[str]):
    assert main([*LINE, "--trials", "2"]) == 0
    before = trials()
    assert main([*LINE, "--trials", "2"]) == 0
    assert trials() == before
    assert "s holds 2 trials; 0 are left" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (["--epochs", "4"], "epochs was 3 and is 4"),
        (["--train-samples", "90"], "train_samples was 100 and is 90"),
        (["--hidden", "9"], "hidden was [8] and is [9]"),
        (["--search", "rho"], "search was [] and is ['rho']"),
        (["--nu", "1"], "nu was 1.0e-06 and is 1.0"),
    ],
)
def test_another_search_has_no_place_there(change: list[str], text: str, capsys: pytest.CaptureFixture[str]):
    assert main([*LINE, "--trials", "1"]) == 0
    assert main([*LINE, *change, "--trials", "2"]) == 2
    said = capsys.readouterr().err
    assert text.replace("1.0e-06", "1e-06") in said
    assert "--overwrite" in said
    assert len(trials()) == 1
    assert main([*LINE, *change, "--trials", "1", "--overwrite"]) == 0


def test_the_folder_of_a_run_is_not_taken(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "dladmm", *SMALL, "--out", "s"]) == 0
    assert main([*LINE, "--trials", "1"]) == 2
    assert "s holds a run of altmin train" in capsys.readouterr().err
    assert main([*LINE, "--trials", "1", "--overwrite"]) == 0
    assert not Path("s/results.json").exists()
    assert main(["train", "dladmm", *SMALL, "--out", "s"]) == 0
    assert "altmin tune --resume" not in capsys.readouterr().err
    assert runs("s-2")


def test_named_numbers_alone_are_searched_of_parts_too():
    line = ["tune", "am-mem", *SMALL, "--batch-size", "50", "--search", "codes.lr", "rule.sweeps=1:3", "regressors"]
    assert main([*line, "--trials", "3", "--out", "s"]) == 0
    names = list(trials()[0])
    assert names[2:5] == ["codes.lr", "rule.sweeps", "regressors"]
    assert {row["rule.sweeps"] for row in trials()} <= {"1", "2", "3"}
    assert main(["train", "--config", "s/best.yaml", "--quiet", "--out", "t"]) == 0


def test_a_search_says_nothing_of_the_numbers_of_trials(capsys: pytest.CaptureFixture[str]):
    line = ["tune", "ipdlam", *SMALL, "--epochs", "2", "--search", "alpha=1.1:2", "--alpha", "0.5"]
    assert main([*line, "--trials", "2", "--out", "s"]) == 0
    assert "inertial" not in capsys.readouterr().err
    assert main(["train", "--config", "s/best.yaml", "--quiet", "--out", "t"]) == 0
    assert "--alpha" not in (said := capsys.readouterr().err)
    assert "`alpha` = " in said


def test_a_regression_is_searched_by_its_loss():
    lines = [f"{i},{i * i % 17},{2 * i + i * i % 17}" for i in range(60)]
    Path("t.csv").write_text("\n".join(["a,b,y", *lines]))
    table = ["--csv.train", "t.csv", "--csv.target", "y", "--task", "regression"]
    assert main(["tune", "bcd", *table, "--hidden", "4", "--epochs", "3", "--trials", "3", "--out", "s"]) == 0
    rows = [row for row in trials() if row["status"] == "ok"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    assert main(["train", "--config", "s/best.yaml", "--quiet", "--out", "t"]) == 0
    assert runs("t")[0]["validation_loss"] == float(best["validation_loss"])


def test_no_trial_has_test_samples(monkeypatch: pytest.MonkeyPatch):
    seen, measured = [], study_run.measured

    def counted(problem, state, split, *rest):
        seen.append(len(split))
        return measured(problem, state, split, *rest)

    monkeypatch.setattr(study_run, "measured", counted)
    assert main([*LINE, "--trials", "1"]) == 0
    assert set(seen) == {100, 359, 0}, "training, validation, and no test samples"
    assert seen[2::3] == [0] * (len(seen) // 3)


@dataclass(frozen=True)
class Brittle(altmin.Method):
    """Diverges where its number is above one, cannot be made above ten, and else does nothing."""

    size: float = number(2.0, "a number", above=0.0)
    online = True
    batched = True
    fate = "diverge"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size > 10:
            raise ValueError("`size` does not go with the rest")

    def step(self, sweep):
        if self.size > 1:
            raise DivergenceError("W_1", math.nan, "a smaller size")

    def evaluate(self, sweep):
        return {"loss": torch.tensor(1.0)}, {}


@pytest.fixture
def brittle():
    register_method("brittle", Brittle(), title="Brittle", paper="none", loss="cross_entropy", epochs=1)


@pytest.mark.usefixtures("brittle")
def test_trials_that_diverge_are_the_worst_ones(capsys: pytest.CaptureFixture[str]):
    line = ["tune", "brittle", *SMALL, "--search", "size=0.1:30", "--trials", "12", "--out", "s"]
    assert main(line) == 0
    found = trials()
    assert {row["status"] for row in found} == {"ok", "diverged", "failed"}
    for row in found:
        size = float(row["size"])
        assert row["status"] == ("failed" if size > 10 else "diverged" if size > 1 else "ok")
        assert (float(row["validation_accuracy"]) == 0) == (size > 1)
    assert float(yaml.safe_load(Path("s/best.yaml").read_text())["size"]) <= 1
    assert "trial 0: diverged; size 2" in capsys.readouterr().out


@pytest.mark.usefixtures("brittle")
def test_a_search_without_a_network_ends_with_1(capsys: pytest.CaptureFixture[str]):
    assert main(["tune", "brittle", *SMALL, "--search", "size=2:9", "--trials", "2", "--out", "s"]) == 1
    assert "no trial gave a network" in capsys.readouterr().err
    assert not Path("s/best.yaml").exists()
    assert len(trials()) == 2


def test_trials_behind_the_others_are_pruned():
    line = ["tune", "adam", "--hidden", "8", "--epochs", "5", "--train-samples", "100"]
    assert main([*line, "--search", "lr=1e-6:1e-2", "--trials", "20", "--out", "s"]) == 0
    pruned = [row for row in trials() if row["status"] == "pruned"]
    assert pruned
    assert all(int(row["iterations"]) < 5 for row in pruned)
    assert all(row["iterations"] == "5" for row in trials() if row["status"] == "ok")


def test_a_half_written_line_of_the_journal_is_taken_away():
    assert main([*LINE, "--trials", "2"]) == 0
    before = trials()
    with Path("s/journal.log").open("a") as file:
        file.write('{"op_code":4,"worker')
    assert main([*LINE, "--trials", "3"]) == 0
    assert trials()[:2] == before


def test_a_network_of_ones_own_is_kept_and_compared(capsys: pytest.CaptureFixture[str]):
    text = (
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(64, {}), nn.ReLU(), nn.Linear(8, 10))\n"
    )
    Path("m.py").write_text(text.format(8))
    line = ["tune", "dladmm", "--model", "m.py:net", "--epochs", "2", "--train-samples", "100", "--out", "s"]
    assert main([*line, "--trials", "1"]) == 0
    assert main([*line, "--trials", "2"]) == 0
    Path("s").rename("moved")
    assert main(["train", "--config", "moved/best.yaml", "--quiet", "--out", "t"]) == 0
    Path("moved").rename("s")
    Path("m.py").write_text(text.format("8, bias=True"))
    assert main([*line, "--trials", "3"]) == 2
    assert "m.py has changed" in capsys.readouterr().err


def test_without_optuna_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main([*LINE, "--trials", "1"]) == 2
    assert "pip install 'altmin[tune]'" in capsys.readouterr().err
    assert not Path("s").exists()


@pytest.mark.slow
def test_processes_side_by_side_share_the_trials():
    assert main([*LINE, "--trials", "6", "--jobs", "2"]) == 0
    found = trials()
    assert len(found) == 6
    assert len(set(numbers(found, "rho", "nu", "factor"))) == 6
    best = max((row for row in found if row["status"] == "ok"), key=lambda row: float(row["validation_accuracy"]))
    assert main(["train", "--config", "s/best.yaml", "--quiet", "--out", "t"]) == 0
    assert runs("t")[0]["validation_accuracy"] == float(best["validation_accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_is_finished(jobs: str):
    line = [sys.executable, "-m", "altmin", *LINE, "--trials", "100000", "--jobs", jobs]
    process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None
    while not process.stdout.readline().startswith("trial 2"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "the same command goes on" in said
    kept = trials()
    assert len(kept) >= 3
    assert Path("s/best.yaml").exists()
    assert main([*LINE, "--trials", str(len(kept) + 1)]) == 0
    assert numbers(trials())[: len(kept)] == numbers(kept)


@pytest.mark.slow
def test_a_trial_that_was_killed_is_made_again():
    line = [sys.executable, "-m", "altmin", "tune", "dladmm", "--hidden", "64", "--epochs", "100000", "--out", "s"]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL)
    journal = Path("s/journal.log")
    while not journal.is_file() or '"op_code":7' not in journal.read_text():  # a figure of the first trial
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    config = yaml.safe_load(Path("s/config.yaml").read_text())
    assert config["epochs"] == 100000
    assert json.loads(journal.read_text().splitlines()[0])["study_name"] == "altmin"
    text = Path("s/config.yaml").read_text().replace("epochs: 100000", "epochs: 2")
    Path("s/config.yaml").write_text(text)
    assert main(["tune", "dladmm", "--hidden", "64", "--epochs", "2", "--trials", "1", "--out", "s"]) == 0
    (row,) = trials()
    assert numbers([row], "rho", "nu", "factor") == [("1e-06", "1e-06", "2.0")]
