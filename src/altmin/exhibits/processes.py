"""Processes side by side that make trainings, each with one thread."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from altmin.exhibits.outcomes import Outcome
from altmin.exhibits.setting import Setting
from altmin.exhibits.store import Store
from altmin.exhibits.training import train
from altmin.study.files import import_file

TO_ALL = ("SIGINT", "SIGHUP")  # which a terminal sends to all of its processes; Windows lacks the last one
USUAL_SAMPLES, USUAL_FEATURES = 55_000, 784  # where a setting does not say, for an estimate of the time


class KilledError(Exception):
    """A process that trains was killed; outcomes that were there by then are kept."""


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
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.jobs, len(tasks)), context, _begin, (tuple(self.files),))
        try:
            return self._collect(pool, tasks, store, report)
        finally:
            for child in multiprocessing.active_children():  # at a regular end they are idle
                child.terminate()
            pool.shutdown(cancel_futures=True)

    def _collect(
        self,
        pool: ProcessPoolExecutor,
        tasks: Sequence[Task],
        store: Store,
        report: Callable[[StudyProgress], object],
    ) -> list[str]:
        """Hand the tasks to the processes, and keep what they give."""
        start, done, failed, lost = time.monotonic(), 0.0, [], 0
        whole = sum(task.size for task in tasks)
        with _signals_held_back():
            futures = {pool.submit(_timed, task.setting, task.seed, self.data_dir, self.device): task for task in tasks}
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
            raise KilledError(
                "a process that trains was killed, probably by the system for want of memory; with fewer --jobs less "
                f"is needed at once; {lost} of {len(tasks)} trainings were not finished"
            )
        return failed


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A context in which processes start that hear nothing of a terminal's signals before `_begin` ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in TO_ALL})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(files: Sequence[str]) -> None:
    """A process that trains: one thread, and the user's files.

    It ends at once with the one that started it, which alone speaks to users.
    """
    for name in TO_ALL:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for file in files:
        import_file(file)


def _end_with_parent() -> None:
    """End this process where the one that started it is gone, which may have been killed without a word."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _timed(setting: Setting, seed: int, data_dir: Path | None, device: str) -> tuple[Outcome, float]:
    start = time.monotonic()
    outcome = train(setting, seed, data_dir, device)
    return outcome, time.monotonic() - start
