"""MAC: the method of auxiliary coordinates.

Carreira-Perpinan and Wang, "Distributed optimization of deeply nested systems" (AISTATS 2014), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from math import isfinite

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import layer_input, prediction
from altmin.core.problem import Layer, Problem
from altmin.core.state import State, put, with_forward
from altmin.layerwise.augmented_weights import Units
from altmin.layerwise.function import Block, blocks
from altmin.layerwise.last_layer import fit_last
from altmin.methods.base import Method
from altmin.solvers.activation_least_squares import conjugate_gradients, without_rise
from altmin.solvers.weight_least_squares import cholesky

REFIT_STEPS = 500


@dataclass(frozen=True)
class Progress:
    """What MAC keeps between iterations: the penalty, the objective at it, and the first layer's `MAC.root`."""

    mu: float
    objective: float
    root: Tensor


@dataclass(frozen=True)
class MAC(Method):
    """Minimise ``R(Z_L) + sum Omega + mu/2 sum_{l<L} ||A_l - s_l(A_{l-1} W_l^T + b_l)||^2`` over ``W, b`` and ``A``.

    ``Z_L = A_{L-1} W_L^T + b_L`` is no variable. The W-step fits each unit of each hidden layer by itself, a nonlinear
    least-squares problem, and the last layer to the loss. The Z-step, as the paper calls it, finds each sample's
    coordinates, layer by layer from the last to the first. Both take Gauss-Newton steps by conjugate gradients, and a
    unit or sample whose objective rose goes back half-way until it did not: for a fixed `mu` the objective never
    rises. Where an iteration lowers it by too little, `mu` grows. At the end, with `refit`, the coordinates become the
    forward pass's activations and the last layer is fitted to them.

    Deviations: the paper finds all coordinates of a sample jointly, and lets `mu` grow where the nested error on a
    validation set stalls. The loss is any loss; its second derivative in the coordinates is replaced by its bound. The
    Z-step comes first in an iteration: after a forward pass the hidden layers' W-step has nothing to do.
    """

    cure = "a larger `mu`"
    gradients = Gradients.LAYER
    lacks = Method.lacks | {"residual connections"}
    quadratic = True

    mu: float = number(0.1, "penalty at the start", above=0.0, paper="1")
    factor: float = number(10.0, "growth of the penalty where the objective stalls; 1: none", least=1.0, paper="10")
    tol: float = number(0.1, "relative fall of the objective below which it stalls", least=0.0, paper="not given")
    mu_max: float = number(1e3, "largest penalty", above=0.0, paper="not given")
    weight_steps: int = number(1, "Gauss-Newton steps of the hidden layers' weights an iteration", least=1)
    code_steps: int = number(1, "Gauss-Newton steps of each layer's coordinates an iteration", least=1)
    cg_steps: int = number(5, "most steps of conjugate gradients in a Gauss-Newton step", least=1)
    last_steps: int = number(20, "most L-BFGS steps of the last layer an iteration", least=1)
    damping: float = number(1e-2, "damping of the weights' Gauss-Newton steps, for each sample", above=0.0)
    refit: bool = number(True, "fit the last layer to the forward pass at the end; the records do not show it")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mu_max < self.mu:
            raise ValueError(f"`mu_max` must be >= `mu` ({self.mu:g}), got {self.mu_max:g}")

    def check(self, problem: Problem) -> None:
        """Refuse activations without a derivative."""
        super().check(problem)
        for i, layer in enumerate(problem.layers):
            if not layer.activation.differentiable:
                name = type(layer.activation).__name__
                raise TypeError(f"MAC needs activations with a derivative, {name} (layer {i + 1}) has none; DLADMM can")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``A`` by a forward pass."""
        progress = Progress(self.mu, 0.0, self.root(Units(problem.layers[0].map), batch.x, batch))
        state = replace(with_forward(problem, start, batch.x), extra=progress)
        return replace(state, extra=replace(progress, objective=float(self.objective(problem, state, batch))))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration: the Z-step, the W-step, and the penalty's rule."""
        last = len(problem.layers) - 1
        for i in reversed(range(last)):
            state = put(state, a=(i, self.update_a(problem, state, batch, i)))
        for i in range(last):
            W, b = self.fit_units(problem, state, batch, i)
            state = put(state, W=(i, W), b=(i, b))
        state = fit_last(problem, state, layer_input(state, batch, last), batch, self.last_steps)
        z = tuple(prediction(problem, state, batch, i) for i in range(last + 1))
        state = replace(state, z=z, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)
        return replace(state, extra=self.update_mu(problem, state, batch))

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int) -> Tensor:
        """``argmin_A 1/2 ||A - s_l(Z_l)||^2 + e(Z_{l+1}(A))`` for each sample by Gauss-Newton steps from ``A_l``.

        ``e`` is ``1/2 ||A_{l+1} - s_{l+1}(Z_{l+1})||^2``, for the last layer ``R/mu``.
        """
        above, a = blocks(problem, state)[i + 1], state.a[i]
        target = problem.layers[i].activation(prediction(problem, state, batch, i))
        error = self.error(problem, state, batch, i + 1)

        def value(a: Tensor) -> Tensor:
            return 0.5 * _squares(a - target, axis=0) + error.value(above(a).z)

        for _ in range(self.code_steps):
            a = without_rise(value, a + self.move(above, a, a - target, error), a)
        return a

    def move(self, above: Block, a: Tensor, own: Tensor, error: _Distance | _Loss) -> Tensor:
        """A Gauss-Newton step of coordinates `a`, whose distance from their own prediction is `own`."""
        out = above(a)
        bend = error.bend(out.z)

        def normal(d: Tensor) -> Tensor:
            map = above.layer.map
            return d + map.adjoint(above.W, bend * map.image(above.W, d, a), a)

        gradient = torch.add(out.to_input(error.gradient(out.z)), own)  # in this order the audit keeps sight of it
        return conjugate_gradients(normal, -gradient, torch.zeros_like(a), "A", self.cg_steps)

    def error(self, problem: Problem, state: State, batch: Batch, i: int) -> _Distance | _Loss:
        """What layer `i` makes of its pre-activation, divided by `mu`."""
        if i + 1 == len(problem.layers):
            return _Loss(problem, batch.y, state.extra.mu)
        return _Distance(problem.layers[i], state.a[i])

    def fit_units(self, problem: Problem, state: State, batch: Batch, i: int) -> tuple[Tensor, Tensor]:
        """``argmin mu/2 ||A_l - s_l(A_{l-1} W_l^T + b_l)||^2 + Omega`` for each unit by Gauss-Newton steps."""
        units, a = Units(problem.layers[i].map), layer_input(state, batch, i)
        error, theta = _Distance(problem.layers[i], state.a[i]), units.join(state.W[i], state.b[i])
        ridge = self.ridge(problem, state, units, i)
        root = state.extra.root if i == 0 else self.root(units, a, batch)

        def value(theta: Tensor) -> Tensor:
            own = 0.5 * _squares(error.miss(units(theta, a)), axis=1)
            return batch.sum(own) + 0.5 * (ridge * theta.square()).sum(1)

        for _ in range(self.weight_steps):
            z = units(theta, a)
            gradient = batch.sum(units.gradient(error.gradient(z), a)) + ridge * theta
            normal = partial(_normal, units, a, error.bend(z), ridge + self.damping * batch.count, batch)
            d = units.solve(normal, -gradient, root, f"W_{i + 1}", self.cg_steps)
            theta = without_rise(value, theta + d, theta)
        return units.split(theta)

    def ridge(self, problem: Problem, state: State, units: Units, i: int) -> Tensor:
        """The regulariser's weight divided by `mu`, for each number of a layer; the intercept has none."""
        omega = problem.regularizer
        weight = (omega.curvature or 0.0) / state.extra.mu
        return units.join(torch.full_like(state.W[i], weight), torch.zeros_like(state.b[i]))

    def root(self, units: Units, a: Tensor, batch: Batch) -> Tensor:
        """The Cholesky factor of a layer's damped Gram matrix: the scale on which its units are fitted."""
        gram = units.gram(a, batch)
        gram.diagonal(dim1=-2, dim2=-1).add_(self.damping * batch.count)
        return cholesky(gram, "W")

    def update_mu(self, problem: Problem, state: State, batch: Batch) -> Progress:
        """The penalty after an iteration, and the objective at it."""
        parts, kept = self.evaluate(problem, state, batch)[0], state.extra
        now = float(torch.stack(list(parts.values())).sum())
        if kept.objective - now >= self.tol * abs(kept.objective):
            return replace(kept, objective=now)
        mu = min(self.factor * kept.mu, self.mu_max)
        return replace(kept, mu=mu, objective=now + (mu / kept.mu - 1.0) * float(parts["activation"]))

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The penalty objective by terms, and ``||A_l - s_l(A_{l-1} W_l^T + b_l)||``."""
        *hidden, last = (prediction(problem, state, batch, i) for i in range(len(problem.layers)))
        misses = [a - layer.activation(z) for a, layer, z in zip(state.a, problem.layers, hidden, strict=False)]
        sums = batch.sum(torch.stack([problem.loss(last, batch.y), *(miss.square().sum() for miss in misses)]))
        omega = torch.stack([problem.regularizer(W) for W in state.W]).sum()
        parts = {"loss": sums[0], "regularizer": omega, "activation": 0.5 * state.extra.mu * sums[1:].sum()}
        return parts, {f"A_{i + 1}": square.sqrt() for i, square in enumerate(sums[1:])}

    def scalars(self, state: State) -> dict[str, float]:
        """The present ``mu``."""
        return {"mu": state.extra.mu}

    def finish(self, problem: Problem, state: State, batch: Batch) -> State:
        """Where asked, the last layer fitted to the loss and its regulariser at the forward pass's activations."""
        if not self.refit:
            return state
        nested = with_forward(problem, state, batch.x)
        return fit_last(problem, state, layer_input(nested, batch, len(problem.layers) - 1), batch, REFIT_STEPS)


