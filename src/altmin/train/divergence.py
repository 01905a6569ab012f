"""Divergence that stays finite: a network worse than none, found in the records of its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.score import Score, labels_of, score
from altmin.core.state import State
from altmin.errors import DivergenceError
from altmin.precision import exact
from altmin.train.history import Record
from altmin.train.scale import misfits
from altmin.train.trainer import Trainer

BEYOND = 100.0  # random starts, sign networks and the first iterations of penalties stay within 5
HOPELESS = 1e6  # who comes from there would need the rest of the run to be where it began
EXPLODED = 1e6  # only inputs of a millionth of unit scale need such weights, and then these lower the loss
PATIENCE = 3  # records: momentum swings over in one or two
LEAD = 0.1  # of accuracy: a network that tells classes apart is of use, whatever its outputs' size


@dataclass(frozen=True)
class Fault:
    """What is wrong with a network.

    Attributes:
        block: What is too large.
        said: How large, and beside what.
        worse: Whether the start was better.
        hopeless: Whether training need not go on where it stays so.
    """

    block: str
    said: str
    worse: bool = True
    hopeless: bool = True


@dataclass
class DivergenceWatch:
    """Looks at every record for a loss, or weights, beyond all that training can mean.

    A loss is too large from `BEYOND` times that of outputs zero, weights from `EXPLODED` times the start's where the
    loss is no better than that of outputs zero. A classifier is spared whose accuracy is `LEAD` above the share of the
    commonest class. Methods may begin badly and come down slowly: training goes on, and only weights that are worse
    than the start are never kept. It ends where the loss is `HOPELESS` times that of outputs zero and of the start, or
    weights are too large, for `PATIENCE` records in a row. At its end weights that would be kept and are worse than the
    start are an error too; those that are better, and still far worse than none, make the status ``"diverged"``.

    Attributes:
        trainer: Has begun, and made no step yet.
        current: Whether records tell of the weights that are there then; else the last ones are scored at the end.
    """

    trainer: Trainer
    current: bool = True
    _faults: dict[int, Fault] = field(default_factory=dict, init=False)
    _hopeless: int = field(default=0, init=False)  # records in a row

    def __post_init__(self) -> None:
        trainer = self.trainer
        self._start = self._score().loss
        sizes = zip(_sizes(trainer.state), map(len, trainer.state.b), strict=True)
        self._sizes = [max(size, outputs**0.5) for size, outputs in sizes]

    def state_dict(self) -> dict[str, Any]:
        """What a run that goes on has to know of its start and of the records so far."""
        faults = [asdict(fault) | {"iteration": k} for k, fault in self._faults.items()]
        return {"start": self._start, "sizes": self._sizes, "faults": faults, "hopeless": self._hopeless}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self._start, self._sizes, self._hopeless = saved["start"], saved["sizes"], saved["hopeless"]
        self._faults = {values.pop("iteration"): Fault(**values) for values in map(dict, saved["faults"])}

    def look(self, record: Record) -> bool:
        """Whether the present weights, whose record this is, may be kept.

        Raises:
            DivergenceError: They may not, and there is no hope for those that would follow.
        """
        fault = self._fault(record["train_loss"], record["train_accuracy"])
        if fault is not None:
            self._faults[record["iteration"]] = fault
        self._hopeless = self._hopeless + 1 if fault is not None and fault.hopeless else 0
        if self._hopeless >= PATIENCE:
            self.judge(record)
        return fault is None or not fault.worse

    def judge(self, record: Record | None, present: bool = False) -> Literal["ok", "diverged"]:
        """The status of a run that ends with the weights of this record, which was looked at.

        Args:
            record: The record; `None` where there is none.
            present: Whether the trainer has these weights now, so that they can be scored where the record did not.

        Raises:
            DivergenceError: They are far worse than none, and worse than the start.
        """
        if record is None:
            return "ok"
        fault = self._faults.get(record["iteration"])
        if present and not self.current:
            now = self._score()
            fault = self._fault(now.loss, now.accuracy)
        if fault is None:
            return "ok"
        if fault.worse:
            raise DivergenceError(fault.block, fault.said, self._cure(), record["iteration"])
        return "diverged"

    @exact()
    def _score(self) -> Score:
        trainer = self.trainer
        return score(trainer.problem, trainer.state, trainer.sweep().batch, bool(trainer.reader.classes))

    def _fault(self, loss: float | None, accuracy: float | None) -> Fault | None:
        problem, batch = self.trainer.problem, self.trainer.sweep().batch
        nothing = loss_of_nothing(problem, batch)
        if loss is not None and (loss < nothing or _tells_classes(accuracy, batch)):
            return None
        for i, (size, start) in enumerate(zip(_sizes(self.trainer.state), self._sizes, strict=True), 1):
            if size > EXPLODED * start:
                return Fault(f"W_{i}", f"{size / start:.1e} times as large as at the start")
        if loss is None or loss <= BEYOND * abs(nothing or self._start):
            return None
        said = f"{loss:.3g} a sample, where outputs of zero have {nothing:.3g} and the start had {self._start:.3g}"
        hopeless = not loss <= HOPELESS * max(abs(nothing), abs(self._start))
        return Fault("train_loss", said, worse=not loss <= self._start, hopeless=hopeless)

    def _cure(self) -> str:
        trainer = self.trainer
        cures = [cure for _, cure in misfits(trainer.sweep().batch, trainer.problem, bool(trainer.reader.classes))]
        return "; or ".join([*cures, trainer.method.cure])


@exact()
def loss_of_nothing(problem: Problem, batch: Batch) -> float:
    """The mean loss of outputs that are all zero."""
    return float(batch.sum(batch.loss(problem.loss, torch.zeros_like(batch.y)))) / batch.count


def _tells_classes(accuracy: float | None, batch: Batch) -> bool:
    """Whether a classifier, of that accuracy, does clearly better than to name the commonest class."""
    if accuracy is None:
        return False
    labels, weights = labels_of(batch.y), batch.sample_weight
    counts = torch.bincount(labels, weights, minlength=max(batch.y.shape[1], 2)).to(batch.y)
    return accuracy > float(batch.sum(counts).max()) / batch.count + LEAD


def _sizes(state: State[Any]) -> list[float]:
    return [float(torch.linalg.vector_norm(W)) for W in state.W]
