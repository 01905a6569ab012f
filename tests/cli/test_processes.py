"""Endings that only a process has: signals, pipes, full disks, sudden death."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import processes
import pytest
from safetensors.torch import load_file

SMALL = ["--hidden", "8", "--threads", "1", "--seeds", "1"]
FOREVER = ["--epochs", "1000000"]
pytestmark = pytest.mark.slow  # the process that the others are forked from takes seconds to load


def statuses(out: Path) -> dict[str, str]:
    return {run["method"]: run["status"] for run in json.loads((out / "results.json").read_text())["runs"]}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_signal_keeps_what_was_trained(command: str, number: int, code: int, tmp_path: Path):
    started = processes.start([command, "am-sgd", *SMALL, *FOREVER, "--out", "out"], tmp_path)
    started.until("am-sgd 10/")
    started.send(number)
    assert started.wait() == code
    errors = started.err.read_text()
    assert errors.splitlines()[0].startswith("altmin: interrupted: stopping after this iteration")
    assert "press Ctrl-C again" in errors
    assert f"`altmin {command} --resume out` goes on" in errors
    assert "Traceback" not in errors
    assert started.out.read_text().endswith("model.safetensors to out\n")
    (run,) = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert (run["method"], run["status"]) == ("am-sgd", "stopped")
    assert 10 <= run["iterations"] == len(run["objective"]) < 1000000
    own = tmp_path / "out" if command == "train" else tmp_path / "out" / "am-sgd"
    assert load_file(own / "model.safetensors")
    assert list((own / "checkpoints").iterdir())


def test_a_closed_pipe_does_not_end_training(tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    started = processes.start(["train", "am-sgd", *SMALL, "--epochs", "60", "--out", "out"], tmp_path, out=pipe)
    with pipe.open() as reader:
        assert reader.readline().startswith("digits: ")
    assert started.wait() == 0
    assert started.err.read_text() == ""
    assert statuses(tmp_path / "out") == {"am-sgd": "ok"}


@pytest.mark.parametrize("line", [["--help"], ["methods"], ["train", "adam", "--print-config"]])
def test_a_closed_pipe_ends_a_listing_quietly(line: list[str], tmp_path: Path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    started = processes.start(line, tmp_path, out=pipe)
    pipe.open().close()
    assert started.wait() == 0
    assert started.err.read_text() == ""


def test_a_full_disk_behind_standard_output_is_said_and_loses_nothing(tmp_path: Path):
    line = ["train", "am-sgd", *SMALL, "--epochs", "3", "--out", "out"]
    code, _, errors = processes.run(line, tmp_path, out=Path("/dev/full"))
    assert code == 3
    assert errors.startswith("altmin: error: standard output took no more ([Errno 28] ")
    assert errors.count("\n") == 1
    assert statuses(tmp_path / "out") == {"am-sgd": "ok"}


@pytest.mark.parametrize(("largest", "hidden"), [(1_000, "8"), (60_000, "64"), (300_000, "128 128")])
@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_full_disk_is_one_line_and_the_folder_can_go_on(command: str, largest: int, hidden: str, tmp_path: Path):
    """A file may have so many bytes: too few for the network, or for a checkpoint."""
    line = [
        command,
        "adam",
        "--hidden",
        *hidden.split(),
        "--threads",
        "1",
        "--epochs",
        "9",
        "--every",
        "3",
        "--out",
        "out",
    ]
    code, _, errors = processes.run(line, tmp_path, largest=largest)
    assert code == 3
    assert "Traceback" not in errors
    (said,) = errors.splitlines()
    assert said.startswith("altmin: error: the disk is full (")
    assert f"`altmin {command} --resume out`" in said or largest == 1_000
    assert not list((tmp_path / "out").rglob("*.part"))
    if largest > 1_000:
        assert processes.run([command, "--resume", "out"], tmp_path)[0] == 0
        assert statuses(tmp_path / "out") == {"adam": "ok"}


@pytest.mark.parametrize("command", ["train", "compare"])
def test_a_killed_run_goes_on_to_the_same_end(command: str, tmp_path: Path):
    """What an earlier method of a comparison has ended with stays as it is; times aside, all is as if undisturbed."""
    methods = ["ipdlam"] if command == "train" else ["am-sgd", "ipdlam", "bcd"]
    line = [command, *methods, *SMALL, "--epochs", "200", "--every", "7"]
    assert processes.run([*line, "--out", "whole"], tmp_path)[0] == 0
    started = processes.start([*line, "--out", "killed"], tmp_path)
    started.until("ipdlam 50/")
    started.send(signal.SIGKILL)
    assert started.wait() == -signal.SIGKILL
    code, text, errors = processes.run([command, "--resume", "killed"], tmp_path)
    assert (code, errors) == (0, "")
    assert "am-sgd 1/" not in text
    assert "ipdlam 1/" not in text
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


TIMES = {"run", "seconds", "cpu_seconds"}


def contents(out: Path) -> tuple[list[str], list[dict], dict[str, bytes]]:
    """The files of a folder, its results but for times, and the bytes of the weights."""
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    runs = json.loads((out / "results.json").read_text())["runs"]
    weights = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.safetensors")}
    return files, [{name: value for name, value in run.items() if name not in TIMES} for run in runs], weights


def test_two_runs_do_not_share_a_folder_and_a_dead_one_holds_none(tmp_path: Path):
    first = processes.start(["train", "am-sgd", *SMALL, *FOREVER, "--out", "out"], tmp_path)
    first.until("am-sgd 1/")
    (tmp_path / "second").mkdir()
    for how in (["adam", "--out", "../out", "--overwrite"], ["--resume", "../out"]):
        code, text, errors = processes.run(["train", *how, *([] if "--resume" in how else SMALL)], tmp_path / "second")
        assert (code, text) == (2, "")
        assert "another process of altmin writes to ../out; wait for it" in errors
    first.send(signal.SIGKILL)
    first.wait()
    line = ["train", "adam", *SMALL, "--epochs", "1", "--out", "out", "--overwrite"]
    assert processes.run(line, tmp_path)[0] == 0
    assert statuses(tmp_path / "out") == {"adam": "ok"}


def test_two_runs_at_once_without_a_name_have_a_folder_each(tmp_path: Path):
    line = ["train", "am-sgd", *SMALL, "--epochs", "20"]
    both = [processes.start(line, tmp_path) for _ in range(2)]
    assert [started.wait() for started in both] == [0, 0]
    assert {path.name for path in tmp_path.glob("altmin-train*")} == {"altmin-train", "altmin-train-2"}
