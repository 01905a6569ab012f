"""Methods of one's own on the command line: from a file, and from another package's entry points."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from altmin.bench import measure
from altmin.cli import main

OWN = '''
"""Plain gradient descent on the last layer."""

from __future__ import annotations

from dataclasses import dataclass

import altmin
from altmin.checks import number
from altmin.core.forward import forward
from altmin.sweep import network_terms


@dataclass(frozen=True)
class LastLayer(altmin.Method):
    """Gradient descent on the last layer."""

    gradients = altmin.Gradients.LAYER

    lr: float = number(0.5, "length of a step", above=0.0)
    steps: int = number(1, "steps an iteration", least=1)

    def init(self, sweep):
        pass

    def step(self, sweep):
        problem, state, batch = sweep.problem, sweep.state, sweep.batch
        for _ in range(self.steps):
            z, a = forward(problem, state, batch.x)
            r = problem.loss.grad(z[-1], batch.y) / batch.count
            state.W[-1].sub_(self.lr * batch.sum(r.T @ a[-1]))

    def evaluate(self, sweep):
        return network_terms(sweep), {}


@dataclass(frozen=True)
class Bare(altmin.Method):
    lr: float = 0.1


@dataclass(frozen=True)
class Open(altmin.Method):
    lr: float


class Nothing:
    pass
'''
REGISTERED = OWN.replace(
    "@dataclass(frozen=True)\nclass LastLayer",
    '@altmin.method("last-layer", title="the last layer", paper="mine", epochs=7)\n'
    "@dataclass(frozen=True)\nclass LastLayer",
).replace("import altmin\n", "import altmin\nimport altmin.methods\n\naltmin.method = altmin.methods.method\n")
SMALL = ["--hidden", "8", "--threads", "1", "--quiet", "--seeds", "1"]

pytestmark = pytest.mark.usefixtures("registrations", "training_alone")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file, in the present folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def results(out: Path) -> list[dict]:
    return json.loads((out / "results.json").read_text())["runs"]


@pytest.mark.usefixtures("trials")
def test_a_class_in_a_file_is_trained_with_its_numbers(own: Path, tmp_path: Path):
    numbers = ["--lr", "0.25", "--steps", "3", "--epochs", "4"]
    assert main(["train", f"{own}:LastLayer", *SMALL, *numbers, "--out", str(tmp_path / "out")]) == 0
    (run,) = results(tmp_path / "out")
    assert (run["method"], run["parameters"]) == ("LastLayer", {"lr": 0.25, "steps": 3})
    assert run["objective"][-1] < run["objective"][0]
    assert (run["iterations"], run["loss"]) == (4, "cross_entropy")
    assert main(["predict", str(tmp_path / "out")]) == 0


def test_its_help_has_its_numbers(own: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["train", "own.py:LastLayer", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0
    assert "Train by LastLayer: Gradient descent on the last layer. (own.py)." in text
    assert "--lr LR length of a step; > 0 (type: float, default: 0.5)" in text


def test_it_is_compared_by_its_name(own: Path, tmp_path: Path):
    options = ["--LastLayer.lr", "0.125", "--epochs", "2", "--out", str(tmp_path / "out")]
    assert main(["compare", "adam", "own.py:LastLayer", *SMALL, *options]) == 0
    assert [run["method"] for run in results(tmp_path / "out")] == ["adam", "LastLayer"]
    assert results(tmp_path / "out")[1]["parameters"]["lr"] == 0.125
    assert (tmp_path / "out" / "LastLayer" / "model.safetensors").is_file()


def test_it_is_timed(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure, "LEAST", 0.0)
    monkeypatch.setattr(measure, "SIDE", 64)
    options = ["--LastLayer.steps", "2", "--train-samples", "60", "--rounds", "1", "--hidden", "8", "--quiet"]
    assert main(["bench", "own.py:LastLayer", *options, "--out", str(tmp_path / "out")]) == 0
    names = [row["name"] for row in json.loads((tmp_path / "out" / "bench.json").read_text())["rows"]]
    assert "LastLayer steps=2" in names


def test_a_file_that_registers_its_class_gives_it_its_name(own: Path, tmp_path: Path):
    own.write_text(REGISTERED)
    for _ in range(2):
        assert main(["train", "own.py:LastLayer", *SMALL, "--out", str(tmp_path / "out"), "--overwrite"]) == 0
    (run,) = results(tmp_path / "out")
    assert (run["method"], run["iterations"]) == ("last-layer", 7)


def test_the_file_is_read_afresh(own: Path, tmp_path: Path):
    for lr in ("0.5", "0.75"):
        own.write_text(OWN.replace("number(0.5,", f"number({lr},"))
        assert main(["train", "own.py:LastLayer", *SMALL, "--epochs", "1", "--out", str(tmp_path / "out" / lr)]) == 0
        assert results(tmp_path / "out" / lr)[0]["parameters"]["lr"] == float(lr)


WRONG = {
    "own.py:Last": "own.py has no method 'Last', deriving from altmin.Method; its methods: LastLayer",
    "own.py:Nothing": "own.py has no method 'Nothing'",
    "own.py:": "own.py needs the name of a class behind it, own.py:CLASS; its methods: LastLayer",
    "own.py:Bare": "own.py:Bare: the field `lr` must be an altmin.checks.number",
    "own.py:Open": "own.py:Open: the field `lr` must be an altmin.checks.number",
    "nowhere.py:LastLayer": "cannot read the file nowhere.py",
    "broken.py:LastLayer": "broken.py, line 2: ZeroDivisionError",
    "syntax.py:LastLayer": "SyntaxError",
    "wrong.py:Wrong": "wrong.py:Wrong: ValueError: `lr` must be > 0",
}
WRONG_NUMBER = (
    "from dataclasses import dataclass\nfrom altmin import Method\nfrom altmin.checks import number\n\n\n"
    "@dataclass(frozen=True)\nclass Wrong(Method):\n    lr: float = number(-1.0, 'x', above=0.0)\n"
)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("command", ["train", "compare", "bench"])
def test_errors_are_one_line(command: str, name: str, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "broken.py").write_text("x = 0\n1 / x\n")
    (tmp_path / "syntax.py").write_text("def f(:\n")
    (tmp_path / "wrong.py").write_text(WRONG_NUMBER)
    assert main([command, name, "--out", str(tmp_path / "out")]) == 2
    text = capsys.readouterr()
    assert text.err.startswith("altmin: error: ")
    assert text.err.count("\n") == 1
    assert WRONG[name] in text.err
    assert text.out == ""
    assert not (tmp_path / "out").exists()


def test_a_number_out_of_range_is_an_error_in_one_line(own: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "own.py:LastLayer", "--lr", "-1"]) == 2
    assert capsys.readouterr().err == "altmin: error: --lr must be > 0, got -1.0\n"


# Another package


def install(folder: Path, package: str, code: str) -> None:
    """A package as pip leaves it: a module, and what its distribution says about itself."""
    (folder / f"{package}.py").write_text(code)
    about = folder / f"{package}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[altmin.methods]\n{package} = {package}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that Python looks for packages in."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield folder
    for name in {n for n in set(sys.modules) - before if not n.startswith("torch")}:  # which cannot be imported anew
        del sys.modules[name]


def test_another_packages_methods_are_on_the_command_line(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    install(site, "altmin_last_layer", REGISTERED)
    assert main(["methods"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("last-layer "))
    assert "gradients within a layer" in row
    options = [*SMALL, "--out", str(tmp_path / "out"), "--overwrite"]
    assert main(["train", "last-layer", "--lr", "0.25", *options]) == 0
    assert results(tmp_path / "out")[0]["parameters"]["lr"] == 0.25
    assert main(["compare", "last-layer", "adam", "--last-layer.steps", "2", "--epochs", "1", *options]) == 0
    assert [run["method"] for run in results(tmp_path / "out")] == ["last-layer", "adam"]
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "last-layer 7" in text, "the epochs by default"
    assert "last-layer, " in text


def test_a_package_that_fails_is_named_in_one_line(site: Path, capsys: pytest.CaptureFixture[str]):
    install(site, "altmin_broken", "import nothing_of_that_name\n")
    assert main(["methods"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("altmin: error: a package's methods (entry points altmin.methods) cannot be loaded")
    assert "nothing_of_that_name" in error
    assert error.count("\n") == 1
