"""``altmin reproduce``: its files, and what is said where it cannot."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from altmin import exhibits, files
from altmin.cli import main
from altmin.exhibits.exhibit import EXHIBITS
from exhibits.making import Pool

SMALL = ["reproduce", "ipdlam-figure2", "--scale", "smoke", "--jobs", "2", "--out", "out"]
TRAININGS = 5  # of one seed
slow = pytest.mark.slow


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, same_threads: None) -> None:
    """Trainings are made by this process."""
    monkeypatch.setattr("altmin.study.processes.ProcessPoolExecutor", Pool)


@pytest.mark.usefixtures("at_once")
def test_a_full_disk(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Three outcomes are written, and no more; then there is room again."""
    flush, written = files._flush, set()

    def failing(path: Path) -> None:
        written.add(path.name)
        if len([name for name in written if name.endswith(".part")]) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush", failing)
        assert main(SMALL) == 3
    error = capsys.readouterr().err
    assert error.startswith("altmin: error: the disk is full (")
    assert error.endswith("; finished trainings are kept in out; the same command goes on\n")
    kept = {path: path.stat().st_mtime_ns for path in Path("out/runs").iterdir()}
    assert len(kept) == 3
    assert main(SMALL) == 0
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


@pytest.mark.usefixtures("at_once")
def test_a_disk_that_is_full_when_pictures_are_drawn(here: Path, monkeypatch, capsys):
    flush = files._flush

    def failing(path: Path) -> None:
        if "figure.png" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush", failing)
        assert main(SMALL) == 3
    assert "altmin: error: the disk is full (" in capsys.readouterr().err
    assert len(list(Path("out/runs").iterdir())) == TRAININGS
    assert not Path("out/report.html").exists()
    assert main(SMALL) == 0


