"""The record of an iteration: objective, residuals, and how good the network is."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.score import Tally, score
from altmin.core.state import State
from altmin.errors import DivergenceError
from altmin.precision import exact
from altmin.train.history import Record
from altmin.train.trainer import Trainer


@exact()
def record_of(trainer: Trainer, validation: Batch | None, iteration: int) -> Record:
    """The figures of the present state, after a look for nan and inf.

    Raises:
        DivergenceError: Weights, or an objective, that are not finite.
    """
    problem, state, samples, classes = trainer.problem, trainer.state, trainer.samples, bool(trainer.reader.classes)
    assert samples is not None
    tally = trainer.tally or Tally(problem, classes)
    terms, residuals = trainer.evaluate(tally)
    objective = float(torch.stack(list(terms.values())).sum())
    _check_finite(state, objective, iteration, trainer.method.cure)
    train = score(problem, state, samples, classes) if tally.empty else tally.score(samples)
    other = None if validation is None else score(problem, state, validation, classes)
    return {
        "objective": objective,
        "terms": {name: float(term) for name, term in terms.items()},
        "residuals": {name: float(r) for name, r in residuals.items()},
        "gap": train.gap,
        "train_loss": train.loss,
        "train_accuracy": train.accuracy,
        "validation_loss": other and other.loss,
        "validation_accuracy": other and other.accuracy,
        **trainer.method.scalars(state),
    }


def _check_finite(state: State[Any], objective: float, iteration: int, cure: str) -> None:
    for name, t in state.named():
        if name[0] in "Wb" and not bool(torch.isfinite(t).all()):
            raise DivergenceError(name, _first_bad(t), cure, iteration)
    if not abs(objective) < float("inf"):
        blocks = ((name, t) for name, t in state.named() if not bool(torch.isfinite(t).all()))
        name, t = next(blocks, ("objective", torch.tensor(objective, device="cpu")))
        raise DivergenceError(name, _first_bad(t), cure, iteration)


def _first_bad(t: Tensor) -> float:
    return float(t[~torch.isfinite(t)].flatten()[0]) if t.ndim else float(t)
