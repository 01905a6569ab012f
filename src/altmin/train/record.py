"""The record of an iteration: objective, residuals, and how good the network is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

MANY = 10_000  # training samples: of more, default records look at some
STRIDE = 11  # of these samples; a prime, which no period of classes, augmentations or weekdays is likely to share


@exact()
def record_of(
    trainer: Trainer,
    held: Mapping[str, Batch],
    iteration: int,
    record: Collection[str] | None = None,
    last: bool = False,
) -> Record:
    """The figures of the present state, after a look for nan and inf.

    Products over all samples would take a third of the time of a method whose iterations are made of little more. So
    the training figures of default records are, of more than `MANY` samples, those of every eleventh.

    Args:
        trainer: Has made steps; of those of an online method since the last record its `tally` was told.
        held: Samples that are evaluated beside those that are trained on, by the name that their figures have.
        iteration: Whose record it is.
        record: See `LoopOptions`.
        last: Whether it is known to be the run's last one, which is of all samples.

    Raises:
        DivergenceError: Weights, or an objective, that are not finite.
    """
    problem, state, classes = trainer.problem, trainer.state, bool(trainer.reader.classes)
    wanted = FIGURES if record is None else record
    tally = Tally(problem, classes) if record is not None or trainer.tally is None else trainer.tally
    stride = 1 if record is not None or last or not tally.empty else _stride(trainer)
    terms, residuals = trainer.evaluate(tally, stride) if "objective" in wanted else ({}, {})
    objective = float(torch.stack(list(terms.values())).sum()) if terms else None
    _check_finite(state, objective, iteration, trainer.method.cure)
    train: Score | None = None
    if "train" in wanted:
        seen = trainer.sweep(stride=stride)
        train = score(problem, seen.state, seen.batch, classes) if tally.empty else tally.score(seen.batch)
    others = {name: score(problem, state, batch, classes) for name, batch in held.items() if name in wanted}
    figures = {"train": train, "validation": None} | others
    return {
        "objective": objective,
        "terms": {name: float(term) for name, term in terms.items()},
        "residuals": {name: float(r) for name, r in residuals.items()},
        "gap": train and train.gap,
        **{f"{name}_{what}": s and getattr(s, what) for name, s in figures.items() for what in ("loss", "accuracy")},
        "norms": _norms(state),
        **trainer.method.scalars(state),
    }


def _norms(state: State[Any]) -> dict[str, float]:
    """The Frobenius norms of the weights by name."""
    norms = torch.stack([W.norm() for W in state.W]).tolist()
    return {f"W_{i + 1}": norm for i, norm in enumerate(norms)}


def _stride(trainer: Trainer) -> int:
    return STRIDE if trainer.sweep().batch.count > MANY else 1


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
