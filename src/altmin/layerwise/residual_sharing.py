"""What is wanted of a layer's pre-activations, shared between what lies below them and the layer's own weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from altmin.activations import Activation
from altmin.core.batch import Batch
from altmin.layerwise.augmented_weights import Units
from altmin.losses import Loss
from altmin.maps import LinearMap
from altmin.solvers.activation_least_squares import Pullback
from altmin.solvers.weight_least_squares import cholesky


def output_move(loss: Loss, z: Tensor, batch: Batch, most: float) -> Tensor:
    """``t (argmin_v R(v; Y) + 1/2 ||v - Z||^2 - Z)``: a proximal step of the outputs (P2), `t` times as long.

    `t` starts at 1 and doubles as long as the loss of all samples falls, up to `most`. A prox of weight ``1/most``
    would go as far only where samples are wrong: it saturates.

    Args:
        loss: ``R``.
        z: Outputs, ``(N, n_L)``.
        batch: The samples; their targets are encoded.
        most: Largest `t`, > 0.
    """
    move = loss.prox(z, 1.0, batch.y) - z

    def value(t: float) -> float:
        return float(batch.sum(loss(z + t * move, batch.y)))

    t = min(1.0, most)
    now = value(t)
    while t < most:
        longer = min(2.0 * t, most)
        new = value(longer)
        if not new < now:
            break
        t, now = longer, new
    return t * move


def activation_move(activation: Activation, z: Tensor, a: Tensor, r: float) -> Tensor:
    """``(1 + r) (argmin_v (s(v) - a)^2 + r (v - z)^2 - z)``: towards the activations `a` (P1), relaxed by ``1 + r``.

    Where `s` has slope 1 around `z` it is the whole way to `a`; a ReLU below zero stays unless `z` is near it.

    Args:
        activation: ``s``.
        z: Pre-activations.
        a: Where the activations ought to be.
        r: Weight of the distance from `z`, > 0: the more, the closer to a jump or a bend a code must be to cross it.
    """
    return (1.0 + r) * (activation.prox(z, r, a) - z)


class InputMove:
    """``argmin_D ||E - D W^T||^2 + sum_j ||E_j - D||^2 + ||D||^2`` (P5): factor once, solve for any samples.

    Below a linear layer, with ``T`` the mean of the ``E_j`` and zero, it is
    ``T + (E - T W^T)(W W^T + c I)^{-1} W``, ``c`` their number: one product with a matrix of the layer's size.

    Args:
        map: The layer above; ``D W^T`` stands for what it makes of a movement of its input.
        W: Its weights.
        pulls: How many ``E_j`` there are.
    """

    def __init__(self, map: LinearMap, W: Tensor, pulls: int):
        self.map, self.W, self.weight = map, W, 1.0 + pulls
        if map.dense:
            normal = W @ W.T
            normal.diagonal().add_(self.weight)
            self.shared = torch.cholesky_solve(W, cholesky(normal, "A"))
        else:
            self.pullback = Pullback(map, W, 1.0, self.weight)

    def __call__(self, residual: Tensor, a: Tensor, pulls: Sequence[Tensor]) -> Tensor:
        """``D``, the shape of `a`.

        Args:
            residual: ``E``, what is wanted of the layer above.
            a: The input that is to move.
            pulls: ``E_j``, what is wanted of layers that a residual connection adds the input to.
        """
        target = torch.stack(list(pulls)).sum(0) / self.weight if pulls else None
        if not self.map.dense:
            v = residual + self.map(self.W, self.W.new_zeros(self.map.outputs), a)
            return self.pullback(v, a if target is None else a + target, a) - a
        if target is None:
            return residual @ self.shared
        return target + (residual - self.map.image(self.W, target, a)) @ self.shared


def inverse_of(gram: Tensor, damping: float, block: str) -> Tensor:
    """``(G + damping m I)^{-1}`` with `m` the mean of the diagonal of `G`, ``(..., p, p)``.

    Args:
        gram: ``G``, positive semidefinite.
        damping: Relative to the mean diagonal, > 0.
        block: Whose update this is, for errors.
    """
    normal = gram.clone()
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    floor = damping * diagonal.mean(-1, keepdim=True)
    diagonal.add_(floor).clamp_min_(torch.finfo(gram.dtype).tiny)  # where all activations are zero
    return torch.cholesky_inverse(cholesky(normal, block))


def ridge_move(units: Units, cross: Tensor, inverse: Tensor) -> Tensor:
    """``argmin_D 1/2 <D (G + d I), D> - <E^T A, D>``: what a layer's weights do about a residual `E` (P3).

    Args:
        units: The layer's weights and intercept as one matrix.
        cross: ``E^T A``, ``(units, p)``.
        inverse: ``(G + d I)^{-1}`` of each group (`inverse_of`).
    """
    return (cross.view(*units.map.shape[:-1], -1) @ inverse).reshape(cross.shape)
