"""``altmin reproduce`` in processes of its own, which are ended in every way, go on, and leave none behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from altmin.cli import main
from exhibits.making import Pool

pytestmark = pytest.mark.usefixtures("same_threads")

SMALL = ["reproduce", "ipdlam-figure2", "--scale", "smoke", "--jobs", "2", "--out", "out"]
TRAININGS, MANY = 5, 12  # of one seed; seeds, so that there is time for a signal
SOON = 120.0
slow = pytest.mark.slow


def _hear_of_hangups() -> None:
    """Have a process end by SIGHUP although the tests themselves may run under ``nohup``."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Started:
    """A command line as a shell starts it, in a group of its own as a terminal has it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.children = folder, set[int]()
        self._out, self._err = folder / "stdout", folder / "stderr"
        with self._out.open("w") as out, self._err.open("w") as err:
            argv = [sys.executable, "-m", "altmin", *SMALL, *options]
            self.process = subprocess.Popen(
                argv, stdout=out, stderr=err, cwd=folder, start_new_session=True, preexec_fn=_hear_of_hangups
            )

    @property
    def errors(self) -> str:
        return self._err.read_text()

    @property
    def runs(self) -> list[Path]:
        return sorted((self.folder / "out" / "runs").glob("*"))

    def trainers(self) -> list[int]:
        """The processes that train."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                stat = (path / "stat").read_text().rpartition(")")[2].split()
                if int(stat[1]) == self.process.pid and "spawn_main" in (path / "cmdline").read_text():
                    found.append(int(path.name))
            except OSError:
                continue
        self.children |= set(found)
        return found

    def until(self, training: int) -> None:
        """Wait until so many trainings are finished; 0: until processes start."""
        deadline = time.monotonic() + SOON
        while not (self.trainers() if training == 0 else f"{training}/" in self._out.read_text()):
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.01)
        self.trainers()

    def wait(self) -> int:
        return self.process.wait(SOON)

    def require_alone(self) -> None:
        """No process that it started is left."""
        deadline = time.monotonic() + 20
        while alive := [child for child in self.children if is_alive(child)]:
            assert time.monotonic() < deadline, alive
            time.sleep(0.05)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in /proc")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@linux
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=slow),
        pytest.param(signal.SIGHUP, 129, marks=slow),
    ],
)
def test_a_signal_keeps_what_is_finished_and_the_same_call_goes_on(number: int, code: int, here: Path, monkeypatch):
    started = Started(here, "--seeds", str(MANY))
    started.until(1)
    os.kill(started.process.pid, number)
    assert started.wait() == code
    assert started.errors == (
        "altmin: interrupted: nothing more is written; finished trainings are kept in out; the same command goes on\n"
    )
    started.require_alone()
    kept = {path: path.stat().st_mtime_ns for path in started.runs}
    assert 1 <= len(kept) < TRAININGS * MANY
    assert all(path.suffix == ".json" and json.loads(path.read_text()) for path in kept)
    monkeypatch.setattr("altmin.study.processes.ProcessPoolExecutor", Pool)
    assert main([*SMALL, "--seeds", str(MANY)]) == 0
    assert all(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert len(started.runs) == TRAININGS * MANY
    assert (here / "out" / "report.html").is_file()


@linux
@slow
@pytest.mark.parametrize("training", [0, 1])
def test_ctrl_c_reaches_all_processes_and_one_speaks(training: int, here: Path):
    started = Started(here, "--seeds", str(MANY))
    started.until(training)
    os.killpg(started.process.pid, signal.SIGINT)
    assert started.wait() == 130
    assert started.errors.count("\n") == 1
    started.require_alone()


@linux
@slow
def test_a_process_of_training_that_is_killed_ends_it_with_a_word(here: Path):
    started = Started(here, "--seeds", str(MANY))
    started.until(1)
    os.kill(started.trainers()[0], signal.SIGKILL)
    assert started.wait() == 3
    assert started.errors.startswith("altmin: error: a process that trains was killed, probably by the system")
    assert started.errors.endswith("finished trainings are kept in out; the same command goes on\n")
    assert started.errors.count("\n") == 1
    assert len(started.runs) >= 1
    started.require_alone()


@linux
@slow
def test_no_process_outlives_a_command_that_is_killed(here: Path):
    started = Started(here, "--seeds", str(MANY))
    started.until(1)
    started.process.kill()
    started.wait()
    assert started.children
    started.require_alone()
