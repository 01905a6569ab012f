"""Ends runs of the command line in every way at random moments, and sees that they go on to the same end.

``PYTHONPATH=tests python -m cli.survive --kills 200 --endings 50`` takes the better part of an hour on two cores. It
trains by all methods, one at a time and in comparisons, and prints a line for each kind of ending; it fails where one
run did not end with the files, results and weights, times aside, of a run that nobody disturbed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli import processes

OPTIONS = ["--threads", "1", "--train-samples", "300", "--epochs", "30", "--every", "2"]
TIMES = {"run", "seconds", "cpu_seconds", "elapsed_seconds", "elapsed_cpu_seconds"}
ENDINGS = ("SIGINT", "SIGTERM", "SIGHUP", "twice", "pipe", "60 kB", "300 kB")


def commands() -> list[list[str]]:
    """A line for each method, and comparisons that have them all."""
    from altmin.methods.registry import listed

    names = [e.name for e in listed() if e.name != "straight-through"]
    mlp = ["--hidden", "40"]
    single = [["train", name, *mlp] for name in names]
    single.append(["train", "straight-through", "--model", "binary", "--hidden", "8", "6"])
    several = [["compare", *names[i : i + 3], *mlp, "--seeds", "1"] for i in range(0, len(names), 3)]
    return [[*line, *OPTIONS] for line in (*single, *several)]


@dataclass
class Trial:
    """Runs in a folder, and the undisturbed ones to compare them with."""

    folder: Path
    draw: random.Random
    whole: dict[str, tuple[Any, float]] = field(default_factory=dict)

    def undisturbed(self, line: list[str]) -> tuple[Any, float]:
        """What a line leaves where nobody disturbs it, and the seconds it takes."""
        key = " ".join(line)
        if key not in self.whole:
            start = time.monotonic()
            code, _, errors = processes.run([*line, "--out", "whole"], self.folder)
            if code != 0:
                raise RuntimeError(f"{key}: exit code {code}: {errors}")
            self.whole[key] = contents(self.folder / "whole"), time.monotonic() - start
            shutil.rmtree(self.folder / "whole")
        return self.whole[key]

    def end(self, line: list[str], how: str) -> str:
        """Start a line, end it in this way, go on until it is done; what is wrong with that, empty where nothing is."""
        expected, seconds = self.undisturbed(line)
        out = self.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        wrong = self._disturb([*line, "--out", "out"], how, seconds)
        for _ in range(20):
            if wrong:
                return f"{' '.join(line)}: {how}: {wrong}"
            again = [line[0], "--resume", "out"] if (out / "config.yaml").is_file() else [*line, "--out", "out"]
            if how == "kill" and self.draw.random() < 0.3:
                wrong = self._disturb(again, how, seconds)
                continue
            code, _, errors = processes.run(again, self.folder)
            if code != 0:
                return f"{' '.join(line)}: {how}: going on ended with {code}: {errors}"
            return "" if contents(out) == expected else f"{' '.join(line)}: {how}: another end"
        return ""

    def _disturb(self, argv: list[str], how: str, seconds: float) -> str:
        """One process, ended in this way at a random moment; what is wrong with how it ended."""
        if how.endswith("kB"):
            return self._check(processes.start(argv, self.folder, largest=1000 * int(how.split()[0])), {0, 3})
        if how == "pipe":
            return self._closed_pipe(argv)
        started = processes.start(argv, self.folder)
        time.sleep(self.draw.uniform(0.0, seconds))
        if how == "kill":
            started.send(signal.SIGKILL)
            started.wait()
            return ""
        numbers = [signal.SIGINT, signal.SIGTERM] if how == "twice" else [signal.Signals[how]]
        for number in numbers:
            started.send(number)
        return self._check(started, {0, *(128 + number for number in numbers), *(-number for number in numbers)})

    def _closed_pipe(self, argv: list[str]) -> str:
        pipe = self.folder / "pipe"
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)
        started = processes.start(argv, self.folder, out=pipe)
        with pipe.open() as reader:
            for _ in range(self.draw.randrange(4)):
                reader.readline()
        return self._check(started, {0})

    def _check(self, started: processes.Started, codes: set[int]) -> str:
        code, errors = started.wait(), started.err.read_text()
        if code not in codes:
            return f"exit code {code}: {errors}"
        return errors if "Traceback" in errors else ""


def contents(out: Path) -> Any:
    """The files of a folder, its results and curves but for times, and the bytes of the weights."""
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    runs = [without_times(run) for run in json.loads((out / "results.json").read_text())["runs"]]
    with (out / "curves.csv").open(newline="") as file:
        rows = [without_times(row) for row in csv.DictReader(file)]
    return files, runs, rows, {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.safetensors")}


def without_times(values: dict[str, Any]) -> dict[str, Any]:
    """All but what differs from run to run."""
    return {name: value for name, value in values.items() if name not in TIMES}


def main(argv: Sequence[str] | None = None) -> int:
    """Run as many endings as are asked for; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--kills", type=int, default=200, help="runs that are killed (default: 200)")
    parser.add_argument("--endings", type=int, default=50, help="runs for each other ending (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, help="to work in; one in memory, such as /dev/shm, is quicker")
    options = parser.parse_args(argv)
    wrong: list[str] = []
    lines = commands()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        trial = Trial(Path(folder), random.Random(options.seed))
        for how, count in [("kill", options.kills), *((how, options.endings) for how in ENDINGS)]:
            wrong += _ended(trial, lines, how, count)
    return int(bool(wrong))


def _ended(trial: Trial, lines: list[list[str]], how: str, count: int) -> list[str]:
    """What went wrong with so many runs that were ended in one way; a line now and then says how far it is."""
    wrong: list[str] = []
    for i in range(count):
        if found := trial.end(lines[i % len(lines)], how):
            print(found, file=sys.stderr, flush=True)
            wrong.append(found)
        if i + 1 == count or (i + 1) % 20 == 0:
            print(f"{how}: {i + 1} of {count} runs, {len(wrong)} of them went wrong", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
