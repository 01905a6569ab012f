"""How good a network is on a split, a regression target in its own units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from altmin.core.forward import outputs
from altmin.core.problem import Problem
from altmin.core.score import score
from altmin.core.state import State
from altmin.data import Split, TargetScale
from altmin.train.inputs import batch_of
from altmin.train.place import Place


@dataclass(frozen=True)
class Measures:
    """A network on some samples.

    Attributes:
        loss: Mean over samples, in regression of outputs and targets in the target's units; `None` where there is no
            sample, as are all others.
        accuracy: Share of samples classified as their label says; `None` for regression.
        r2: ``R^2``, 1 less the share of the targets' variance that is left; `None` for classes and equal targets.
        rmse: Root of the mean squared error in the target's units; `None` for classes.
    """

    loss: float | None
    accuracy: float | None
    r2: float | None = None
    rmse: float | None = None


def measured(
    problem: Problem, state: State, split: Split, model: nn.Module, units: TargetScale | None = None
) -> Measures:
    """The measures of `state` on a split, where `model` lies.

    Args:
        problem: Gives the layers and the loss.
        state: Its weights are measured.
        split: Samples; regression targets standardised by `units` where there are any.
        model: Says where to compute.
        units: The way back into the target's units.
    """
    if not len(split):
        return Measures(None, None)
    like = next(model.parameters())
    batch, classes = batch_of("split", (split.x, split.y), problem, Place(like, move=True))
    if classes:
        found = score(problem, state, batch, classes)
        return Measures(found.loss, found.accuracy)
    back = units or TargetScale(0.0, 1.0)
    return regression(back.units(outputs(problem, state, batch.x)), back.units(batch.y), problem)


def regression(z: Tensor, y: Tensor, problem: Problem) -> Measures:
    """The measures of predictions and targets ``(N, q)`` in one unit."""
    off, spread = (z - y).square(), (y - y.mean(0)).square().sum()
    r2 = None if spread == 0.0 else float(1.0 - off.sum() / spread)
    return Measures(float(problem.loss(z, y)) / len(y), None, r2, float(torch.sqrt(off.mean())))
