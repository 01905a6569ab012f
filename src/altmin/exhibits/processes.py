"""Processes side by side that make trainings, each with one thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from altmin.exhibits.outcomes import Outcome
from altmin.exhibits.setting import Setting
from altmin.exhibits.store import Store
from altmin.exhibits.training import train
from altmin.study.processes import KilledError, Submit, processes

USUAL_SAMPLES, USUAL_FEATURES = 55_000, 784  # where a setting does not say, for an estimate of the time


class Task(NamedTuple):
    """A training to be made.

    Attributes:
        setting: What.
        seed: Of start and batches.
        name: What users know it as.
    """

    setting: Setting
    seed: int
    name: str

    @property
    def size(self) -> float:
        """About how long it takes, in a unit of its own."""
        widths = (USUAL_FEATURES, *self.setting.options.get("hidden", (100,)), 10)
        products = sum(a * b for a, b in pairwise(widths))
        samples = self.setting.train_samples or USUAL_SAMPLES
        if self.setting.batches is not None:
            return products * self.setting.batches * (self.setting.batch_size or 200)
        return products * samples * self.setting.epochs


class StudyProgress(NamedTuple):
    """How far the trainings are.

    Attributes:
        done: Trainings that were made now.
        total: Trainings that were to be made.
        latest: The name of the latest one.
        seconds: What it took.
        left: About how many seconds all others will take.
    """

    done: int
    total: int
    latest: str
    seconds: float
    left: float


@dataclass(frozen=True)
class Workshop:
    """Where trainings are made.

    Attributes:
        jobs: How many processes.
        data_dir: Where data sets lie.
        device: Where to train.
        files: The user's own, in which what settings name may be.
    """

    jobs: int = 1
    data_dir: Path | None = None
    device: str = "cpu"
    files: Sequence[str] = ()

    def make(self, tasks: Sequence[Task], store: Store, report: Callable[[StudyProgress], object]) -> list[str]:
        """Train, and keep each outcome at once; what failed, in words.

        Raises:
            OSError: An outcome cannot be written; those before are kept.
            KilledError: A process was killed; finished trainings are kept.
        """
        if not tasks:
            return []
        with processes(min(self.jobs, len(tasks)), self.files) as submit:
            return self._collect(submit, tasks, store, report)

    def _collect(
        self,
        submit: Submit,
        tasks: Sequence[Task],
        store: Store,
        report: Callable[[StudyProgress], object],
    ) -> list[str]:
        """Hand the tasks to the processes, and keep what they give."""
        start, done, failed, lost = time.monotonic(), 0.0, [], 0
        whole = sum(task.size for task in tasks)
        futures = {submit(_timed, task.setting, task.seed, self.data_dir, self.device): task for task in tasks}
        for i, future in enumerate(as_completed(futures)):
            task, seconds = futures[future], math.nan
            try:
                outcome, seconds = future.result()
                store.put(task.setting, task.seed, outcome)
            except BrokenProcessPool:  # of this and all that follow, but for those that had ended by then
                lost += 1
                continue
            except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:  # of this training alone
                failed.append(f"{task.name}: {type(error).__name__}: {error}")
            done += task.size
            left = (time.monotonic() - start) * (whole - done) / done
            report(StudyProgress(i + 1, len(tasks), task.name, seconds, left))
        if lost:
            raise KilledError(f"{lost} of {len(tasks)} trainings were not finished")
        return failed


def _timed(setting: Setting, seed: int, data_dir: Path | None, device: str) -> tuple[Outcome, float]:
    start = time.monotonic()
    outcome = train(setting, seed, data_dir, device)
    return outcome, time.monotonic() - start
