"""``--import``: what a user's own files register is known wherever a command line or YAML names it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from altmin import registration
from altmin.bench import measure
from altmin.cli import main
from altmin.losses import LOSSES
from altmin.methods.registry import METHODS
from altmin.regularizers import REGULARIZERS

LOSS = '''
from dataclasses import dataclass

import altmin
from altmin.checks import number


@altmin.register_loss("fair")
@dataclass(frozen=True)
class Fair(altmin.SquaredLoss):
    scale: float = number(1.0, "length", above=0.0)


@altmin.register_regularizer("ridge")
@dataclass(frozen=True)
class Ridge(altmin.L2):
    """Another name."""
'''
ACTIVATION = '''
from torch import nn

import altmin
from altmin.activations import ReLU


class Ramp(nn.ReLU):
    """Another name."""


@altmin.converts(Ramp)
class RampActivation(ReLU):
    """Of `Ramp`."""
'''
METHOD = """
from dataclasses import dataclass

import fair

import altmin
from altmin.checks import number


@altmin.method("own", title="the last layer", paper="mine", loss="fair:2")
@dataclass(frozen=True)
class Own(altmin.Method):
    rho: float = number(1.0, "penalty", above=0.0, most=4.0)

    def penalty(self, sweep):
        return altmin.Penalty(linear=self.rho, activation=self.rho)

    def step(self, sweep):
        sweep.layers[-1].solve_z()
        sweep.layers[-1].solve_weights()
"""
MODEL = """
from torch import nn

import fair
from ramp import Ramp


def network():
    return nn.Sequential(nn.Linear(64, 8), Ramp(), nn.Linear(8, 10))
"""
FILES = {"fair.py": LOSS, "ramp.py": ACTIVATION, "own.py": METHOD, "model.py": MODEL}
SMALL = ["--threads", "1", "--quiet", "--epochs", "1", "--train-samples", "60", "--out", "out", "--seeds", "1"]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registrations: None) -> Iterator[None]:
    """The files in the present folder's `mine`; what they register is forgotten at the end."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, text in FILES.items():
        (tmp_path / "mine" / name).write_text(text)
    methods = dict(METHODS)
    yield
    METHODS.clear()
    METHODS.update(methods)
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


def run() -> dict:
    return json.loads(Path("out/results.json").read_text())["runs"][0]


TRAINED = ["train", "bcd", "--loss", "fair:0.5", "--regularizer", "ridge:0.01", "--hidden", "8", *SMALL]


@pytest.mark.parametrize("form", ["two words", "equals", "yaml"])
def test_loss_regulariser_and_activation_of_ones_own(form: str, capsys: pytest.CaptureFixture[str]):
    Path("own.yaml").write_text("import: [mine/fair.py, mine/ramp.py]\nactivation: ramp\n")
    options = {
        "two words": ["--import", "mine/fair.py", "--import", "mine/ramp.py", "--activation", "ramp"],
        "equals": ["--import=mine/fair.py", "--import=mine/ramp.py", "--activation", "ramp"],
        "yaml": ["--config", "own.yaml"],
    }
    assert main([*TRAINED, *options[form]]) == 0, capsys.readouterr().err
    assert (run()["loss"], run()["regularizer"], run()["activation"]) == ("fair:0.5", "ridge:0.01", "ramp")
    assert main(["predict", "out", "--import", "mine/fair.py", "--import", "mine/ramp.py"]) == 0


def test_a_trained_network_asks_for_its_files(capsys: pytest.CaptureFixture[str]):
    imports = ["--import", "mine/fair.py", "--import", "mine/ramp.py"]
    assert main([*TRAINED, *imports, "--activation", "ramp"]) == 0
    (ramp,) = (module for module in registration._conversions if module.__name__ == "Ramp")
    del registration._conversions[ramp]
    assert main(["predict", "out", "--import", "mine/fair.py"]) == 2
    assert "unknown `activation` 'ramp'" in (error := capsys.readouterr().err)
    assert "a file of your own that registers it goes to --import" in error


