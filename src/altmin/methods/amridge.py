"""AMRidge: alternating minimisation that starts every iteration from a forward pass, so that nothing drifts.

The project's own method: targets by the subproblems of the papers, weights by damped least squares. Its weights' step
is known, for gradients, as gradient descent on neurons (Benzing, "Gradient descent on neurons and its link to
approximate second-order optimization", ICML 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import followers, plain
from altmin.core.problem import Problem
from altmin.core.state import State, forward, numbers, parts
from altmin.layerwise.augmented_weights import Units
from altmin.layerwise.residual_sharing import InputMove, activation_move, inverse_of, output_move, ridge_move
from altmin.methods.base import Method

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class Memory:
    """What AMRidge keeps between steps; all of it is replicated.

    Attributes:
        count: Samples in all, which the regulariser is spread over.
        inverse: ``(X^T X / N + damping)^{-1}`` of the data.
        grams: ``A^T A / N`` of each hidden layer's activations.
        velocity: Each layer's weights' and intercepts' movement.
    """

    count: int
    inverse: Tensor
    grams: Tensors
    velocity: Tensors


@dataclass(frozen=True)
class AMRidge(Method):
    """Minimise ``R(f(X); Y) + sum Omega`` by targets for each layer and a ridge regression towards them.

    An iteration starts from a forward pass. The outputs' targets are a proximal step on the loss (P2); going down, the
    activations take the share of what is wanted above them that least squares gives them (P5), and pre-activations
    follow their activation (P1), the active side of a ReLU. What remains of a layer's residual ``E_l`` is left to its
    weights:

        ``S_l = (E_l^T A_{l-1} / N) (A_{l-1}^T A_{l-1} / N + damping)^{-1}``

    is the ridge regression of ``E_l`` on the layer's input, and weights move by it with Nesterov momentum. No variable
    of a sample outlives an iteration, and the samples enter as sums alone.

    No derivative of a loss, an activation or a layer is asked for: each target is a minimiser. Where targets are near,
    they are what gradients would give to first order, with ``W^T (W W^T + I)^{-1}`` in the place of ``W^T``.

    The outputs' step may grow with the last layer, to ``1 + ||W_L||^2 / n_L`` times the proximal one: so much more do
    they move where the last layer's inputs do their share. An l2 regulariser acts as a decay of the weights, which
    is about the objective's derivative in the last layer, and an analogy in hidden ones.
    """

    batched = True
    cure = "a smaller `step` or less momentum"
    quadratic = True

    step_size: float = number(1.0, "step of the outputs' targets", above=0.0)
    momentum: float = number(0.7, "Nesterov momentum of the weights", least=0.0, most=1.0)
    damping: float = number(0.5, "ridge of hidden activations, relative to their mean square", above=0.0)
    data_damping: float = number(10.0, "ridge of the data, relative to their mean square", above=0.0)
    proximity: float = number(3.0, "weight of pre-activations' distance from the forward pass (r of P1)", above=0.0)
    forget: float = number(
        0.0, "share of the statistics kept from batch to batch; 0.9 or so with mini-batches", least=0.0, most=1.0
    )

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and the statistics of the first forward pass."""
        state, units = start.weights(), [Units(layer.map) for layer in problem.layers]
        inputs = (batch.x, *forward(problem, state, batch.x)[1])
        grams = [mean_gram(unit, a, batch) for unit, a in zip(units, inputs, strict=True)]
        velocity = tuple(torch.zeros_like(u.join(W, b)) for u, W, b in zip(units, state.W, state.b, strict=True))
        inverse = inverse_of(grams[0], self.data_damping, "W_1")
        return replace(state, extra=Memory(batch.count, inverse, tuple(grams[1:]), velocity))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration on the samples of `batch`."""
        z, a = forward(problem, state, batch.x)
        memory = self.remember(problem, state.extra, a, batch)
        inverses = [memory.inverse]
        inverses += [inverse_of(gram, self.damping, f"W_{i + 2}") for i, gram in enumerate(memory.grams)]
        W, b, velocity = [], [], []
        for i, cross in enumerate(self.crosses(problem, state, batch, z, a)):
            unit = Units(problem.layers[i].map)
            S = ridge_move(unit, cross, inverses[i])
            velocity.append(self.momentum * memory.velocity[i] + S)
            new = unit.split(unit.join(state.W[i], state.b[i]) + S + self.momentum * velocity[i])
            W.append(new[0])
            b.append(new[1])
        memory = replace(memory, velocity=tuple(velocity))
        epoch = state.epoch + batch.ends_epoch
        return replace(state, W=tuple(W), b=tuple(b), k=state.k + 1, epoch=epoch, extra=memory)

    def crosses(self, problem: Problem, state: State, batch: Batch, z: Tensors, a: Tensors) -> list[Tensor]:
        """``E_l^T A_{l-1} / N`` of every layer, less the decay of an l2 regulariser; intercepts are last columns.

        Residuals are shared a part of the samples at a time, so that they never lie in memory for all.
        """
        units, inputs = [Units(layer.map) for layer in problem.layers], (batch.x, *a)
        reach = 1.0 + float(state.W[-1].square().sum()) / problem.outputs
        top = output_move(problem.loss, z[-1], batch, self.step_size * reach)
        moves = [
            InputMove(layer.map, W, len(followers(problem, "a", i)))
            for i, (layer, W) in enumerate(zip(problem.layers[1:], state.W[1:], strict=True))
        ]
        sums = [W.new_zeros(()) for W in state.W]
        for rows in parts(max(inputs, key=numbers)):
            E = self.share(problem, moves, top[rows], [t[rows] for t in z[:-1]], [t[rows] for t in a])
            terms = zip(sums, units, E, inputs, strict=True)
            sums = [total + unit.gradient(e, t[rows]) for total, unit, e, t in terms]
        found = zip(sums, units, z, strict=True)
        means = [batch.sum(total) / rows_of(unit, t, batch) for total, unit, t in found]
        return [mean - self.decay(problem, state, i) for i, mean in enumerate(means)]

    def share(
        self, problem: Problem, moves: list[InputMove], top: Tensor, z: list[Tensor], a: list[Tensor]
    ) -> list[Tensor]:
        """What is left of each layer's residual to its weights, once the layers below have taken their share.

        Args:
            problem: The layers.
            moves: How the input of each layer but the first takes its share.
            top: What is wanted of the outputs.
            z: Hidden pre-activations of the forward pass.
            a: Activations of the forward pass.
        """
        E = {len(a): top}
        for i in reversed(range(len(a))):
            by_a, by_z = followers(problem, "a", i), followers(problem, "z", i)
            move = moves[i](E[i + 1], a[i], [E[j] for j in by_a])
            E[i + 1] = E[i + 1] - moves[i].map.image(moves[i].W, move, a[i])
            for j in by_a:
                E[j] = E[j] - move
            E[i] = activation_move(problem.layers[i].activation, z[i], a[i] + move, self.proximity)
            for j in by_z:
                part = E[j] / (1.0 + len(by_z))
                E[i], E[j] = E[i] + part, E[j] - part
        return [E[i] for i in range(len(a) + 1)]

    def remember(self, problem: Problem, memory: Memory, a: Tensors, batch: Batch) -> Memory:
        """The statistics of hidden activations, `forget` of them from before; those of the data stay."""
        fresh = [mean_gram(Units(layer.map), t, batch) for layer, t in zip(problem.layers[1:], a, strict=True)]
        kept = tuple(torch.lerp(new, old, self.forget) for new, old in zip(fresh, memory.grams, strict=True))
        return replace(memory, grams=kept)

    def decay(self, problem: Problem, state: State, i: int) -> Tensor | float:
        """What an l2 regulariser takes off a layer's weights."""
        unit, omega = Units(problem.layers[i].map), problem.regularizer
        if not omega.curvature:
            return 0.0
        pull = unit.join(state.W[i], torch.zeros_like(state.b[i]))
        return (self.step_size * omega.curvature / state.extra.count) * pull

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass and the regulariser; there are no constraints."""
        return plain(problem, state, batch), {}


def rows_of(units: Units, z: Tensor, batch: Batch) -> int:
    """Rows of the layer's least squares over all processes: of a convolution every position of every image."""
    return batch.count * z[0].numel() // units.map.outputs


def mean_gram(units: Units, a: Tensor, batch: Batch) -> Tensor:
    """``D^T D / N`` of the layer's design, with a column of ones where there is an intercept."""
    positions = units.map.rows(a[:1]).shape[-2]
    return units.gram(a, batch) / (batch.count * positions)
