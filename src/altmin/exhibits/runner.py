"""Make the trainings of exhibits, side by side in processes; those that a folder holds already are not made again."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from altmin.exhibits.exhibit import Arm, Exhibit, title
from altmin.exhibits.outcomes import Outcome, Outcomes
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
class Study:
    """Exhibits at a scale.

    Attributes:
        exhibits: Which.
        scale: ``smoke``, ``desk`` or ``paper``.
        seeds: How many starts each; `None` for the scale's own number.
        store: Where outcomes are.
        jobs: How many processes.
        data_dir: Where data sets lie.
        device: Where to train.
        files: The user's own, in which what settings name may be.
    """

    exhibits: Sequence[Exhibit]
    scale: str
    seeds: int | None
    store: Store
    jobs: int = 1
    data_dir: Path | None = None
    device: str = "cpu"
    files: Sequence[str] = ()

    def seeds_of(self, exhibit: Exhibit) -> range:
        """The seeds of an exhibit's trainings."""
        return range(self.seeds or exhibit.scale(self.scale).seeds)

    def data_sets(self) -> set[str]:
        """The data sets that are needed."""
        settings = [setting for exhibit in self.exhibits for setting in exhibit.settings(self.scale).values()]
        return {name for setting in settings for name in (setting.data, setting.validated) if name is not None}

    def run(self, report: Callable[[StudyProgress], object]) -> list[str]:
        """Make all trainings that are not there; what failed, in words.

        Raises:
            OSError: An outcome cannot be written; those before are kept.
            KilledError: A process that trains was killed; finished trainings are kept.
            KeyboardInterrupt: Somebody wants the end; finished trainings are kept.
        """
        failed = self._make(self._trials(), report)
        return failed + self._make(self._finals(), report)

    def outcomes(self, exhibit: Exhibit) -> Outcomes | None:
        """What became of an exhibit's trainings; `None` where one is missing."""
        found: dict[tuple[str, Arm], list[Outcome]] = {}
        chosen = {}
        for key, setting in exhibit.settings(self.scale).items():
            final = self._resolved(setting)
            each = [] if final is None else [self.store.get(final, seed) for seed in self.seeds_of(exhibit)]
            if final is None or None in each:
                return None
            found[key] = [outcome for outcome in each if outcome is not None]
            if setting.trials:
                chosen[key] = final.method
        return Outcomes(exhibit.columns, found, chosen)

    def _trials(self) -> Iterable[Task]:
        for exhibit in self.exhibits:
            for (panel, arm), setting in exhibit.settings(self.scale).items():
                for i, trial in enumerate(setting.on_trial()):
                    yield Task(trial, 0, f"{exhibit.name}, {panel}, {title(arm)}, trial {i + 1}")

    def _finals(self) -> Iterable[Task]:
        for exhibit in self.exhibits:
            for (panel, arm), setting in exhibit.settings(self.scale).items():
                final = self._resolved(setting)
                for seed in self.seeds_of(exhibit) if final is not None else ():
                    yield Task(final, seed, f"{exhibit.name}, {panel}, {title(arm)}, seed {seed}")  # type: ignore[arg-type]

    def _resolved(self, setting: Setting) -> Setting | None:
        """The setting with the method that was best on validation; `None` where a trial is missing."""
        trials = setting.on_trial()
        if not trials:
            return setting
        outcomes = [self.store.get(trial, 0) for trial in trials]
        if None in outcomes:
            return None
        merits = [_merit(outcome) for outcome in outcomes if outcome is not None]
        return replace(setting, method=setting.trials[merits.index(max(merits))], trials=(), validated=None)

    def _make(self, tasks: Iterable[Task], report: Callable[[StudyProgress], object]) -> list[str]:
        """Train what is not there."""
        wanted = {
            task.setting.digest(task.seed): task for task in tasks if self.store.get(task.setting, task.seed) is None
        }
        ahead = sorted(
            wanted.values(), key=lambda task: task.size, reverse=True
        )  # the long ones first: none ends alone
        if not ahead:
            return []
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(self.jobs, len(ahead)), context, _begin, (tuple(self.files),))
        try:
            return self._collect(pool, ahead, report)
        finally:
            for child in multiprocessing.active_children():  # at a regular end they are idle
                child.terminate()
            pool.shutdown(cancel_futures=True)

    def _collect(
        self, pool: ProcessPoolExecutor, ahead: Sequence[Task], report: Callable[[StudyProgress], object]
    ) -> list[str]:
        """Hand the tasks to the processes, and keep what they give."""
        start, done, failed, lost = time.monotonic(), 0.0, [], 0
        whole = sum(task.size for task in ahead)
        with _signals_held_back():
            futures = {pool.submit(_timed, task.setting, task.seed, self.data_dir, self.device): task for task in ahead}
        for i, future in enumerate(as_completed(futures)):
            task, seconds = futures[future], math.nan
            try:
                outcome, seconds = future.result()
                self.store.put(task.setting, task.seed, outcome)
            except BrokenProcessPool:  # of this and all that follow, but for those that had ended by then
                lost += 1
                continue
            except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:  # of this training alone
                failed.append(f"{task.name}: {type(error).__name__}: {error}")
            done += task.size
            left = (time.monotonic() - start) * (whole - done) / done
            report(StudyProgress(i + 1, len(ahead), task.name, seconds, left))
        if lost:
            raise KilledError(
                "a process that trains was killed, probably by the system for want of memory; with fewer --jobs less "
                f"is needed at once; {lost} of {len(ahead)} trainings were not finished"
            )
        return failed


def _merit(outcome: Outcome) -> float:
    """How good a trial is: its last accuracy on validation."""
    values = outcome.curve("validation_accuracy")
    return -1.0 if outcome.diverged or not values or math.isnan(values[-1]) else values[-1]


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