@pytest.mark.parametrize("options", [["--loss", "fair"], ["--regularizer", "ridge:1"], ["--activation", "ramp"]])
def test_an_unknown_name_may_be_in_a_file(options: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", *options, *SMALL]) == 2
    assert "unknown" in (error := capsys.readouterr().err)
    assert "goes to --import" in error


def test_a_method_and_the_file_beside_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Its file imports another, which a command line may name too; a method's default loss has a number."""
    path = list(sys.path)
    both = ["--import", "mine/own.py", "--import", "mine/fair.py"]
    assert main(["train", "own", "--hidden", "8", *SMALL, *both]) == 0, capsys.readouterr().err
    assert (run()["method"], run()["loss"]) == ("own", "fair:2")
    assert main(["compare", "own", "adam", "--own.rho", "2", "--hidden", "8", *SMALL, "--overwrite", *both[:2]]) == 0
    assert main(["methods", *both]) == 0
    assert "\nown " in capsys.readouterr().out
    monkeypatch.setattr(measure, "LEAST", 0.0)
    monkeypatch.setattr(measure, "SIDE", 64)
    small = ["--train-samples", "60", "--rounds", "1", "--hidden", "8", "--quiet", "--out", "out", "--overwrite"]
    assert main(["bench", "own", *small, *both]) == 0
    assert sys.path == path


def test_a_models_file_registers_the_loss(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", "--model", "mine/model.py:network", "--loss", "fair:2", *SMALL]) == 0
    assert run()["loss"] == "fair:2"


def test_its_files_may_go_before_a_copied_model():
    imports = ["--import", "mine/fair.py", "--import", "mine/ramp.py"]
    assert main(["train", "bcd", "--model", "mine/model.py:network", "--loss", "fair:2", *SMALL]) == 0
    for name in ("fair", "ramp"):  # as in a new process
        del sys.modules[name]
    del LOSSES._kinds["fair"], REGULARIZERS._kinds["ridge"]
    assert main(["predict", "out", "--trust-model-code", *imports]) == 0


ERRORS = {
    "mine/none.py": "cannot read the file mine/none.py",
    "mine/broken.py": "mine/broken.py, line 1: ModuleNotFoundError: No module named 'nothing_of_that_name'",
}


@pytest.mark.parametrize("file", ERRORS)
@pytest.mark.parametrize("command", [["train", "bcd"], ["compare"], ["bench"], ["predict", "out"], ["methods"]])
def test_a_file_that_does_not_run(command: list[str], file: str, capsys: pytest.CaptureFixture[str]):
    Path("mine/broken.py").write_text("import nothing_of_that_name\n")
    assert main([*command, "--import", file]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"altmin: error: {ERRORS[file]}")
    assert error.count("\n") == 1


NAMED = {
    "mine/own.py": "mine/own.py needs the name of a class behind it, mine/own.py:CLASS; its methods: Own",
    "mine/own.py:own": "mine/own.py has no method 'own', deriving from altmin.Method; its methods: Own",
    "mine/fair.py:Fair": "mine/fair.py has no method 'Fair', deriving from altmin.Method; its methods: none",
}


@pytest.mark.parametrize("name", NAMED)
def test_a_files_methods_are_named(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["train", name]) == 2
    assert capsys.readouterr().err == f"altmin: error: {NAMED[name]}\n"


def test_help_has_usage_and_ranges(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["train", "mine/own.py:Own", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("usage: altmin train mine/own.py:Own [options]")
    assert "penalty; > 0 and <= 4 (" in text
    assert "--import" in text


@pytest.mark.parametrize(("text", "error"), [("fair:0", "must be > 0"), ("fair:1:2", "too many"), ("fair:x", "'x'")])
def test_a_losss_numbers_are_checked(text: str, error: str, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", "--import", "mine/fair.py", "--loss", text, *SMALL]) == 2
    assert "fair:SCALE" in (said := capsys.readouterr().err)
    assert error in said