@dataclass(frozen=True)
class _Distance:
    """``e(z) = 1/2 ||A - s(z)||^2`` of a hidden layer."""

    layer: Layer
    a: Tensor

    def miss(self, z: Tensor) -> Tensor:
        return self.layer.activation(z) - self.a

    def value(self, z: Tensor) -> Tensor:
        return 0.5 * _squares(self.miss(z), axis=0)

    def gradient(self, z: Tensor) -> Tensor:
        return self.layer.activation.vjp(self.miss(z), z)

    def bend(self, z: Tensor) -> Tensor:
        return self.layer.activation.derivative(z).square()


@dataclass(frozen=True)
class _Loss:
    """``e(z) = R(z; y)/mu`` of the last layer; its second derivative is replaced by a bound, 1 where it has none."""

    problem: Problem
    y: Tensor
    mu: float

    def value(self, z: Tensor) -> Tensor:
        return torch.vmap(lambda z, y: self.problem.loss(z[None], y[None]))(z, self.y) / self.mu

    def gradient(self, z: Tensor) -> Tensor:
        return self.problem.loss.grad(z, self.y) / self.mu

    def bend(self, z: Tensor) -> Tensor:
        H = self.problem.loss.lipschitz
        return z.new_tensor((H if isfinite(H) else 1.0) / self.mu)


def _normal(units: Units, a: Tensor, bend: Tensor, ridge: Tensor, batch: Batch, d: Tensor) -> Tensor:
    return batch.sum(units.gradient(bend * units(d, a), a)) + ridge * d


def _squares(t: Tensor, axis: int) -> Tensor:
    """``||t||^2`` for each index of an axis: 0 for samples, 1 for units."""
    return t.square().sum([i for i in range(t.ndim) if i != axis])
