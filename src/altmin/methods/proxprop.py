"""ProxProp: backpropagation with proximal steps of the weights.

Frerix, Moellenhoff, Moeller and Cremers, "Proximal backpropagation" (ICLR 2018), Algorithm 2.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from altmin import audit
from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.layerwise.augmented_weights import Units
from altmin.layerwise.function import Forward
from altmin.methods.backprop import Backprop
from altmin.online.forward_pass import encode
from altmin.online.rules import laid_out
from altmin.solvers.activation_least_squares import conjugate_gradients
from altmin.solvers.weight_least_squares import cholesky


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
    """

    lacks = frozenset({"Elman"})
    quadratic = True

    tau_theta: float = number(1.0, "step size of the hidden layers' proximal steps", above=0.0)
    solver: str = number(
        "cg", "how a proximal step is found", choices=("exact", "cg", "explicit"), paper="all three; cg mostly"
    )
    cg_steps: int = number(3, "steps of conjugate gradients", least=1, paper="3, 5, 10")

    @torch.no_grad()
    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One step of the optimiser along every ``D_l``; weights and running statistics are written in place."""
        passed = encode(problem, state, batch.x, state.extra.generator)
        outs = [block(passed.input(i, passed.z), passed.over(i, passed.z)) for i, block in enumerate(passed.blocks)]
        outs[-1].track()
        for i, (out, r) in enumerate(zip(outs, cotangents(problem, outs, batch.y), strict=True)):
            gradient = self.gradient(problem, state, batch, out, r)
            if i + 1 < len(outs):
                gradient = self.proximal(out, gradient, batch, f"W_{i + 1}")
            for p, g in zip(out.block.params(), gradient, strict=True):
                p.grad = laid_out(audit.plain(g), p)
        self.set_rates(state.extra, batch)
        state.extra.optimizer.step()
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    def gradient(self, problem: Problem, state: State, batch: Batch, out: Forward, r: Tensor) -> list[Tensor]:
        """The derivatives of the batch's mean loss in a layer's numbers, its share of the regulariser included."""
        W, *others = (batch.sum(g) / batch.count for g in out.to_params(r))
        omega = problem.regularizer
        return [W + (omega.curvature / state.extra.count) * out.block.W if omega.curvature else W, *others]

    def proximal(self, out: Forward, gradient: list[Tensor], batch: Batch, block: str) -> list[Tensor]:
        """``D``, which solves ``(G/n + 1/tau_theta) D = gradient``, `G` the Gram matrix of the rows ``[A, 1]``."""
        units = Units(out.block.layer.map)
        k = 1 + units.map.bias
        rhs = units.join(gradient[0], gradient[1] if units.map.bias else out.block.b)
        return [*units.split(self.solve(units, out, rhs, batch, block))[:k], *gradient[k:]]

    def solve(self, units: Units, out: Forward, rhs: Tensor, batch: Batch, block: str) -> Tensor:
        """The same for ``theta``, the layer's units with an intercept as one more column."""
        if self.solver == "explicit":
            return self.tau_theta * rhs
        if self.solver == "exact":
            normal = units.gram(out.a, batch) / batch.count
            normal.diagonal(dim1=-2, dim2=-1).add_(1.0 / self.tau_theta)
            grouped = rhs.view(*units.map.shape[:-1], -1)
            return torch.cholesky_solve(grouped.mT, cholesky(normal, block)).mT.reshape(rhs.shape)

        def normal_at(d: Tensor) -> Tensor:
            return batch.sum(units.gradient(units(d, out.a), out.a)) / batch.count + d / self.tau_theta

        return conjugate_gradients(normal_at, rhs, torch.zeros_like(rhs), block, self.cg_steps)


def cotangents(problem: Problem, outs: list[Forward], y: Tensor) -> list[Tensor]:
    """``dR/dZ_l`` of every layer, by backpropagation in closed form.

    Args:
        problem: Gives the loss.
        outs: The layers' forward passes.
        y: Encoded targets.
    """
    skips: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    found = [problem.loss.grad(outs[-1].z, y)]
    for i in reversed(range(1, len(outs))):
        r, layer, below = found[-1], outs[i].block.layer, outs[i - 1]
        if layer.skip is not None:
            skips[layer.skip].append(r)
        through = sum(skips["a", i - 1], outs[i].to_input(r))
        found.append(sum(skips["z", i - 1], below.block.layer.activation.vjp(through, below.z)))
    return found[::-1]
