"""What is wanted of a layer's pre-activations, shared between what lies below them and the layer's own weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from altmin.activations import Activation
from altmin.core.batch import Batch
from altmin.core.forward import numel_per_sample, stretches
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.losses import Loss
from altmin.maps import LinearMap
from altmin.solvers.activation_least_squares import ActivationLeastSquares
from altmin.solvers.weight_least_squares import cholesky
from altmin.sweep import Sweep


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
        return float(batch.sum(batch.loss(loss, z + t * move)))

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
            self.pullback = ActivationLeastSquares(map, W, 1.0, self.weight)

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


def inverse_of(gram: Tensor, damping: float, block: str, decay: Tensor | float = 0.0) -> Tensor:
    """``(G + damping m I + diag(decay))^{-1}`` with `m` the mean of the diagonal of `G`, ``(..., p, p)``.

    Args:
        gram: ``G``, positive semidefinite.
        damping: Relative to the mean diagonal, > 0.
        block: Whose update this is, for errors.
        decay: The weight of a square for each column, ``(p,)``, or for all.
    """
    normal = gram.clone()
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    floor = damping * diagonal.mean(-1, keepdim=True)
    diagonal.add_(floor + decay).clamp_min_(torch.finfo(gram.dtype).tiny)  # where all activations are zero
    return torch.cholesky_inverse(cholesky(normal, block))


class ResidualSharing:
    """What is left of each layer's residual to its weights, from the outputs' targets down to the first layer.

    The outputs' targets are a proximal step on the loss. Going down, the activations take the share of what is wanted
    above them that least squares gives them, and pre-activations follow their activation.

    Args:
        sweep: Gives the layers, their weights, the loss and the samples.
        z: Pre-activations of the forward pass.
        a: Activations of the hidden layers.
        step_size: Of the outputs' targets, multiplied by ``1 + ||W_L||^2 / n_L``.
        proximity: Weight of the pre-activations' distance from the forward pass.
    """

    def __init__(self, sweep: Sweep[Any], z: Sequence[Tensor], a: Sequence[Tensor], step_size: float, proximity: float):
        problem, W = sweep.problem, sweep.state.W
        self.sweep, self.z, self.a, self.proximity = sweep, z, a, proximity
        self.layers, self.targets = problem.layers, sweep.skip_targets
        reach = 1.0 + float(W[-1].square().sum()) / problem.outputs
        self.top = output_move(problem.loss, z[-1], sweep.batch, step_size * reach)
        above = enumerate(zip(problem.layers[1:], W[1:], strict=True))
        self.moves = [InputMove(layer.map, W, len(self.targets.get(("a", i), ()))) for i, (layer, W) in above]

    def crosses(self) -> list[Tensor]:
        """``E_l^T A_{l-1} / N`` of every layer, over all processes; intercepts are last columns.

        Residuals are shared a stretch of the samples at a time, so that they never lie in memory for all.
        """
        batch = self.sweep.batch
        units, inputs = [AugmentedWeights(layer.map) for layer in self.layers], (batch.x, *self.a)
        sums = [W.new_zeros(()) for W in self.sweep.state.W]
        for rows in stretches(max(inputs, key=numel_per_sample)):
            terms = zip(sums, units, self.residuals(rows), inputs, strict=True)
            sums = [total + unit.gradient(batch.weighed(e, rows), t[rows]) for total, unit, e, t in terms]
        found = zip(sums, units, self.z, strict=True)
        return [batch.sum(total) / rows_of(unit, t, batch) for total, unit, t in found]

    def residuals(self, rows: slice) -> list[Tensor]:
        """What is left to each layer's weights, for some samples."""
        z, a = [t[rows] for t in self.z[:-1]], [t[rows] for t in self.a]
        E = {len(a): self.top[rows]}
        for i in reversed(range(len(a))):
            by_a, by_z = self.targets.get(("a", i), ()), self.targets.get(("z", i), ())
            move = self.moves[i](E[i + 1], a[i], [E[j] for j in by_a])
            E[i + 1] = E[i + 1] - self.moves[i].map.image(self.moves[i].W, move, a[i])
            for j in by_a:
                E[j] = E[j] - move
            E[i] = activation_move(self.layers[i].activation, z[i], a[i] + move, self.proximity)
            for j in by_z:
                share = E[j] / (1.0 + len(by_z))
                E[i], E[j] = E[i] + share, E[j] - share
        return [E[i] for i in range(len(a) + 1)]


def rows_of(units: AugmentedWeights, z: Tensor, batch: Batch) -> float:
    """Rows of the layer's least squares over all processes: of a convolution every position of every image."""
    return batch.count * (z[0].numel() // units.map.outputs)


def mean_gram(units: AugmentedWeights, a: Tensor, batch: Batch) -> Tensor:
    """``D^T D / N`` of the layer's design, with a column of ones where there is an intercept."""
    positions = units.map.rows(a[:1]).shape[-2]
    return units.gram(a, batch) / (batch.count * positions)
