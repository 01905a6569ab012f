"""Newton steps of a layer's weights on its own least squares, whose Hessian is remembered over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.errors import DivergenceError
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.coordinates import Coordinates
from altmin.layerwise.function import LayerFunction
from altmin.online.rules.base import StepRule
from altmin.online.rules.inverse import Leading, Whole
from altmin.online.targets import LayerGradient
from altmin.regularizers import Regularizer

GUARD = 1e-10  # added to mean squares, which are zero where all units are dead
GROWTH = 2.0


@dataclass(eq=False)
class Curvature(Memory):
    """What the rule keeps of a layer.

    Attributes:
        velocity: ``V``, as `AugmentedWeights` joins weights and intercept.
        M: The mean of ``a^T a``, ``(p, p)``, for a layer of several groups one for each.
        inverse: ``(M + d I)^{-1}``.
        size: The mean of ``||a||^2``, a scalar.
        coordinates: Those of the velocity, ``M`` and its inverse, for data far from unit scale.
        added: The weight of all that was added, in units of the last batch's.
        steps: How many steps were made.
    """

    velocity: Tensor
    M: Tensor
    inverse: Whole | Leading
    size: Tensor
    coordinates: Coordinates
    added: float = 0.0
    steps: int = 0


@dataclass(eq=False)
class Curvatures(Memory):
    """What the rule keeps of its layers.

    Attributes:
        layers: One for each layer.
    """

    layers: list[Curvature]


@dataclass(frozen=True)
class Newton(StepRule[Curvatures]):
    """``W <- W - lr V``, ``V <- momentum V + G (M + d I)^{-1}``, ``d = damping trace(M)/p``: AM-Newton.

    ``G`` is the gradient of the layer's objective on the batch, and ``M`` the forgetting mean of ``a^T a`` over the
    layer's inputs, which is the Hessian of ``1/2 ||C - W a||^2`` for each unit; the intercept is one more column. Batch
    normalisation's scale and shift move along their gradients. With backpropagated gradients in the place of local
    ones this is gradient descent on neurons (Benzing, ICML 2022, arXiv:2201.12250).

    With a `rank` the memory counts along its leading eigenvectors ``Q`` alone, and as zero across them:
    ``(M + d I)^{-1}`` becomes ``(I - Q diag(m/(m + d)) Q^T)/d``. Where the other eigenvalues are small beside ``d``
    that is nearly the same, at a fraction of the cost.

    An l2 regulariser of weight `w` is part of ``G`` and of the damping, ``d + w``, as it is of the Hessian: even the
    heaviest only takes the weights to zero. Data far from unit scale, as the first batch shows them, are remembered and
    damped in coordinates in which they have it (`Coordinates`).

    Where a batch's inputs are more than twice as large in the mean square as what ``M`` holds, the memory is too old to
    damp them, and ``G`` counts by as much less.

    Attributes:
        forget: What ``M`` is multiplied by before a batch is added.
        refresh: Batches from one that is added to ``M``, whose factors are then computed anew, to the next; as many at
            the start are all added.

    Example:
        >>> [k for k in range(9) if Newton(refresh=3).due(k)]
        [0, 1, 2, 3, 6]
    """

    lr: float = number(0.3, "learning rate of the weights", above=0.0)
    momentum: float = number(0.7, "momentum of the weights", least=0.0, most=1.0)
    damping: float = number(4.0, "weight of the identity, relative to the memory's mean diagonal", above=0.0)
    forget: float = number(0.9, "what the memory is multiplied by before a batch is added", least=0.0, most=1.0)
    refresh: int = number(20, "batches from one that is added to the memory to the next", least=1)
    rank: int = number(32, "leading eigenvectors of the memory that count; 0: all", least=0)

    def check(self, problem: Problem) -> None:
        """Refuse regularisers that are no squares."""
        if problem.regularizer.curvature is None:
            raise TypeError(f"{self!r} supports the regularisers none and l2, got {problem.regularizer!r}")

    def init(self, functions: Sequence[LayerFunction]) -> Curvatures:
        """Zeros."""
        return Curvatures([self._empty(function) for function in functions])

    def due(self, steps: int) -> bool:
        """Whether the batch after `steps` others is added to the memory: each of the first ones is."""
        return steps < self.refresh or steps % self.refresh == 0

    def step(
        self, memory: Curvatures, gradients: Sequence[LayerGradient], omega: Regularizer, factor: float = 1.0
    ) -> None:
        """One step of every layer; memory and weights are written in place.

        Args:
            memory: What `init` gave for these layers.
            gradients: The layers.
            omega: ``Omega``: none or l2.
            factor: What the learning rate is multiplied by at present.
        """
        for own, layer in zip(memory.layers, gradients, strict=True):
            weight = layer.omega_weight * (omega.curvature or 0.0)
            if self.due(own.steps):
                self.remember(own, layer, weight)
            own.steps += 1
            self.move(own, layer, weight, factor * self.lr)

    def move(self, memory: Curvature, layer: LayerGradient, weight: float, lr: float) -> None:
        """The step of a layer with an l2 regulariser of that weight."""
        function, units = layer.function, AugmentedWeights(layer.function.layer.map)
        W, *rest = layer.grads
        if weight:
            W = W.add(function.W, alpha=weight)
        b = rest.pop(0) if units.map.bias else torch.zeros_like(function.b)
        G = units.join(W, b).mul_((GROWTH * memory.size / size_of(layer.inputs)).clamp_max(1.0))
        velocity, coordinates = units.grouped(memory.velocity.mul_(self.momentum)), memory.coordinates
        memory.inverse.add(velocity, coordinates.gradient(units.grouped(G)))
        W, b = units.split(coordinates.movement(velocity).reshape(G.shape))
        function.W.sub_(W, alpha=lr)
        function.b.sub_(b, alpha=lr)
        for p, g in zip(function.params()[1 + units.map.bias :], rest, strict=True):
            p.sub_(g, alpha=lr)

    def remember(self, memory: Curvature, layer: LayerGradient, weight: float) -> None:
        """``M <- forget M + (1 - forget) a^T a / N``, as the mean of what was added weighs it, and its factors."""
        batch, units = layer.inputs, AugmentedWeights(layer.function.layer.map)
        gram = units.gram(batch.x, batch) / batch.size
        if not memory.added and layer.function.reads_data:
            memory.coordinates = Coordinates.of(gram, units.map.bias)
        memory.added = 1.0 + self.forget * memory.added
        memory.M.lerp_(memory.coordinates.gram(gram), 1.0 / memory.added)
        memory.size.lerp_(size_of(batch), 1.0 / memory.added)
        mean = memory.M.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        if not torch.isfinite(mean).all():
            raise DivergenceError(f"W of {tuple(units.map.shape)}", "nan or inf in the memory", "a smaller `rule.lr`")
        damping = self.damping * mean + GUARD
        if weight:
            damping = damping + memory.coordinates.decay(weight)
        memory.inverse.update(memory.M, damping, first=memory.steps == 0)

    def _empty(self, function: LayerFunction) -> Curvature:
        velocity = torch.zeros_like(AugmentedWeights(function.layer.map).join(function.W, function.b))
        p = velocity.shape[-1]
        M = function.W.new_zeros(*function.W.shape[:-2], p, p)
        inverse = Leading.empty(M, self.rank) if 0 < self.rank < p else Whole.empty(M)
        return Curvature(velocity, M, inverse, function.W.new_zeros(()), Coordinates.of(M, intercept=False))


def size_of(batch: Batch) -> Tensor:
    """The mean of ``||a||^2`` over the samples."""
    return torch.linalg.vector_norm(batch.weighed(batch.x, power=0.5)).square().div_(batch.size).add_(GUARD)
