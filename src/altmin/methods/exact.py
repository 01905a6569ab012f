"""Blocks of single samples, minimised exactly, which the methods of the penalty objective share.

The samples are taken a stretch at a time: what is made on the way to a result then stays in the processor's cache, and
memory holds little beside the variables themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.objective import followers, mean_of, prediction, pulls, regression_target
from altmin.core.problem import Problem
from altmin.core.state import State, numbers, parts, per_channel
from altmin.solvers.activation_least_squares import Pullback


def update_z(
    problem: Problem,
    state: State,
    batch: Batch,
    i: int,
    c1: float = 1.0,
    c2: float = 1.0,
    hat: Tensor | None = None,
    d: float = 0.0,
) -> Tensor:
    """``argmin_{Z_l} c1 sum ||E||^2 + c2 ||A_l - s_l(Z_l)||^2 + d ||Z_l - Z^||^2`` for a hidden layer (P1).

    The sum has the layer's own residual and those of the residual connections from ``Z_l``.

    Args:
        problem: What is minimised.
        state: The other variables; ``Z_l`` is overwritten with the result where there is no `hat`.
        batch: All samples of `state`.
        i: The layer.
        c1: Weight of the linear residuals, > 0.
        c2: Weight of the activation residual, > 0.
        hat: ``Z^``; needed where ``d > 0``. It is overwritten with the result.
        d: Weight of the proximal term, >= 0.
    """
    out, activation = state.z[i] if hat is None else hat, problem.layers[i].activation
    for rows in parts(out):
        part, samples = state.samples(rows), batch.select(rows, batch.ends_epoch)
        v, count = mean_of(prediction(problem, part, samples, i), pulls(problem, part, samples, i))
        weight = c1 * count + d
        v = v if hat is None else v.lerp_(hat[rows], d / weight)
        out[rows] = activation.prox(v, weight / c2, part.a[i])
    return out


def update_a(
    problem: Problem,
    state: State,
    batch: Batch,
    i: int,
    c1: float = 1.0,
    c2: float = 1.0,
    hat: Tensor | None = None,
    d: float = 0.0,
) -> Tensor:
    """``argmin_{A_l} c1 ||E_{l+1}||^2 + c2 (||D_l||^2 + sum ||E||^2) + d ||A_l - A^||^2`` (P5).

    The sum has the residual connections from ``A_l``. Behind max pooling the block is lowered, not minimised.

    Args:
        problem: What is minimised.
        state: The other variables; ``A_l`` is overwritten with the result where there is no `hat`.
        batch: All samples of `state`.
        i: The layer.
        c1: Weight of the layer above, > 0.
        c2: Weight of the other residuals, > 0.
        hat: ``A^``; needed where ``d > 0``. It is overwritten with the result.
        d: Weight of the proximal term, >= 0.
    """
    out, activation = state.a[i] if hat is None else hat, problem.layers[i].activation
    weight = c2 * (1 + len(followers(problem, "a", i))) + d
    pullback = Pullback(problem.layers[i + 1].map, state.W[i + 1], c1, weight)
    for rows in parts(max(out, state.z[i + 1], key=numbers)):
        part, samples = state.samples(rows), batch.select(rows, batch.ends_epoch)
        above = regression_target(problem, part, samples, i + 1)
        center, _ = mean_of(activation(part.z[i]), pulls(problem, part, samples, i, "a"))
        center = center if hat is None else torch.lerp(center, hat[rows], d / weight)
        out[rows] = pullback(above - per_channel(state.b[i + 1], above), center, part.a[i])
    return out
