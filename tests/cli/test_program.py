"""The program `altmin`: how its waiting threads wait is said before PyTorch is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from altmin_program import SLEEP, main


def environment(**own: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SLEEP} | own


@pytest.mark.parametrize(
    ("own", "found"), [({}, SLEEP), ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"})]
)
def test_threads_sleep_unless_the_user_says_how_they_wait(own: dict[str, str], found: dict[str, str]):
    """It ends there, where PyTorch would be imported, for seconds."""
    code = f"""
import json, os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(json.dumps({{name: os.environ[name] for name in {list(SLEEP)!r} if name in os.environ}}))
            sys.exit()
sys.meta_path.insert(0, Look())
from altmin_program import main
sys.argv = ["altmin", "methods"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(**own)
    )
    assert json.loads(done.stdout) == found


def test_it_is_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(sys, "argv", ["altmin", "methods"])
    assert main() == 0
    assert "dladmm" in capsys.readouterr().out


def test_the_installed_program_is_this_one():
    (script,) = entry_points(group="console_scripts", name="altmin")
    assert script.value == "altmin_program:main"


@contextmanager
def every_core_busy() -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def seconds_of_training(threads: int, out: Path) -> float:
    sizes = ["--data", "synthetic", "--train-samples", "2000", "--hidden", "200", "200", "--epochs", "5"]
    argv = ["altmin", "train", "dladmm", *sizes, "--threads", str(threads), "--out", str(out), "--quiet"]
    code = f"import sys; from altmin_program import main; sys.argv = {argv!r}; sys.exit(main())"
    free = {name: value for name, value in environment().items() if not name.endswith("_NUM_THREADS")}
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=free)
    (run,) = json.loads((out / "results.json").read_text())["runs"]
    return run["seconds"]


@pytest.mark.slow
def test_two_threads_do_not_wait_for_each_other_on_a_busy_machine(tmp_path: Path):
    """Threads that spin take some ten times as long as one thread there; the bound is far from either."""
    with every_core_busy():
        one, two = (seconds_of_training(threads, tmp_path / str(threads)) for threads in (1, 2))
    assert two < 2.5 * one
