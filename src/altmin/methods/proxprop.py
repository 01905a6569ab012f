"""ProxProp: backpropagation with proximal steps of the weights.

Frerix, Moellenhoff, Moeller and Cremers, "Proximal backpropagation" (ICLR 2018, arXiv:1706.04638), Algorithm 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin import audit
from altmin.checks import number
from altmin.layerwise.cotangents import cotangents
from altmin.layerwise.function import LayerValue
from altmin.layerwise.proximal import proximal_direction
from altmin.methods.backprop import Backprop
from altmin.methods.registry import method
from altmin.online.forward_pass import forward_pass
from altmin.online.optimizers import DecayingOptimizer
from altmin.online.rules import set_gradient
from altmin.sweep import Sweep


@method("proxprop", title="proximal backpropagation", paper="Frerix et al. (ICLR 2018)")
@dataclass(frozen=True)
class ProxProp(Backprop):
    """Minimise the mean loss of a batch plus ``sum Omega`` over ``N`` by backpropagation with proximal weight steps.

    After a forward pass, a step of size `tau` on the loss is carried down the layers,
    ``Z_l^{k+1/2} = Z_l - tau dR/dZ_l``. The last layer takes a gradient step, and each hidden layer moves towards its
    ``Z_l^{k+1/2}``::

        argmin_{W, b} 1/(2n) ||A_{l-1} W^T + b - Z_l^{k+1/2}||^2 + 1/(2 tau_theta) (||W - W_k||^2 + ||b - b_k||^2)

    with `n` samples in the batch. The minimiser is ``W_k - tau D``, where `D` does not depend on `tau`: the optimiser
    takes `D` for a gradient, so that SGD's learning rate is `tau`, and other optimisers scale `D` in their own way. The
    solver ``"explicit"`` takes one gradient step of size `tau_theta` on the same objective: SGD by backpropagation.

    Deviations: squares are means over the batch, where the paper's are sums, so that `tau_theta` does not depend on
    its size. Scale and shift of batch normalisation take gradient steps.

    Example:
        >>> ProxProp("sgd", lr=0.5, solver="exact").tau_theta
        1.0
    """

    unsupported = frozenset({"Elman"})
    quadratic = True
    autograd = False

    tau_theta: float = number(1.0, "step size of the hidden layers' proximal steps", above=0.0)
    solver: str = number(
        "cg", "how a proximal step is found", choices=("exact", "cg", "explicit"), paper="all three; cg mostly"
    )
    cg_steps: int = number(3, "steps of conjugate gradients", least=1, paper="3, 5, 10")

    @torch.no_grad()
    def step(self, sweep: Sweep[DecayingOptimizer]) -> None:
        """One step of the optimiser along every ``D_l``; weights and running statistics are written in place."""
        start, batch = forward_pass(sweep), sweep.batch
        values = [f(start.input(i, start.z), start.skip(i, start.z)) for i, f in enumerate(start.functions)]
        values[-1].track()
        for i, (value, r) in enumerate(zip(values, cotangents(start.loss, values, start.y), strict=True)):
            if value.function.layer.frozen:
                continue
            direction = self.gradient(sweep, value, r)
            if i + 1 < len(values):
                numbers = self.tau_theta, self.solver, self.cg_steps
                direction = proximal_direction(value, direction, batch, *numbers, f"W_{i + 1}")
            for p, d in zip(value.function.params(), direction, strict=True):
                set_gradient(p, audit.plain(d))
        self.set_rates(sweep)
        sweep.memory.optimizer.step()

    def gradient(self, sweep: Sweep[DecayingOptimizer], value: LayerValue, r: Tensor) -> list[Tensor]:
        """The derivatives of the batch's mean loss in a layer's numbers, its share of the regulariser included."""
        batch, omega = sweep.batch, sweep.problem.regularizer
        W, *others = (batch.sum(g) / batch.count for g in value.to_params(batch.weighed(r)))
        weight = (omega.curvature or 0.0) / sweep.state.samples
        return [W + weight * value.function.W if weight else W, *others]
