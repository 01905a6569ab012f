"""AMRidge: alternating minimisation that starts every iteration from a forward pass, so that nothing drifts.

The project's own method: targets by the subproblems of the papers, weights by damped least squares. Its weights' step
is known, for gradients, as gradient descent on neurons (Benzing, "Gradient descent on neurons and its link to
approximate second-order optimization", ICML 2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.forward import forward
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.coordinates import Coordinates
from altmin.layerwise.residual_sharing import ResidualSharing, inverse_of, mean_gram
from altmin.methods.base import Method, Terms
from altmin.methods.registry import method
from altmin.sweep import Sweep, network_terms


@dataclass(eq=False)
class RidgeStatistics(Memory):
    """What AMRidge keeps between steps; all of it is replicated.

    Attributes:
        inverse: ``(X^T X / N + damping + kappa)^{-1}`` of the data.
        grams: ``A^T A / N`` of each hidden layer's activations.
        velocity: Each layer's weights' and intercepts' movement.
    """

    inverse: Tensor
    grams: list[Tensor]
    velocity: list[Tensor]


@method("am-ridge", title="targets and ridge regression, without drift", paper="of this library")
@dataclass(frozen=True)
class AMRidge(Method):
    """Minimise ``R(f(X); Y) + sum Omega`` by targets for each layer and a ridge regression towards them.

    An iteration starts from a forward pass. The outputs' targets are a proximal step on the loss; going down, the
    activations take the share of what is wanted above them that least squares gives them, and pre-activations follow
    their activation by its prox, the active side of a ReLU. What remains of a layer's residual ``E_l`` is left to its
    weights:

        ``S_l = (E_l^T A_{l-1} / N) (A_{l-1}^T A_{l-1} / N + damping)^{-1}``

    is the ridge regression of ``E_l`` on the layer's input, and weights move by it with Nesterov momentum. No variable
    of a sample outlives an iteration, and the samples enter as sums alone.

    No derivative of a loss, an activation or a layer is asked for: each target is a minimiser. Where targets are near,
    they are what gradients would give to first order, with ``W^T (W W^T + I)^{-1}`` in the place of ``W^T``.

    The outputs' step may grow with the last layer, to ``1 + ||W_L||^2 / n_L`` times the proximal one: so much more do
    they move where the last layer's inputs do their share. An l2 regulariser acts as a decay of the weights, which
    is about the objective's derivative in the last layer, and an analogy in hidden ones. It is part of the ridge
    regression, ``kappa/2 ||W + S||^2`` with ``kappa = step_size weight / N``, so that no weight is too heavy:

        ``S_l = (E_l^T A_{l-1} / N - kappa W) (A_{l-1}^T A_{l-1} / N + damping + kappa)^{-1}``

    Data far from unit scale are damped in coordinates in which they have it (`Coordinates`).

    Example:
        >>> AMRidge(forget=0.9).momentum
        0.7
    """

    batched = True
    weighs = True
    cure = "a smaller `step_size` or less momentum"
    quadratic = True

    step_size: float = number(1.0, "step of the outputs' targets", above=0.0)
    momentum: float = number(0.7, "Nesterov momentum of the weights", least=0.0, most=1.0)
    damping: float = number(0.5, "ridge of hidden activations, relative to their mean square", above=0.0)
    data_damping: float = number(10.0, "ridge of the data, relative to their mean square", above=0.0)
    proximity: float = number(3.0, "weight of pre-activations' distance from the forward pass (r of P1)", above=0.0)
    forget: float = number(
        0.0, "share of the statistics kept from batch to batch; 0.9 or so with mini-batches", least=0.0, most=1.0
    )

    def init(self, sweep: Sweep[Any]) -> None:
        """The statistics of the first forward pass."""
        state, batch, units = sweep.state, sweep.batch, _units(sweep.problem)
        inputs = batch.x, *forward(sweep.problem, state, batch.x)[1]
        data, *grams = (mean_gram(unit, a, batch) for unit, a in zip(units, inputs, strict=True))
        velocity = [torch.zeros_like(u.join(W, b)) for u, W, b in zip(units, state.W, state.b, strict=True)]
        state.memory = RidgeStatistics(self.inverse_of_data(sweep, data), grams, velocity)

    def inverse_of_data(self, sweep: Sweep[Any], gram: Tensor) -> Tensor:
        """That of the first layer's ridge regression, damped in coordinates in which the data have unit scale."""
        coordinates = Coordinates.of(gram, _units(sweep.problem)[0].map.bias)
        decay = coordinates.decay(self.decay(sweep, 0))
        return coordinates.inverse(inverse_of(coordinates.gram(gram), self.data_damping, "W_1", decay))

    def step(self, sweep: Sweep[RidgeStatistics]) -> None:
        """A forward pass, the residuals that are left to the weights, and the weights' ridge regressions."""
        z, a = forward(sweep.problem, sweep.state, sweep.batch.x)
        self.remember(sweep, a)
        crosses = ResidualSharing(sweep, z, a, self.step_size, self.proximity).crosses()
        inverses = [sweep.memory.inverse]
        inverses += [
            inverse_of(gram, self.damping, f"W_{i + 1}", self.decay(sweep, i))
            for i, gram in enumerate(sweep.memory.grams, 1)
        ]
        for i, (cross, inverse) in enumerate(zip(crosses, inverses, strict=True)):
            if not sweep.problem.layers[i].frozen:
                self.move(sweep, i, cross, inverse)

    def remember(self, sweep: Sweep[RidgeStatistics], a: list[Tensor]) -> None:
        """The statistics of hidden activations, `forget` of them from before; those of the data stay."""
        memory = sweep.memory
        for i, (unit, t) in enumerate(zip(_units(sweep.problem)[1:], a, strict=True)):
            memory.grams[i] = torch.lerp(mean_gram(unit, t, sweep.batch), memory.grams[i], self.forget)

    def move(self, sweep: Sweep[RidgeStatistics], i: int, cross: Tensor, inverse: Tensor) -> None:
        """The step ``S_l`` of a layer's weights and intercept, with Nesterov momentum."""
        units, velocity = _units(sweep.problem)[i], sweep.memory.velocity
        W, b = sweep.state.W[i], sweep.state.b[i]
        theta = units.join(W, b)
        S = units.times_inverse(cross - self.decay(sweep, i) * theta, inverse)
        velocity[i] = self.momentum * velocity[i] + S
        for into, new in zip((W, b), units.split(theta + S + self.momentum * velocity[i]), strict=True):
            into.copy_(new)

    def decay(self, sweep: Sweep[Any], i: int) -> Tensor | float:
        """``kappa`` for each column of a layer's weights, and zero for the intercept."""
        weight = (sweep.problem.regularizer.curvature or 0.0) * self.step_size / sweep.state.samples
        return _units(sweep.problem)[i].decay(weight, sweep.state.b[i]) if weight else 0.0

    def evaluate(self, sweep: Sweep[Any]) -> tuple[Terms, dict[str, Tensor]]:
        """The loss at the forward pass and the regulariser; there are no constraints."""
        return network_terms(sweep), {}


def _units(problem: Problem) -> list[AugmentedWeights]:
    return [AugmentedWeights(layer.map) for layer in problem.layers]