@pytest.mark.usefixtures("at_once")
def test_the_files_and_what_is_printed(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main([*SMALL, "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert f"{2 * TRAININGS}/{2 * TRAININGS} ipdlam-figure2, MNIST, delta" in out
    assert "1 of 1 exhibits written to out; open out/report.html" in out
    assert {path.name for path in Path("out").iterdir()} == {"runs", "ipdlam-figure2", "report.html"}
    names = {"figure.png", "table.csv", "curves.csv", "result.json"}
    assert {path.name for path in Path("out/ipdlam-figure2").iterdir()} == names
    assert len(list(Path("out/runs").iterdir())) == 2 * TRAININGS
    assert json.loads(Path("out/ipdlam-figure2/result.json").read_text())["seeds"] == 2
    capsys.readouterr()
    assert main([*SMALL, "--quiet"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 exhibits written to out; open out/report.html"


@pytest.mark.usefixtures("at_once")
def test_a_damaged_file_is_told_of(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(SMALL) == 0
    damaged = min(Path("out/runs").iterdir())
    damaged.write_text(damaged.read_text()[:100])
    capsys.readouterr()
    assert main(SMALL) == 0
    printed = capsys.readouterr()
    assert printed.err.startswith(f"altmin: warning: {damaged} is damaged (")
    assert "1/1 ipdlam-figure2" in printed.out


def test_an_unknown_exhibit(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["reproduce", "ipdlam-tabel1"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("altmin: error: unknown exhibit 'ipdlam-tabel1'; did you mean 'ipdlam-table1'?")
    assert error.count("\n") == 1
    assert list(here.iterdir()) == []


def test_a_data_set_that_is_missing(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Before anything is trained; there is no network."""
    monkeypatch.setattr("urllib.request.urlopen", offline)
    monkeypatch.setattr("altmin.study.processes.ProcessPoolExecutor", None)
    (here / "empty").mkdir()
    assert main(["reproduce", "ipdlam-figure2", "--scale", "desk", "--data-dir", "empty", "--out", "out"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("altmin: error: mnist is not on this machine and could not be downloaded: ")
    assert "--data-dir" in error
    assert error.count("\n") == 1


def offline(*_: object, **__: object) -> None:
    raise OSError("no network")


@pytest.mark.parametrize("options", [["--scale", "huge"], ["--seeds", "0"], ["--jobs", "-1"], ["--device", "abacus"]])
def test_options_that_do_not_fit(options: list[str], here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["reproduce", "ipdlam-figure2", "--scale", "smoke", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert options[0].removeprefix("--") in error


def test_help_names_every_exhibit(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["reproduce", "--help"])
    assert end.value.code == 0
    text = "".join(capsys.readouterr().out.split())
    assert all(name in text for name in exhibits.names())
    assert all(option in text for option in ("--scale{smoke,desk,paper}", "--seeds", "--jobs", "--data-dir", "--out"))


OWN = """
from altmin.exhibits import Curves, Exhibit, Measure, ExhibitScale, Setting, register
from altmin.exhibits.rules import between
from altmin.methods import BCD
from dataclasses import dataclass


@dataclass(frozen=True)
class Own(BCD):
    pass


register(
    Exhibit(
        name="own", paper="mine", place="Figure 1", title="a title", claim="A claim.",
        base=Setting(data="synthetic", method=Own(), options={"hidden": (4,)}, train_samples=40, epochs=2),
        panels={"p": {}}, arms={"a": {}}, picture=Curves(("test_accuracy",)),
        columns={"test": Measure("test_accuracy")}, checks={"it is one": between("test", ["a"], 0.0, 1.0)},
        desk=ExhibitScale(seeds=1),
    )
)
"""


@pytest.mark.slow
def test_an_exhibit_and_a_method_of_ones_own(here: Path, monkeypatch: pytest.MonkeyPatch, capfd):
    """Processes that train know the file, too."""
    monkeypatch.setattr("altmin.exhibits.exhibit.EXHIBITS", table := dict(EXHIBITS))
    monkeypatch.setattr(exhibits, "EXHIBITS", table)
    Path("own.py").write_text(OWN)
    assert main(["reproduce", "own", "--import", "own.py", "--jobs", "1", "--out", "out"]) == 0, capfd.readouterr().err
    assert json.loads(Path("out/own/result.json").read_text())["verdict"] == "yes"
    sys.modules.pop("own", None)


@slow
def test_no_other_command_imports_the_exhibits(tmp_path: Path):
    code = """
import sys
from altmin.cli import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit:
        pass
    print([name for name in sys.modules if name.startswith("altmin.exhibits")], file=sys.stderr)
"""
    drawn = "--data synthetic --train-samples 60 --hidden 4 --epochs 1 --quiet --overwrite"
    bench = "bench bcd --data synthetic --train-samples 60 --hidden 4 --rounds 1 --quiet"
    lines = [
        "--help",
        "methods",
        "datasets",
        f"train bcd {drawn}",
        f"compare bcd {drawn}",
        bench,
        "predict altmin-train",
    ]
    argv = [sys.executable, "-c", code, *lines, "reproduce --help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert found[:-1] == ["[]"] * len(lines)
    assert "altmin.exhibits.ipdlam.table1" in found[-1]


def test_exhibits_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["exhibits"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    for name in exhibits.names():
        exhibit = exhibits.load(name)
        assert f"{exhibit.paper}  " in rows[name]
        assert f"  {exhibit.place}  " in rows[name]
        assert rows[name].rstrip().endswith(f"  {exhibit.title}")


@slow
@pytest.mark.usefixtures("at_once")
def test_every_exhibit_runs(here: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["reproduce", "--scale", "smoke", "--out", "out"]) == 0, capsys.readouterr().err
    for name in exhibits.names():
        result = json.loads(Path(f"out/{name}/result.json").read_text())
        assert all(row["ours"] for row in result["table"])
        header = Path(f"out/{name}/curves.csv").read_text().splitlines()[0].split(",")
        picture, measures = exhibits.load(name).picture, exhibits.load(name).columns.values()
        drawn = (*picture.figures, *picture.by) if isinstance(picture, exhibits.Curves) else ()
        assert {*drawn, *(measure.figure for measure in measures)} <= set(header)
    assert f"{len(exhibits.names())} of {len(exhibits.names())} exhibits written" in capsys.readouterr().out
