"""Command lines in processes of their own, which start at once: they are forked from one that has it all loaded."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import forked

SOON = 120.0  # seconds in which a test's process ends on a busy machine


@dataclass
class Started:
    """A command line at work.

    Attributes:
        process: Its process.
        out: The file that its standard output goes to.
        err: The same of standard error.
    """

    process: BaseProcess
    out: Path
    err: Path

    def send(self, number: int) -> None:
        """Send it a signal, if it is still there."""
        assert self.process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)

    def wait(self) -> int | None:
        """Its exit code, minus the signal's number where one killed it."""
        self.process.join(SOON)
        if self.process.is_alive():
            self.send(signal.SIGKILL)
            raise TimeoutError(f"still running: {self.err.read_text()}")
        return self.process.exitcode

    def until(self, text: str) -> None:
        """Wait until it has printed `text`."""
        deadline = time.monotonic() + SOON
        while text not in self.out.read_text():
            assert self.process.is_alive(), self.err.read_text()
            assert time.monotonic() < deadline, self.err.read_text()
            time.sleep(0.01)


def start(argv: Sequence[str], folder: Path, *, out: Path | None = None, largest: int | None = None) -> Started:
    """Start ``altmin`` with these arguments.

    Args:
        argv: The arguments.
        folder: The folder to start it in; its output goes to files there.
        out: Where standard output goes instead, such as a named pipe.
        largest: The bytes that a file may have.
    """
    out, err = out or folder / "stdout", folder / "stderr"
    process = forked.context().Process(target=_main, args=(list(argv), folder, out, err, largest))
    if out.is_file() or not out.exists():
        out.write_text("")
    process.start()
    return Started(process, out, err)


def run(argv: Sequence[str], folder: Path, **how: Path | int | None) -> tuple[int | None, str, str]:
    """Run it to its end: exit code, standard output, standard error."""
    started = start(argv, folder, **how)  # type: ignore[arg-type]
    code = started.wait()
    return code, started.out.read_text() if started.out.is_file() else "", started.err.read_text()


def _main(argv: list[str], folder: Path, out: Path, err: Path, largest: int | None) -> None:
    import torch

    from altmin.cli import main

    torch.set_num_threads(1)
    os.chdir(folder)
    for path, number in ((out, 1), (err, 2)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    sys.exit(main(argv))
