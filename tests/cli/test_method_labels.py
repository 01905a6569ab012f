"""Several settings of one method in a comparison, each under a label."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from altmin.bench import measure
from altmin.cli import main
from altmin.methods.registry import METHODS
from cli.test_methods import OWN
from cli.written import runs

SMALL = ["--hidden", "4", "--epochs", "2", "--train-samples", "60", "--quiet", "--seeds", "1"]
TWO = ["slow=ipdlam", "fast=ipdlam", "--slow.alpha", "0.25", "--fast.alpha", "0.5"]

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


def test_each_label_has_numbers_a_row_and_a_folder(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", "bcd", *TWO, *SMALL, "--out", "out"]) == 0
    bcd, slow, fast = runs()
    assert [run["method"] for run in (slow, fast, bcd)] == ["slow", "fast", "bcd"]
    assert [run.get("label_of") for run in (slow, fast, bcd)] == ["ipdlam", "ipdlam", None]
    assert (slow["parameters"]["alpha"], fast["parameters"]["alpha"]) == (0.25, 0.5)
    assert slow["loss"] == METHODS["ipdlam"].loss
    assert slow["objective"] != fast["objective"]
    text = capsys.readouterr().out
    assert "\nslow " in text
    assert "\nfast " in text
    assert main(["predict", "out/fast"]) == 0
    assert f"{fast['test_accuracy']:.2%}" in capsys.readouterr().out


def test_labels_are_forgotten_after_the_command():
    before = dict(METHODS)
    assert main(["compare", *TWO, *SMALL]) == 0
    assert before == METHODS
    assert main(["compare", "slow=bcd", "--slow.alpha", "2", *SMALL, "--out", "out"]) == 0
    assert runs()[0]["label_of"] == "bcd"


@pytest.mark.slow
def test_its_options_make_it_again_and_go_on(capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *TWO, *SMALL, "--out", "out"]) == 0
    config = yaml.safe_load(Path("out/config.yaml").read_text())
    assert config["methods"] == ["slow=ipdlam", "fast=ipdlam"]
    assert main(["compare", "--config", "out/config.yaml", "--out", "again", "--quiet"]) == 0
    assert main(["train", "--config", "out/slow/config.yaml", "--out", "alone", "--quiet"]) == 0
    objectives = [[run["objective"] for run in runs(out)] for out in ("out", "again", "alone")]
    assert objectives[0] == objectives[1]
    assert objectives[0][:1] == objectives[2]
    results = json.loads(Path("out/results.json").read_text())
    results["runs"] = results["runs"][:1]
    Path("out/results.json").write_text(json.dumps(results))
    capsys.readouterr()
    assert main(["compare", "--resume", "out", "--quiet"]) == 0
    assert [run["objective"] for run in runs()] == objectives[0]


@pytest.mark.slow
def test_yaml_and_the_command_line_have_labels_of_their_own():
    Path("run.yaml").write_text("methods: [slow=ipdlam]\nslow: {alpha: 0.25}\n")
    assert main(["compare", "--config", "run.yaml", *SMALL, "--out", "first"]) == 0
    assert runs("first")[0]["parameters"]["alpha"] == 0.25
    assert main(["compare", "slow=mdlam", "--config", "run.yaml", *SMALL, "--out", "other"]) == 2
    assert main(["compare", "slow=dlam", "slower=ipdlam", *SMALL, "--out", "second"]) == 0


def test_a_class_in_a_file_has_labels_too():
    Path("own.py").write_text(OWN)
    assert main(["compare", "a=own.py:LastLayer", "b=own.py:LastLayer", "--b.lr", "0.125", *SMALL, "--out", "out"]) == 0
    assert [run["parameters"]["lr"] for run in runs()] == [0.5, 0.125]
    assert {run["label_of"] for run in runs()} == {"LastLayer"}
    assert main(["compare", "--config", "out/config.yaml", "--out", "again", "--quiet"]) == 0
    assert main(["train", "--config", "out/b/config.yaml", "--out", "alone", "--quiet"]) == 0
    assert runs("alone")[0]["objective"] == runs("again")[1]["objective"] == runs()[1]["objective"]


def test_labels_are_timed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "LEAST", 0.0)
    monkeypatch.setattr(measure, "SIDE", 64)
    options = ["--train-samples", "60", "--rounds", "1", "--hidden", "4", "--quiet", "--out", "out"]
    assert main(["bench", "slow=bcd", "--slow.alpha", "2", *options]) == 0
    assert "slow alpha=2.0" in [row["name"] for row in json.loads(Path("out/bench.json").read_text())["rows"]]


WRONG = {
    "slow=ipdlam slow=bcd": "slow=bcd: the label stands there already, in slow=ipdlam; choose another",
    "a-b=ipdlam a_b=bcd": "a_b=bcd: the label stands there already, in a-b=ipdlam",
    "1=ipdlam": "1=ipdlam: a label begins with a letter",
    "=ipdlam": "=ipdlam: a label begins with a letter",
    "Adam=ipdlam": "Adam=ipdlam: adam is itself a method; choose another label",
    "hidden=ipdlam": "hidden=ipdlam: hidden is the name of an option or a folder; choose another label",
    "csv=bcd": "csv=bcd: csv is",
    "checkpoints=bcd": "checkpoints=bcd: checkpoints is",
    "slow=ipdlma": "unknown method 'ipdlma'; did you mean 'ipdlam'?",
    "slow=ipdlam --slow.alhpa 3": "unknown option --slow.alhpa; did you mean --slow.alpha?",
    "slow=ipdlam --slow.rho -1": "--slow.rho must be > 0, got -1.0",
    "slow=ipdlam --ipdlam.rho 2": "--ipdlam.rho is given, but ipdlam takes no part; add ipdlam behind compare",
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(line: str, here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["compare", *line.split(), "--out", "out"]) == 2
    text = capsys.readouterr()
    assert text.err.startswith(f"altmin: error: {WRONG[line]}")
    assert text.err.count("\n") == 1
    assert not (here / "out").exists()


def test_help_has_the_numbers_of_a_label(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["compare", "slow=ipdlam", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "numbers of slow, ipdlam:" in text
    assert "--slow.alpha ALPHA inertia of Z" in text
    assert "--ipdlam.alpha" not in text
