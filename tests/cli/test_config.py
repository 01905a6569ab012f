"""`config.yaml`: a run's options, which make it again to the bit."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from altmin.cli import main
from altmin.methods.registry import METHODS
from cli.test_methods import OWN
from cli.written import all_same

SMALL = ["--hidden", "6", "--epochs", "3", "--quiet", "--seeds", "1"]
NET = "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 10))\n"

pytestmark = pytest.mark.usefixtures("training_alone")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "fair.py").write_text("")
    rows = [f"{i % 7},{i % 3},{'yes' if i % 7 > 3 else 'no'}" for i in range(60)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    before = dict(METHODS)
    yield tmp_path
    METHODS.clear()
    METHODS.update(before)


def weights(out: str) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in Path(out).rglob("*.safetensors")}


RUNS = {
    "numbers": "train am-adam --codes.lr 0.3 --mu.start 0.5 --seed 3 --batch-size 77",
    "batch norm": "train adam --batch-norm --activation tanh --regularizer l2:1e-3 --precision float64 --keep last",
    "full batch": "train dlam --loss squared --center --train-samples 300",
    "table": "train adam --csv.train table.csv --csv.target label --task classification",
    "network": "train bcd --model net.py:make",
    "method": "train own.py:LastLayer --lr 0.25 --import fair.py",
    "comparison": "compare am-sgd bcd --am-sgd.rule.lr 0.5 --seed 2",
    "own": "compare own.py:LastLayer adam --LastLayer.steps 2 --model net.py:make",
}


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@pytest.mark.parametrize("kind", RUNS)
def test_a_run_is_made_again_to_the_bit_from_any_folder(kind: str, here: Path):
    """Also where the user's network is no longer what it was."""
    small = SMALL[2:] if "net.py" in RUNS[kind] else SMALL
    command = RUNS[kind].split()[0]
    assert main([*RUNS[kind].split(), *small, "--out", "first"]) == 0
    config = yaml.safe_load((here / "first" / "config.yaml").read_text())
    assert not {"out", "overwrite", "resume", "quiet", "config"} & set(config)
    (here / "net.py").unlink()
    (here / "elsewhere").mkdir()
    os.chdir(here / "elsewhere")
    shutil.move(here / "first", here / "moved")
    assert main([command, "--config", "../moved/config.yaml", "--quiet"]) == 0
    os.chdir(here)
    again = f"elsewhere/altmin-{command}"
    assert all_same(again) == all_same("moved")
    assert weights(again) == weights("moved")
    assert yaml.safe_load(Path(again, "config.yaml").read_text()) | {"model": config["model"]} == config


PRINTED = {
    **{kind: RUNS[kind] for kind in ("table", "method", "own")},
    "second": "train bcd --then own.py:LastLayer --then.lr 0.25 --then.epochs 2",
    "labels": "compare slow=ipdlam fast=own.py:LastLayer --slow.alpha 0.2 --fast.lr 0.25",
    "parts": "train am-adam --last SGD --last.lr 0.2",
    "preset": "train --preset ipdlam-figure1/DLAM --data digits --batch-size 64",
}


@pytest.mark.parametrize("kind", PRINTED)
def test_what_is_printed_makes_the_same_run(kind: str, capsys: pytest.CaptureFixture[str]):
    line = [*PRINTED[kind].split(), *(SMALL[2:] if "net.py" in PRINTED[kind] else SMALL)]
    assert main([*line, "--out", "first"]) == 0
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main([*line, "--print-config"])
    Path("printed.yaml").write_text(capsys.readouterr().out)
    assert main([line[0], "--config", "printed.yaml", "--out", "again"]) == 0
    assert (all_same("again"), weights("again")) == (all_same("first"), weights("first"))


def test_a_method_of_a_comparison_can_be_made_again_alone():
    assert main(["compare", "am-sgd", "bcd", *SMALL, "--batch-size", "100", "--bcd.alpha", "2", "--out", "all"]) == 0
    for name in ("am-sgd", "bcd"):
        assert main(["train", "--config", f"all/{name}/config.yaml", "--quiet", "--out", name]) == 0
        assert weights(name) == weights(f"all/{name}")
    assert [*all_same("am-sgd"), *all_same("bcd")] == all_same("all")


def test_what_a_run_left_open_is_written_down():
    assert main(["train", "ipdlam", "--hidden", "6", "--epochs", "2", "--quiet", "--out", "out"]) == 0
    config = yaml.safe_load(Path("out/config.yaml").read_text())
    assert (config["method"], config["epochs"], config["loss"]) == ("ipdlam", 2, METHODS["ipdlam"].loss)
    assert (config["data"], config["seed"], config["threads"], config["batch_size"]) == ("digits", 0, 1, 1079)
    assert config["rho"] == METHODS["ipdlam"].method.rho  # type: ignore[attr-defined]


def test_two_methods_are_one_too_many(capsys: pytest.CaptureFixture[str]):
    Path("run.yaml").write_text("method: bcd\n")
    assert main(["train", "bcd", "--config", "run.yaml", *SMALL, "--out", "out"]) == 0
    assert main(["train", "adam", "--config", "run.yaml", *SMALL]) == 2
    assert "`method` is bcd, but the command line has adam; leave one of them out" in capsys.readouterr().err
    Path("run.yaml").write_text("method: bdc\n")
    assert main(["train", "--config", "run.yaml", *SMALL]) == 2
    assert "did you mean 'bcd'?" in capsys.readouterr().err


@pytest.mark.parametrize("more", ["--epochs 9", "adam", "--seed 1 --out other", "--overwrite"])
def test_a_run_goes_on_as_it_began(more: str, capsys: pytest.CaptureFixture[str]):
    assert main(["train", "bcd", *SMALL, "--out", "out"]) == 0
    capsys.readouterr()
    assert main(["train", *more.split(), "--resume", "out"]) == 2
    assert f"--resume goes on as out/config.yaml says; leave {more} out" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_finished_run_says_so(command: str, capsys: pytest.CaptureFixture[str]):
    assert main([command, "bcd", *SMALL, "--out", "out"]) == 0
    before = weights("out")
    capsys.readouterr()
    assert main([command, "--resume=out", "--quiet"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("out holds a finished ")
    assert ("bcd  " in text) == (command == "compare")
    assert weights("out") == before


def test_the_name_of_a_folder_is_on_the_last_line(capsys: pytest.CaptureFixture[str]):
    for name in ("altmin-train", "altmin-train-2"):
        assert main(["train", "bcd", *SMALL]) == 0
        assert capsys.readouterr().out.splitlines()[-1].endswith(f" to {name}")


def test_help_has_the_exit_codes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "exit codes: 0 all was done" in text
    assert "130, 143 and 129 after Ctrl-C, SIGTERM and SIGHUP" in text
