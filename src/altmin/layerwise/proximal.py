"""Proximal steps of one layer's weights towards targets of its pre-activations."""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.function import LayerValue
from altmin.solvers.activation_least_squares import conjugate_gradients
from altmin.solvers.weight_least_squares import cholesky


def proximal_direction(
    value: LayerValue,
    gradient: list[Tensor],
    batch: Batch,
    tau: float,
    solver: str,
    steps: int,
    block: str,
) -> list[Tensor]:
    """``D`` with ``(G/n + I/tau) D = gradient``, `G` the Gram matrix of the rows ``[A, 1]`` of the `n` samples.

    ``theta - t D`` is ``argmin 1/(2n) ||A W^T + b - (Z - t r)||^2 + 1/(2 tau) ||theta - theta_k||^2`` for a layer's
    weights and intercept ``theta``, where the gradient is that of the loss with the cotangent `r` of `Z`.

    Args:
        value: The layer's value, whose input is ``A``.
        gradient: The derivatives in the layer's parameters, in the order of `LayerFunction.params`; those behind
            weights and intercept are left as they are.
        batch: The samples.
        tau: Step size of the proximal step.
        solver: ``"exact"`` by Cholesky factors, ``"cg"`` by conjugate gradients, ``"explicit"``: ``tau gradient``.
        steps: Most steps of conjugate gradients.
        block: Whose update this is, for errors.
    """
    units, function = AugmentedWeights(value.function.layer.map), value.function
    k = 1 + units.map.bias
    rhs = units.join(gradient[0], gradient[1] if units.map.bias else function.b)
    return [*units.split(_solve(units, value.a, rhs, batch, tau, solver, steps, block))[:k], *gradient[k:]]


def _solve(
    units: AugmentedWeights, a: Tensor, rhs: Tensor, batch: Batch, tau: float, solver: str, steps: int, block: str
) -> Tensor:
    if solver == "explicit":
        return tau * rhs
    if solver == "exact":
        normal = units.gram(a, batch) / batch.count
        normal.diagonal(dim1=-2, dim2=-1).add_(1.0 / tau)
        grouped = rhs.view(*units.map.shape[:-1], -1)
        return torch.cholesky_solve(grouped.mT, cholesky(normal, block)).mT.reshape(rhs.shape)

    def normal_at(d: Tensor) -> Tensor:
        return batch.sum(units.gradient(batch.weighed(units(d, a)), a)) / batch.count + d / tau

    return conjugate_gradients(normal_at, rhs, torch.zeros_like(rhs), block, steps)
