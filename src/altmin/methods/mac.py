"""MAC: the method of auxiliary coordinates.

Carreira-Perpinan and Wang, "Distributed optimization of deeply nested systems" (AISTATS 2014), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import number
from altmin.core.forward import forward
from altmin.core.memory import Memory
from altmin.core.state import State
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.function import layer_functions
from altmin.layerwise.gauss_newton import ActivationError, LossError, damped_root, fit_input, fit_units
from altmin.layerwise.last_layer import fit_last
from altmin.methods.base import Method, Terms
from altmin.methods.registry import method
from altmin.sweep import LayerView, Sweep
from altmin.sweep.penalty import regularizer

REFIT_STEPS = 500


@dataclass(eq=False)
class Progress(Memory):
    """What MAC keeps: the penalty, the objective at it, and the Cholesky factor of the data's damped Gram matrix."""

    mu: float
    objective: float
    root: Tensor


@method("mac", title="method of auxiliary coordinates", paper="Carreira-Perpinan, Wang (AISTATS 2014)", epochs=50)
@dataclass(frozen=True)
class MAC(Method):
    """Minimise ``R(Z_L) + sum Omega + mu/2 sum_{l<L} ||A_l - s_l(A_{l-1} W_l^T + b_l)||^2`` over ``W, b`` and ``A``.

    ``Z_L = A_{L-1} W_L^T + b_L`` is no variable. The Z-step, as the paper calls it, finds each sample's coordinates,
    layer by layer from the last to the first. The W-step fits each unit of each hidden layer by itself, and the last
    layer to the loss. Both take Gauss-Newton steps by conjugate gradients, and a unit or sample whose objective rose
    goes back half-way until it did not: for a fixed `mu` the objective never rises. Where an iteration lowers it by
    too little, `mu` grows. At the end, with `refit`, the last layer is fitted to the forward pass's activations.

    Deviations: the paper finds all coordinates of a sample jointly, and lets `mu` grow where the nested error on a
    validation set stalls. The loss is any loss; its second derivative in the coordinates is replaced by its bound. The
    Z-step comes first in an iteration: after a forward pass the hidden layers' W-step has nothing to do.

    Example:
        >>> MAC(mu=1.0, factor=1.0).refit
        True
    """

    cure = "a larger `mu`"
    weighs = True
    gradients = Gradients.LAYER
    unsupported = Method.unsupported | {"residual connections"}
    quadratic = True
    differentiable = True

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

    def init(self, sweep: Sweep[Any]) -> None:
        """``A`` by a forward pass."""
        super().init(sweep)
        units, batch = AugmentedWeights(sweep.layers[0].map), sweep.batch
        sweep.state.memory = Progress(self.mu, 0.0, damped_root(units, batch.x, self.damping, batch))
        sweep.memory.objective = float(self.objective(sweep))

    def step(self, sweep: Sweep[Progress]) -> None:
        """One iteration: the penalty's rule, the Z-step and the W-step."""
        if sweep.state.k > 0:
            self.update_mu(sweep)
        *hidden, last = sweep.layers
        for layer in reversed(hidden):
            self.update_a(layer)
        for layer in (own for own in hidden if not own.layer.frozen):
            self.update_weights(layer)
        fit_last(sweep, last.input, self.last_steps)
        sweep.state.z[:] = [layer.prediction() for layer in sweep.layers]

    def update_a(self, layer: LayerView) -> None:
        """``argmin_A 1/2 ||A - s_l(Z_l)||^2 + e(Z_{l+1}(A))``, ``e`` the error of the layer above, for each sample."""
        sweep, above = layer.sweep, layer.above
        function = layer_functions(sweep.problem, sweep.state)[above.i]
        loss = LossError(sweep.problem.loss, sweep.batch.y, sweep.memory.mu)
        error = loss if above.last else ActivationError(above.activation, above.a)
        target = layer.activation(layer.prediction())
        layer.a.copy_(fit_input(function, layer.a, target, error, self.code_steps, self.cg_steps))

    def update_weights(self, layer: LayerView) -> None:
        """``argmin mu/2 ||A_l - s_l(A_{l-1} W_l^T + b_l)||^2 + Omega`` for each unit by Gauss-Newton steps."""
        sweep, memory = layer.sweep, layer.sweep.memory
        function = layer_functions(sweep.problem, sweep.state)[layer.i]
        error, root = ActivationError(layer.activation, layer.a), memory.root if layer.i == 0 else None
        weight = (sweep.problem.regularizer.curvature or 0.0) / memory.mu
        how = self.damping, sweep.batch, self.weight_steps, self.cg_steps, f"W_{layer.i + 1}"
        W, b = fit_units(function, layer.input, error, weight, *how, root)
        layer.W.copy_(W)
        layer.b.copy_(b)

    def update_mu(self, sweep: Sweep[Progress]) -> None:
        """The penalty grows where the iteration before has lowered the objective by too little."""
        memory, terms = sweep.memory, self.evaluate(sweep)[0]
        now = float(torch.stack(list(terms.values())).sum())
        if memory.objective - now < self.tol * abs(memory.objective):
            before, memory.mu = memory.mu, min(self.factor * memory.mu, self.mu_max)
            now += (memory.mu / before - 1.0) * float(terms["activation"])
        memory.objective = now

    def evaluate(self, sweep: Sweep[Progress]) -> tuple[Terms, dict[str, Tensor]]:
        """The penalty objective by terms, and ``||A_l - s_l(A_{l-1} W_l^T + b_l)||``."""
        *hidden, last = sweep.layers
        misses = [layer.a - layer.activation(layer.prediction()) for layer in hidden]
        batch = sweep.batch
        loss = batch.loss(sweep.problem.loss, last.prediction())
        loss, *squares = batch.sum(torch.stack([loss, *map(batch.squares, misses)]))
        terms = {"loss": loss, "regularizer": regularizer(sweep)}
        terms["activation"] = 0.5 * sweep.memory.mu * torch.stack([loss.new_zeros(()), *squares]).sum()
        return terms, {f"A_{i + 1}": square.sqrt() for i, square in enumerate(squares)}

    def scalars(self, state: State[Progress]) -> dict[str, float]:
        """``mu`` of the iteration."""
        return {"mu": state.memory.mu}

    def finish(self, sweep: Sweep[Progress]) -> None:
        """Where asked, the last layer fitted to the loss and its regulariser at the forward pass's activations."""
        if self.refit:
            activations = forward(sweep.problem, sweep.state, sweep.batch.x)[1]
            fit_last(sweep, activations[-1] if activations else sweep.batch.x, REFIT_STEPS)
