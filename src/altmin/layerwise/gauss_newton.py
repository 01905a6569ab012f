"""Gauss-Newton steps of one layer's weights, or of its input, by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Protocol

import torch
from torch import Tensor

from altmin.activations import Activation
from altmin.core.batch import Batch
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.function import LayerFunction
from altmin.losses import Loss
from altmin.solvers.activation_least_squares import conjugate_gradients, without_rise
from altmin.solvers.weight_least_squares import cholesky


class Error(Protocol):
    """A function ``e(z)`` of a layer's pre-activation, a sum over its entries."""

    def value(self, z: Tensor) -> Tensor:
        """``e`` of each sample, ``(N,)``."""
        ...

    def gradient(self, z: Tensor) -> Tensor:
        """``e'(z)``, the shape of `z`."""
        ...

    def curvature(self, z: Tensor) -> Tensor:
        """What Gauss and Newton take for ``e''(z)``, a number for each entry or one for all."""
        ...


@dataclass(frozen=True)
class ActivationError:
    """``e(z) = 1/2 ||A - s(z)||^2`` of a hidden layer.

    Attributes:
        activation: ``s``.
        a: ``A``.
    """

    activation: Activation
    a: Tensor

    def miss(self, z: Tensor) -> Tensor:
        """``s(z) - A``."""
        return self.activation(z) - self.a

    def value(self, z: Tensor) -> Tensor:
        """``1/2 ||A - s(z)||^2`` of each sample."""
        return 0.5 * squares(self.miss(z), axis=0)

    def gradient(self, z: Tensor) -> Tensor:
        """``s'(z) (s(z) - A)``."""
        return self.activation.vjp(self.miss(z), z)

    def curvature(self, z: Tensor) -> Tensor:
        """``s'(z)^2``."""
        return self.activation.derivative(z).square()


@dataclass(frozen=True)
class LossError:
    """``e(z) = R(z; y)/mu`` of the last layer.

    Attributes:
        loss: ``R``.
        y: Encoded targets.
        mu: What the loss is divided by.
    """

    loss: Loss
    y: Tensor
    mu: float

    def value(self, z: Tensor) -> Tensor:
        """``R/mu`` of each sample."""
        return self.loss.of_each(z, self.y) / self.mu

    def gradient(self, z: Tensor) -> Tensor:
        """``R'(z)/mu``."""
        return self.loss.grad(z, self.y) / self.mu

    def curvature(self, z: Tensor) -> Tensor:
        """The Lipschitz constant of the gradient, 1 where it has none, over ``mu``: a bound of the derivative."""
        H = self.loss.lipschitz
        return z.new_tensor((H if isfinite(H) else 1.0) / self.mu)


def fit_input(above: LayerFunction, a: Tensor, target: Tensor, error: Error, steps: int, cg_steps: int) -> Tensor:
    """``argmin_A 1/2 ||A - T||^2 + e(z(A))`` for each sample by Gauss-Newton steps from `a`, none of which raises it.

    Args:
        above: The layer whose input is sought; ``z(A)`` is its value.
        a: Where the steps begin, ``(N, ...)``.
        target: ``T``, the shape of `a`.
        error: ``e``.
        steps: Gauss-Newton steps.
        cg_steps: Most steps of conjugate gradients in each.
    """

    def value(a: Tensor) -> Tensor:
        return 0.5 * squares(a - target, axis=0) + error.value(above(a).z)

    for _ in range(steps):
        a = without_rise(value, a + _input_step(above, a, a - target, error, cg_steps), a)
    return a


def _input_step(above: LayerFunction, a: Tensor, own: Tensor, error: Error, cg_steps: int) -> Tensor:
    out = above(a)
    curvature = error.curvature(out.z)

    def normal(d: Tensor) -> Tensor:
        return d + out.near.adjoint(above.W, curvature * out.near.image(above.W, d))

    gradient = torch.add(out.to_input(error.gradient(out.z)), own)  # in this order the audit keeps sight of it
    return conjugate_gradients(normal, -gradient, torch.zeros_like(a), "A", cg_steps)


def fit_units(
    function: LayerFunction,
    a: Tensor,
    error: ActivationError,
    weight: float,
    damping: float,
    batch: Batch,
    steps: int,
    cg_steps: int,
    block: str,
    root: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """``argmin 1/2 ||A - s(a W^T + b)||^2 + w/2 ||W||^2`` for each unit by Gauss-Newton steps.

    A unit whose objective rose goes back half-way until it did not.

    Args:
        function: The layer, which gives the present weights.
        a: The layer's input.
        error: ``1/2 ||A - s(z)||^2``.
        weight: ``w``, >= 0.
        damping: Added to the Gauss-Newton matrix for each sample, > 0.
        batch: The samples.
        steps: Gauss-Newton steps.
        cg_steps: Most steps of conjugate gradients in each.
        block: Whose update this is, for errors.
        root: The Cholesky factor of the damped Gram matrix, which preconditions, where it is at hand (`damped_root`).

    Returns:
        Weights and intercept.
    """
    units = AugmentedWeights(function.layer.map)
    ridge = units.join(torch.full_like(function.W, weight), torch.zeros_like(function.b))
    root = damped_root(units, a, damping, batch) if root is None else root
    theta = units.join(function.W, function.b)

    def value(theta: Tensor) -> Tensor:
        own = 0.5 * squares(batch.weighed(error.miss(units(theta, a)), power=0.5), axis=1)
        return batch.sum(own) + 0.5 * (ridge * theta.square()).sum(1)

    for _ in range(steps):
        z = units(theta, a)
        gradient = batch.sum(units.gradient(batch.weighed(error.gradient(z)), a)) + ridge * theta
        normal = partial(_normal, units, a, batch.weighed(error.curvature(z)), ridge + damping * batch.count, batch)
        d = units.solve(normal, -gradient, root, block, cg_steps)
        theta = without_rise(value, theta + d, theta)
    return units.split(theta)


def damped_root(units: AugmentedWeights, a: Tensor, damping: float, batch: Batch) -> Tensor:
    """The Cholesky factor of ``D^T D + damping N I`` of a layer's design: the scale on which its units are fitted."""
    gram = units.gram(a, batch)
    gram.diagonal(dim1=-2, dim2=-1).add_(damping * batch.count)
    return cholesky(gram, "W")


def _normal(units: AugmentedWeights, a: Tensor, curvature: Tensor, ridge: Tensor, batch: Batch, d: Tensor) -> Tensor:
    return batch.sum(units.gradient(curvature * units(d, a), a)) + ridge * d


def squares(t: Tensor, axis: int) -> Tensor:
    """``||t||^2`` for each index of an axis: 0 for samples, 1 for units."""
    return t.square().sum([i for i in range(t.ndim) if i != axis])
