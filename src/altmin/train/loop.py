"""Training in rounds, with a record after each: what `fit` and `fit_stream` have in common."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from altmin.core.batch import Batch
from altmin.core.score import Tally
from altmin.core.state import Nothing, State
from altmin.errors import DivergenceError
from altmin.train.callback import Callback, Observed
from altmin.train.divergence import DivergenceWatch
from altmin.train.history import History, Record
from altmin.train.holdout import is_share
from altmin.train.metrics import Metric, metrics_of, named_metrics
from altmin.train.options import LoopOptions
from altmin.train.record import record_of, theory_of_record
from altmin.train.reporting import line_of
from altmin.train.saver import Saver
from altmin.train.shards import uncut
from altmin.train.trainer import Trainer

Rounds = Iterable[tuple[int, Iterable[Batch]]]  # the batches from one record to the next, and that one's iteration


def read_held(trainer: Trainer, chosen: LoopOptions) -> dict[str, Batch]:
    """The samples that every record evaluates beside those that are trained on."""
    given = {"validation": chosen.validation, "test": chosen.test}
    given = {name: data for name, data in given.items() if data is not None and not is_share(data)}
    return {name: trainer.reader.read(name, data) for name, data in given.items()}


@dataclass
class Loop:
    """Rounds of steps by a `Trainer`, with records, callbacks, checkpoints and a choice of the weights to keep.

    Attributes:
        trainer: Makes the steps.
        options: What is kept, and who is called.
        held: What is evaluated for every record, by the name that its figures have.
        tol: The relative stationarity below which training ends; `None` for no such end.
        counts: What else a record has.
        saver: Writes checkpoints.
        position: What else a checkpoint has.
        last: The iteration of the last record, where that is known beforehand.
        history: What was recorded.
        fallback: The weights that the model gets where training ends early, and with ``keep="best"`` at its end.
        fallback_iteration: The iteration that these are of; 0 for the start.
        watch: Looks for divergence that stays finite; weights that it does not let pass are never the fallback.
        callbacks: Those of the options, all with hooks.
        metrics: Those of the options by name.
    """

    trainer: Trainer
    options: LoopOptions
    held: Mapping[str, Batch]
    counts: Callable[[], Record] = dict
    saver: Saver | None = None
    position: Callable[[], Record] = dict
    last: int | None = None
    tol: float | None = None
    history: History = field(init=False)
    fallback: State[Nothing] = field(init=False)
    fallback_iteration: int = field(default=0, init=False)
    watch: DivergenceWatch = field(init=False)
    callbacks: list[Callback] = field(init=False)
    metrics: dict[str, Metric] = field(init=False)

    def __post_init__(self) -> None:
        self.callbacks = [one if isinstance(one, Callback) else Observed(one) for one in self.options.callbacks]
        self.metrics = named_metrics("metrics", self.options.metrics)

    def begin(self, samples: Batch, count: int | None = None, saved: dict[str, Any] | None = None) -> None:
        """Start the trainer, or go on from what `saved` has of a checkpoint; see `Driver.begin`."""
        if saved is not None:
            self.trainer.load_state_dict(saved["trainer"])
        self.history, before = History(keep=self.options.keep), self.trainer.state.weights()
        try:
            self.trainer.begin(samples, count)
        except DivergenceError as error:
            self.history.status, error.history = "diverged", self.history
            self.trainer.state.set_weights(before)
            raise
        self._metrics()  # one that cannot be computed is known before any work
        self.fallback, self.watch = self.trainer.state.weights(), self._watch()
        if saved is not None:
            self.history = History(**saved["history"] | {"status": "ok", "restored": None})
            if self.trainer.diagnosis is not None and self.history.records:
                self.trainer.diagnosis.c_k = self.history.records[-1]["c_k"]
            self.fallback_iteration = saved["fallback_iteration"]
            self.watch.load_state_dict(saved["watch"])
            if saved["fallback"] is not None:
                self.fallback.load_state_dict(uncut(saved["fallback"]))

    def _watch(self) -> DivergenceWatch:
        record = self.options.record
        current = not self.trainer.method.online if record is None else "train" in record
        return DivergenceWatch(self.trainer, current)

    def run(self, rounds: Rounds) -> History:
        """Steps on the batches of each round to come, and a record at its end."""
        with ExitStack() as ends:
            return self._run(rounds, ends)

    def _run(self, rounds: Rounds, ends: ExitStack) -> History:
        try:
            for callback in self.callbacks:
                callback.start(self.trainer, self.history)
                ends.callback(callback.end, self.trainer, self.history)  # of those that have started, and no others
            self._train(rounds)
            self._save(end=True)
            self._finish()
        except BaseException as error:
            if isinstance(error, DivergenceError):
                self.history.status, error.history = "diverged", self.history
            elif isinstance(error, KeyboardInterrupt):
                self.history.status = "stopped"
            self.trainer.state.set_weights(self.fallback)
            self.history.restored = self.fallback_iteration
            raise
        return self.history

    def _train(self, rounds: Rounds) -> None:
        if self._converged():  # before a run that ended so, and goes on, makes another step
            return
        start = self._clock()  # before a round is asked for: a stream reads its first batch then
        for iteration, batches in rounds:
            self._round(batches, iteration)
            times = dict(zip(("seconds", "cpu_seconds"), map(float.__sub__, self._clock(), start), strict=True))
            figures = record_of(self.trainer, self.held, iteration, self.options.record, iteration == self.last)
            figures |= theory_of_record(self.trainer, self.tol) | self._metrics()
            best = self.history.add({"iteration": iteration, **times, **self.counts(), **figures})
            if self.watch.look(self.history.records[-1]) and (best or self.options.keep == "last"):
                self.fallback, self.fallback_iteration = self.trainer.state.weights(), iteration
            if self.options.verbose:
                print(line_of(self.history.records[-1]), flush=True)
            answers = [callback.epoch(self.trainer, self.history) for callback in self.callbacks]
            if any(answers):
                self.history.status = "stopped"
                return
            if self._converged():
                return
            self._save()
            start = self._clock()

    def _metrics(self) -> Record:
        """What the option `metrics` adds to a record; nothing without it."""
        if not self.metrics:
            return {}
        trainer, parts = self.trainer, self.held or {"train": self.trainer.sweep().batch}
        classes = bool(trainer.reader.classes)
        return {"metrics": metrics_of(trainer.problem, trainer.state, classes, parts, self.metrics)}

    def _converged(self) -> bool:
        """Whether the last record is as stationary as `tol` asks for, which the status then says."""
        if self.tol is None or not self.history.records:
            return False
        if not self.history.records[-1].get("relative_stationarity", math.inf) < self.tol:
            return False
        self.history.status = "converged"
        return True

    def _round(self, batches: Iterable[Batch], iteration: int) -> None:
        self.trainer.check_storage()
        self.trainer.tally = Tally(self.trainer.problem, bool(self.trainer.reader.classes))
        try:
            for batch in batches:
                self.trainer.advance(batch)
                for callback in self.callbacks:
                    callback.batch(self.trainer, self.history)
        except DivergenceError as error:
            raise error.at(iteration) from error

    def _save(self, end: bool = False) -> None:
        """A checkpoint, where one is due."""
        if self.saver is not None:
            save = self.saver.write if end else self.saver.after
            save(self.history.iterations, self.trainer.state.k, self.state_dict)

    def state_dict(self) -> dict[str, Any]:
        """All that the rounds to come depend on, and what was recorded; tensors are not copied."""
        return {
            "trainer": self.trainer.state_dict(),
            "fallback": None if self.fallback_iteration == self.history.iterations else self.fallback.state_dict(),
            "fallback_iteration": self.fallback_iteration,
            "watch": self.watch.state_dict(),
            "history": asdict(self.history),
            "position": self.position(),
        }

    def _finish(self) -> None:
        """What the method does at the end, with the weights that are kept."""
        if self.history.status in ("ok", "converged"):
            kept = self.history.kept
            present = kept is not None and kept["iteration"] == self.history.iterations
            if self.watch.judge(kept, present) == "diverged":
                self.history.status = "diverged"
        if self.options.keep == "best":
            self.trainer.state.set_weights(self.fallback)
        self.trainer.method.finish(self.trainer.sweep())

    def _clock(self) -> tuple[float, float]:
        """Wall and CPU seconds, once the device has finished."""
        if self.trainer.place.like.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()
