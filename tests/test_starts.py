"""All that a user can start does start: scripts, the code of the pages, and the command lines that they show.

Everything is found by its file, so that a new script or a new page is held to this as soon as it is there.
"""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib import pyplot as plt

import altmin
from altmin import cli
from altmin.methods.registry import METHODS
from methods.table import digits, network
from test_lessons import LESSONS

pytestmark = pytest.mark.usefixtures("same_threads")

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/methods/*.md"), *ROOT.glob("benchmarks/*.md")]
)
FILES = [*ROOT.glob("experiments/*.py"), *ROOT.glob("benchmarks/*.py"), *ROOT.glob("docs/pictures/*.py")]
SCRIPTS = sorted(path for path in FILES if "__main__" in path.read_text(encoding="utf-8"))
# A script that is not here is started by --smoke; files are those of the folder that the test runs in.
SMALL = {
    "benchmarks/compare.py": ["--samples", "40", "--hidden", "4", "--methods", "ipdlam", "--out", "."],
    "benchmarks/page.py": ["--smoke", "--page", "page.md"],
    "benchmarks/scaling.py": (
        ["--samples", "40", "80", "--widths", "4", "8", "--width", "4", "--methods", "ipdlam", "--out", "."]
    ),
    "docs/pictures/draw_variables.py": ["--out", "."],
}


@pytest.mark.slow
def test_endings_are_tried_by_the_command_that_is_documented(tmp_path: Path):
    paths = os.pathsep.join([str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "cli.survive", "--kills", "1", "--endings", "1"]
    how = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": paths}, "timeout": 300}
    done = subprocess.run(command, capture_output=True, text=True, **how)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 8


quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """The code blocks of a language in all pages, each by its page and its number there."""
    for page in PAGES:
        found = re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
        yield from ((f"{name_of(page)}:{i}", block) for i, block in enumerate(found))


def start(script: Path, argv: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a script as `python script argv` would; its exit status."""
    monkeypatch.setattr(sys, "argv", [str(script), *argv])
    monkeypatch.syspath_prepend(str(script.parent))
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.slow
@quiet
@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_script_runs(script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALTMIN_DATA", str(tmp_path / "none"))
    shutil.copy(ROOT / "docs" / "performance.md", tmp_path / "page.md")
    assert start(script, SMALL.get(name_of(script), ["--smoke"]), monkeypatch) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("registrations")
@pytest.mark.parametrize("example", sorted(ROOT.glob("examples/*.py")), ids=name_of)
def test_every_example_runs(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALTMIN_DATA", str(tmp_path / "none"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("matplotlib.pyplot.show", plt.close)
    assert start(example, [], monkeypatch) == 0


def readme(scope: dict, printed: str) -> None:
    """The example reaches a good accuracy."""
    assert float(printed.split()[-1]) > 0.9


def loop(scope: dict, printed: str) -> None:
    """The loop lowers the objective."""
    objectives = [float(line.split()[0]) for line in printed.splitlines()]
    assert len(objectives) == 100
    assert objectives[-1] < objectives[0]


def own_method(scope: dict, printed: str) -> None:
    """The method trains, and refuses a bad number."""
    losses = altmin.fit(network(30), scope["LastLayer"](lr=2.0), digits(300), epochs=100)["objective"]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(ValueError, match="`lr` must be > 0"):
        scope["LastLayer"](lr=0.0)


def all_at_once(scope: dict, printed: str) -> None:
    """The objective falls at every step, with convolutions too."""
    objectives = scope["history"]["objective"]
    assert objectives == sorted(objectives, reverse=True)
    assert objectives[-1] < 0.9 * objectives[0]
    x, y = digits(60)
    layers = torch.nn.Unflatten(1, (1, 8, 8)), torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Flatten()
    model = torch.nn.Sequential(*layers, torch.nn.Linear(72, 10)).to(x.dtype)
    images = altmin.fit(model, scope["ProximalGradient"](), (x, y), loss="squared", epochs=5)["objective"]
    assert images == sorted(images, reverse=True)


def huber(scope: dict, printed: str) -> None:
    """The derivative and the prox are those of the loss; its number is checked."""
    loss, (x, _) = scope["Huber"](0.5), digits(4)
    v, y = 2.0 * x[:2], x[2:]
    v.requires_grad_()
    assert torch.equal(torch.autograd.grad(loss(v, y), v)[0], loss.grad(v, y))
    z = loss.prox(v.detach(), 0.7, y)
    assert torch.allclose(loss.grad(z, y) + 0.7 * (z - v.detach()), torch.zeros_like(z), atol=1e-12)
    with pytest.raises(ValueError, match="`delta` must be > 0"):
        altmin.problem_of(network(4), "huber:0")


CHECKS = {
    "README.md:0": readme,
    "docs/architecture.md:0": loop,
    "docs/extending.md:1": own_method,
    "docs/extending.md:2": all_at_once,
    "docs/extending.md:5": huber,
}
PYTHON = {name: block for name, block in blocks("python") if ROOT / name.split(":")[0] not in LESSONS}


@quiet
@pytest.mark.usefixtures("registrations")
@pytest.mark.parametrize("block", PYTHON)
def test_every_python_block_runs(
    block: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)  # where some write
    x, y = digits(200)
    scope = {"altmin": altmin, "model": network(12), "x": x, "y": y}  # what the text around a block has made
    exec(compile(PYTHON[block], block, "exec"), scope)
    if block in CHECKS:
        CHECKS[block](scope, capsys.readouterr().out)


def test_every_check_has_its_block():
    assert set(PYTHON) >= set(CHECKS)


def split(name: str, text: str) -> Iterator[tuple[str, str]]:
    """The commands of this library in a line, each with where it stands."""
    for command in re.split(r"&&|\|\||;", text):
        if re.match(r"(altmin|python) \S", command.strip()):
            yield name, command.strip()


def mentioned() -> Iterator[tuple[str, str]]:
    """The commands in running text and in the scripts' own descriptions; they may have [options], NAME and ... ."""
    for page in PAGES:
        prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for code in re.findall(r"`([^`\n]+)`", prose):
            yield from split(name_of(page), code)
    for script in SCRIPTS:
        for line in script.read_text(encoding="utf-8").split('"""')[1].splitlines():
            yield from split(name_of(script), line.strip())


CONSOLE = [found for name, block in blocks("console") for line in block.splitlines() for found in split(name, line)]
MENTIONED = sorted(set(mentioned()))


def options(text: str) -> set[str]:
    """The long options that a text names."""
    return set(re.findall(r"(?<![\w-])--[a-z][\w.-]*(?<!\.)", text))


def lines(rows: list[tuple[str, str]], program: str) -> pytest.MarkDecorator:
    """A test for each command of a program."""
    chosen = [row for row in rows if row[1].startswith(program)]
    return pytest.mark.parametrize(("name", "command"), chosen, ids=[" ".join(row) for row in chosen])


@lines(CONSOLE, "altmin")
def test_every_altmin_line_is_understood(
    name: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    understood: list[str] = []
    monkeypatch.chdir(tmp_path)
    for config in re.findall(r"--config (\S+)", command):  # which another command has written
        Path(config).parent.mkdir(parents=True, exist_ok=True)
        Path(config).write_text("method: dladmm\n")
    monkeypatch.setattr(cli, "RUN", dict.fromkeys(cli.RUN, lambda options: understood.append(options.command) or 0))
    argv = shlex.split(command)[1:]
    try:
        status = cli.main(argv)
    except SystemExit as end:
        status = end.code
    assert status == 0, f"{name}: {capsys.readouterr().err}"
    assert understood == ([] if "--help" in argv else [argv[0]])


HELPS: dict[tuple[str, ...], str] = {}  # what a line has printed, once for all commands that ask for it


@lines(MENTIONED, "altmin")
def test_every_altmin_command_in_the_text_has_known_options(
    name: str, command: str, capsys: pytest.CaptureFixture[str]
):
    first, *others = [word for word in re.sub(r"[\[\]]", " ", command).split()[1:] if not word.startswith("-")]
    methods = [word for word in others if word in METHODS] or ["am-adam"]  # where a page says NAME
    line = first, *(methods if first in ("train", "compare", "bench") else []), "--help"
    if line not in HELPS:
        with pytest.raises(SystemExit):
            cli.main(line)
        HELPS[line] = capsys.readouterr().out
    known = options(HELPS[line]) | {"--help"}
    known |= {option.removesuffix(".by") for option in known}  # the kind of a part, in short
    assert options(command) <= known, f"{name}: known are {', '.join(sorted(known))}"


@lines([*CONSOLE, *MENTIONED], "python")
def test_every_python_line_names_a_script_and_its_options(
    name: str, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    first, *others = command.split()[1:]
    if first == "-m":
        assert importlib.util.find_spec(others[0]), f"{name}: no module {others[0]}"
        return
    folder, file = (ROOT / first).parent, Path(first).name
    scripts = [path for path in SCRIPTS if path.parent == folder] if file == "NAME.py" else [ROOT / first]
    assert scripts
    for script in scripts:
        assert script.is_file(), f"{name}: no file {script}"
        assert start(script, ["--help"], monkeypatch) == 0
        known = options(capsys.readouterr().out)
        assert options(command) <= known, f"{name}: known are {', '.join(sorted(known))}"
