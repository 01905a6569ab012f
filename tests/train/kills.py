"""Runs that are killed at random moments and go on: ``PYTHONPATH=tests python -m train.kills 200``.

Each run trains by `fit` with a checkpoint after every epoch, in a process of its own, which is killed (signal 9) at a
random moment and started again, some times over. What is on the disk must always hold the checkpoint of the last epoch
that was reported done, and in the end weights and figures must be those of a run that nobody disturbed, to the bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from torch import nn

import altmin
from altmin import History
from altmin.train.checkpoint import Checkpoints
from methods.table import ROWS, Row, takes

EPOCHS, SAMPLES, SIZE, FEATURES = 6, 30, 13, 6
MOST = 5  # kills of a run, which then ends in peace


def network(row: Row, drops: bool = False) -> nn.Sequential:
    """Two small hidden layers; with dropout and batch normalisation for online methods."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        inner = [nn.BatchNorm1d(5), nn.Dropout(0.2)] if drops else []
        return nn.Sequential(
            nn.Linear(FEATURES, 5), *inner, row.s(), nn.Linear(5, 4), row.s(), nn.Linear(4, 3)
        ).double()


@dataclass(frozen=True)
class Case:
    """A run that can be started again and again.

    Attributes:
        name: The row of the table of methods.
        size: Samples a batch.
        drops: Whether the network has dropout and batch normalisation.
    """

    name: str
    size: int = SAMPLES
    drops: bool = False

    def train(self, **options: Any) -> tuple[nn.Sequential, History]:
        """The model that training made, and what was recorded."""
        x = torch.randn(SAMPLES, FEATURES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        y = (x[:, 0] > 0).long() + (x[:, 1] > 0)
        model, generator = network(ROWS[self.name], self.drops), torch.Generator().manual_seed(3)
        fixed: dict[str, Any] = {"epochs": EPOCHS, "batch_size": self.size, "validation": (x[:10], y[:10])}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", altmin.PenaltyWarning)
            history = altmin.fit(
                model, ROWS[self.name].method, (x, y), generator=generator, keep="best", **fixed, **options
            )
        return model, history


def cases() -> Iterator[Case]:
    """Every row on all samples and in batches, and online ones on a network with dropout too."""
    for name, row in ROWS.items():
        yield Case(name)
        if row.method.batched:
            yield Case(name, SIZE, takes(row.method, network(row, drops=True)))


def figures(history: History) -> str:
    """Everything that was recorded but the times, to the last digit."""
    records = [{k: v for k, v in record.items() if "seconds" not in k} for record in history.records]
    return repr((records, history.best, history.status))


def same(one: tuple[nn.Sequential, History], other: tuple[nn.Sequential, History]) -> bool:
    """Whether two runs ended with the same bits."""
    pairs = zip(one[0].state_dict().values(), other[0].state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs) and figures(one[1]) == figures(other[1])


@dataclass
class Tally:
    """What was seen.

    Attributes:
        kills: Processes that were killed.
        writing: Those of them that were writing a checkpoint.
        runs: Runs that came to their end.
        failures: What went wrong, a line each.
    """

    kills: int = 0
    writing: int = 0
    runs: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.kills} kills in {self.runs} runs, {self.writing} while a checkpoint was being written; "]
        return "\n".join([lines[0] + f"{len(self.failures)} failures", *self.failures])


def run_kills(count: int, seed: int = 0) -> Tally:
    """Kill so many processes, of one case after the other."""
    rng, tally = random.Random(seed), Tally()
    for case in cycle(cases()):
        if tally.kills >= count:
            return tally
        with tempfile.TemporaryDirectory() as folder:
            _run(case, Path(folder) / "checkpoints", min(count - tally.kills, rng.randint(1, MOST)), rng, tally)
    raise AssertionError("there are no cases")


def _run(case: Case, folder: Path, kills: int, rng: random.Random, tally: Tally) -> None:
    """A run that is killed so many times, and ends in a process that is not."""
    start = time.perf_counter()
    expected = case.train()
    epoch = (time.perf_counter() - start) / EPOCHS
    done = 0
    for _ in range(kills):
        again = partial(case.train, checkpoint=folder, every=1, resume=True)
        done, killed = _killed(again, rng.randint(done, EPOCHS), done, rng.uniform(0.0, 4 * epoch))
        tally.kills += killed
        tally.writing += bool(list(folder.glob(".*.part")))
        newest = Checkpoints(folder).newest()
        if (len(newest["history"]["records"]) if newest else 0) < done - 1:
            tally.failures.append(f"{case}: no checkpoint of epoch {done - 1}")
    try:
        found = case.train(checkpoint=folder, every=1, resume=True)
        if not same(expected, found):
            tally.failures.append(f"{case}: other bits than those of the undisturbed run")
        if list(folder.glob(".*.part")):
            tally.failures.append(f"{case}: a temporary file was left")
    except Exception as error:  # noqa: BLE001, every error is a failure, which is reported
        tally.failures.append(f"{case}: {type(error).__name__}: {error}")
    tally.runs += 1


def _killed(train: Callable[..., Any], epochs: int, done: int, delay: float) -> tuple[int, bool]:
    """Start a run in another process and kill it some time after it has reported so many epochs.

    Returns:
        The epochs that were reported, and whether the process was killed before it ended.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _train_and_exit(train, write)
    os.close(write)
    while done < epochs and (told := os.read(read, 1)):
        done = told[0]
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    while told := os.read(read, 1):
        done = told[0]
    os.close(read)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("a run ended with an error; see above")
    return done, os.WIFSIGNALED(status)


def _train_and_exit(train: Callable[..., Any], write: int) -> None:
    """What the child does: train, and report every epoch by its number."""
    try:
        train(callbacks=[lambda history, state: os.write(write, bytes([len(history)])) and None])
        os._exit(0)
    except BaseException:  # noqa: BLE001, the parent process must not go on twice
        traceback.print_exc()
        os._exit(1)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    tally = run_kills(chosen.kills, chosen.seed)
    print(tally)
    raise SystemExit(bool(tally.failures))


if __name__ == "__main__":
    main()
