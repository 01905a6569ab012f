"""``--then METHOD``: a second method goes on from the weights of the first."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file

import altmin
from altmin import data
from altmin.cli import main
from altmin.methods import Backprop
from altmin.study.saved_network import load
from cli.test_methods import OWN
from cli.written import all_same, runs

FIRST = ["train", "bcd", "--hidden", "4", "--epochs", "3", "--quiet"]
SECOND = ["--then", "sgd", "--then.epochs", "4", "--then.lr", "0.25", "--then.batch-size", "300"]

pytestmark = pytest.mark.usefixtures("here", "registrations", "training_alone")


def test_it_goes_on_from_the_weights_that_the_first_leaves():
    assert main([*FIRST, *SECOND, "--keep", "last", "--out", "out"]) == 0
    assert main([*FIRST, "--keep", "last", "--out", "alone"]) == 0
    first, then = runs()
    assert first["objective"] == runs("alone")[0]["objective"]
    assert (then["method"], then["label_of"], then["begins_with"]) == ("then-sgd", "sgd", first["run"])
    assert (then["epochs"], then["batch_size"], then["parameters"]["lr"]) == (4, 300, 0.25)
    assert (first["loss"], then["loss"]) == ("squared", "cross_entropy")
    model, _ = load("alone")
    digits = data.load("digits", seed=0)
    import torch

    altmin.fit(
        model.train(),
        Backprop("sgd", lr=0.25),
        (digits.train.x, digits.train.y),
        epochs=4,
        batch_size=300,
        generator=torch.Generator().manual_seed(0),
    )
    found = load_file("out/then-sgd/model.safetensors")
    assert all(torch.equal(found[name], t) for name, t in model.state_dict().items())
    assert main(["predict", "out/then-sgd"]) == 0


def test_its_options_make_it_again():
    assert main([*FIRST, *SECOND, "--out", "out"]) == 0
    config = yaml.safe_load(Path("out/config.yaml").read_text())
    assert (config["method"], config["then"]["method"], config["then"]["epochs"]) == ("bcd", "sgd", 4)
    for source in ("out", "out/then-sgd"):
        assert main(["train", "--config", f"{source}/config.yaml", "--quiet", "--out", f"{source}-again"]) == 0
        assert all_same(f"{source}-again") == all_same("out")


def test_yaml_says_it_in_two_ways():
    Path("long.yaml").write_text("then: {method: sgd, epochs: 4, lr: 0.25, batch_size: 300}\n")
    Path("short.yaml").write_text("then: sgd\nthen.epochs: 4\nthen.lr: 0.25\n")
    assert main([*FIRST, "--config", "long.yaml", "--out", "long"]) == 0
    assert main([*FIRST, "--config", "short.yaml", "--then.batch-size", "300", "--out", "short"]) == 0
    assert all_same("long") == all_same("short")
    assert main([*FIRST, "--config", "short.yaml", "--then=adam", "--out", "other"]) == 0
    assert runs("other")[1]["label_of"] == "adam"


def test_each_seed_goes_on_from_its_own():
    assert main([*FIRST, *SECOND, "--seeds", "2", "--out", "out"]) == 0
    assert [(run["method"], run["seed"]) for run in runs()] == [
        ("bcd", 0),
        ("bcd", 1),
        ("then-sgd", 0),
        ("then-sgd", 1),
    ]
    assert [run["run"] for run in runs()[:2]] == [run["begins_with"] for run in runs()[2:]]
    assert main([*FIRST, *SECOND, "--seed", "1", "--out", "alone"]) == 0
    assert all_same("alone") == all_same("out")[1::2]
    assert Path("out/then-sgd/seed-1/model.json").is_file()


@pytest.mark.parametrize("ended", [altmin.BCD, Backprop])
def test_a_run_that_was_ended_goes_on(ended: type, monkeypatch: pytest.MonkeyPatch):
    assert main([*FIRST, *SECOND, "--out", "whole"]) == 0
    step, count = ended.step, iter(range(1, 10**6))

    def stopped(self: Any, sweep: Any) -> None:
        step(self, sweep)
        if next(count) == 2:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(ended, "step", stopped)
    assert main([*FIRST, *SECOND, "--out", "out"]) == 143
    assert len(runs()) == (1 if ended is altmin.BCD else 2)
    assert main(["train", "--resume", "out", "--quiet"]) == 0
    assert all_same("out") == all_same("whole")
    assert runs()[1]["begins_with"] == runs()[0]["run"]
    assert main(["train", "--resume", "out", "--quiet"]) == 0


def test_nothing_goes_on_from_what_diverged(capsys: pytest.CaptureFixture[str]):
    line = ["train", "ipdlam", "--alpha", "1e5", "--epochs", "30", "--hidden", "8", "--quiet", "--then", "sgd"]
    assert main([*line, "--out", "out"]) == 1
    assert [run["status"] for run in runs()] == ["diverged"]
    assert "--then is not begun with seed 0: ipdlam did not end well" in capsys.readouterr().err


def test_a_class_in_a_file_goes_on(here: Path):
    (here / "own.py").write_text(OWN)
    assert main([*FIRST, "--then", "own.py:LastLayer", "--then.epochs", "2", "--out", "out"]) == 0
    assert (runs()[1]["method"], runs()[1]["label_of"]) == ("then-LastLayer", "LastLayer")
    assert main(["train", "--config", "out/config.yaml", "--quiet", "--out", "again"]) == 0
    assert all_same("again") == all_same("out")


def test_the_table_and_the_folders_have_its_name(here: Path, capsys: pytest.CaptureFixture[str]):
    """Also where it is the same method again."""
    assert main([*FIRST, "--then", "bcd", "--then.epochs", "1", "--out", "out"]) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]]
    assert rows == [path.name for path in sorted(here.glob("out/*/"))] == ["bcd", "then-bcd"]


WRONG = {
    "--then x=bcd": "unknown method 'x=bcd'",
    "--then adm": "unknown method 'adm'; did you mean 'adam'?",
    "--then": "--then needs a value: a METHOD",
    "--then --quiet": "--then needs a value: a METHOD",
    "--then adam --then bcd": "--then stands there 2 times; keep one",
    "--then adam --then.batch-size 5000": "--then.batch-size is 5000, but there are 1079 samples",
    "--then adam --then.lr -1": "--then.lr must be > 0, got -1.0",
    "--then adam --then.lrr 1": "unknown option --then.lrr; did you mean --then.lr?",
    "--then.lr 1": "unknown option --then.lr",
    "--then adam --then.epochs 0": "--then.epochs must be a whole number",
    "--then adam --audit": "--audit refuses then-adam",
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(line: str, here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", "--out", "out", *line.split()]) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"altmin: error: {WRONG[line]}")
    assert text.count("\n") == 1
    assert not (here / "out").exists()


def test_help_has_the_numbers_of_the_second(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["train", "bcd", "--then", "adam", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--then.lr LR learning rate" in text
    assert "--then.epochs EPOCHS" in text
