"""The record of an iteration: objective, residuals, and how good the network is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.score import Score, Tally, score
from altmin.core.state import State
from altmin.diagnostics import relative_stationarity, stationarity
from altmin.errors import DivergenceError
from altmin.precision import exact
from altmin.train.history import Record
from altmin.train.options import FIGURES
from altmin.train.trainer import Trainer


@exact()
def record_of(
    trainer: Trainer, validation: Batch | None, iteration: int, record: Collection[str] | None = None
) -> Record:
    """The figures of the present state, after a look for nan and inf.

    Args:
        trainer: Has made steps; of those of an online method since the last record its `tally` was told.
        validation: The samples that are evaluated.
        iteration: Whose record it is.
        record: See `LoopOptions`.

    Raises:
        DivergenceError: Weights, or an objective, that are not finite.
    """
    problem, state, samples = trainer.problem, trainer.state, trainer.sweep().batch
    classes = bool(trainer.reader.classes)
    wanted = FIGURES if record is None else record
    tally = Tally(problem, classes) if record is not None or trainer.tally is None else trainer.tally
    terms, residuals = trainer.evaluate(tally) if "objective" in wanted else ({}, {})
    objective = float(torch.stack(list(terms.values())).sum()) if terms else None
    _check_finite(state, objective, iteration, trainer.method.cure)
    train: Score | None = None
    other: Score | None = None
    if "train" in wanted:
        train = score(problem, state, samples, classes) if tally.empty else tally.score(samples)
    if validation is not None and "validation" in wanted:
        other = score(problem, state, validation, classes)
    return {
        "objective": objective,
        "terms": {name: float(term) for name, term in terms.items()},
        "residuals": {name: float(r) for name, r in residuals.items()},
        "gap": train and train.gap,
        "train_loss": train and train.loss,
        "train_accuracy": train and train.accuracy,
        "validation_loss": other and other.loss,
        "validation_accuracy": other and other.accuracy,
        **trainer.method.scalars(state),
    }


@exact()
def theory_of_record(trainer: Trainer, tol: float | None) -> Record:
    """What the options `diagnose` and `tol` add to a record; nothing without them."""
    if trainer.diagnosis is None and tol is None:
        return {}
    sweep = trainer.sweep()
    found = stationarity(sweep)
    figures = {"stationarity": found, "relative_stationarity": relative_stationarity(sweep, found)}
    return figures | (trainer.diagnosis.record() if trainer.diagnosis is not None else {})


def _check_finite(state: State[Any], objective: float | None, iteration: int, cure: str) -> None:
    for name, t in state.named():
        if name[0] in "Wb" and not bool(torch.isfinite(t).all()):
            raise DivergenceError(name, _first_bad(t), cure, iteration)
    if objective is not None and not abs(objective) < float("inf"):
        blocks = ((name, t) for name, t in state.named() if not bool(torch.isfinite(t).all()))
        name, t = next(blocks, ("objective", torch.tensor(objective, device="cpu")))
        raise DivergenceError(name, _first_bad(t), cure, iteration)


def _first_bad(t: Tensor) -> float:
    return float(t[~torch.isfinite(t)].flatten()[0]) if t.ndim else float(t)
