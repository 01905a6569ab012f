"""A search: its trials, each one training, kept in a journal that processes share and a later call goes on with."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from altmin.core.state import State
from altmin.data import Split
from altmin.methods import Method
from altmin.study.run import run
from altmin.study.run_files import JOURNAL
from altmin.study.setup import Setup
from altmin.train.callback import Observer
from altmin.train.history import History
from altmin.tune.space import Axis, with_numbers

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

NAME = "altmin"
WELL = ("ok", "converged")


@dataclass(frozen=True)
class Search:
    """What is searched on what, and the trials made so far, which are in a folder.

    Attributes:
        name: The method's name in the registry.
        method: The method, whose other numbers stay.
        setup: What is trained; no trial has its test samples.
        axes: What is searched.
        folder: Where the journal lies.
    """

    name: str
    method: Method
    setup: Setup
    axes: Sequence[Axis]
    folder: Path

    def __post_init__(self) -> None:
        data = self.setup.dataset
        if not len(data.validation):
            raise ValueError(f"{data.name} holds no validation samples to choose numbers by; take another data set")

    @cached_property
    def blind(self) -> Setup:
        """The same without test samples."""
        data = self.setup.dataset
        return replace(self.setup, dataset=replace(data, test=Split(data.test.x[:0], data.test.y[:0])))

    @property
    def figure(self) -> str:
        """What is sought, as records and results name it."""
        return "validation_loss" if self.setup.dataset.classes is None else "validation_accuracy"

    @property
    def worst(self) -> float:
        """The figure of a training that gave no network."""
        return math.inf if self.setup.dataset.classes is None else 0.0

    def study(self, index: int = 0) -> Study:
        """The journal as a study of optuna's.

        Args:
            index: How many trials come before, by which a trial draws the same whenever it is made.
        """
        import optuna
        from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        path = str(self.folder / JOURNAL)
        seed = int(np.random.SeedSequence([self.setup.seed, index]).generate_state(1)[0])
        return optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(path, JournalFileOpenLock(path))),
            study_name=NAME,
            direction="minimize" if self.setup.dataset.classes is None else "maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(),
            load_if_exists=True,
        )

    def begin(self) -> int:
        """How many trials are done; those that were ended on their way are to be made again, and the defaults first.

        Nobody else may work on the folder.
        """
        _mend(self.folder / JOURNAL)
        study = self.study()
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state.name == "RUNNING":
                study.tell(trial.number, state=type(trial.state).FAIL)
                study.enqueue_trial(trial.system_attrs.get("fixed_params", {}) | trial.params)
        if not trials:
            study.enqueue_trial({axis.name: axis.start for axis in self.axes if axis.start is not None})
        return len(self.done())

    def done(self) -> list[FrozenTrial]:
        """The trials that came to an end, those that were pruned and that diverged included."""
        return [t for t in self.study().get_trials() if t.state.name in ("COMPLETE", "PRUNED")]

    def best(self) -> list[FrozenTrial]:
        """Those that gave a network, the best one first; of equals the one that came first."""
        well = [t for t in self.done() if t.state.name == "COMPLETE" and t.user_attrs["status"] in WELL]
        return sorted(well, key=lambda t: t.value if self.worst else -t.value)  # type: ignore[operator]

    def method_of(self, trial: FrozenTrial) -> Method:
        """The method with the numbers of a trial that was made."""
        with _unwarned():
            return with_numbers(self.method, trial.params)

    def make(
        self,
        index: int,
        callbacks: Sequence[Observer] = (),
        within: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> FrozenTrial | None:
        """Make a trial; `None` where a callback ended it, or Ctrl-C, so that another call has to make it again.

        Args:
            index: How many come before it.
            callbacks: As of `altmin.study.run.run`.
            within: As there.
        """
        study = self.study(index)
        trial = study.ask({axis.name: axis.distribution() for axis in self.axes})
        watch = _Watch(trial, self.figure, self.setup.epochs_of(self.name))
        with _unwarned():
            try:
                method = with_numbers(self.method, trial.params)
            except ValueError as error:  # numbers that do not go together
                return _told(study, trial, self.worst, {"status": "failed", "error": str(error)})
            done = run(self.blind, self.name, method, (watch, *callbacks), within)
        if isinstance(done.failure, OSError | MemoryError):  # no matter of the numbers
            raise done.failure
        status, value = done.result["status"], done.result[self.figure]
        if status == "stopped" and not watch.pruned:
            return None
        notes = {name: done.result[name] for name in ("status", "iterations", "kept_iteration", "seconds")}
        notes |= {"error": str(done.error)} if done.error is not None else {}
        if watch.pruned:
            return _told(study, trial, None, notes | {"status": "pruned"})
        return _told(study, trial, value if status in WELL and value is not None else self.worst, notes)


class _Watch:
    """A callback that tells a trial's figures, and ends it where they are behind those of most others."""

    def __init__(self, trial: Trial, figure: str, epochs: int) -> None:
        self._trial, self._figure, self._epochs = trial, figure, epochs
        self.pruned = False

    def __call__(self, history: History, state: State[Any]) -> bool:
        """Whether the trial shall end; not with its last record, when it has ended by itself."""
        self._trial.report(history[self._figure][-1], history.iterations)
        self.pruned = history.iterations < self._epochs and self._trial.should_prune()
        return self.pruned


@contextmanager
def _unwarned() -> Iterator[None]:
    """A context without warnings: what there is to say of numbers is said when the best ones are trained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _told(study: Study, trial: Trial, value: float | None, notes: dict[str, Any]) -> FrozenTrial:
    """Write what became of a trial; without a value it was pruned."""
    from optuna.trial import TrialState

    for name, note in notes.items():
        trial.set_user_attr(name, note)
    return study.tell(trial, value, state=TrialState.PRUNED if value is None else TrialState.COMPLETE)


def _mend(journal: Path) -> None:
    """Take away the line that a killed process has left half written, and its lock."""
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    if journal.is_file():
        whole = journal.read_bytes()
        with journal.open("r+b") as file:
            file.truncate(whole.rfind(b"\n") + 1)
