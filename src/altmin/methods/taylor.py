"""ADMM without gradients, one forward sweep an iteration.

Taylor, Burmeister, Xu, Singh, Patel and Goldstein, "Training neural networks without gradients: a scalable ADMM
approach" (ICML 2016), Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import layer_input, measure, prediction
from altmin.core.problem import Problem
from altmin.core.state import State, dual, put, with_forward
from altmin.cost import Product, least_squares
from altmin.draws import to_draw
from altmin.methods import exact
from altmin.methods.base import Method
from altmin.solvers.weight_least_squares import fit_weights, gram, intercept


@dataclass(frozen=True)
class TaylorADMM(Method):
    """Minimise ``R + sum Omega + <Z_L, Lambda> + beta sum_l ||E_l||^2 + gamma sum_{l<L} ||D_l||^2``.

    An iteration goes once from the first layer to the last, each block minimised exactly, and then moves the
    multiplier, ``Lambda += beta E_L`` (`State.u`). While the multiplier stays zero, in the first `warmup` iterations,
    the objective never rises; later it may.

    ``Z`` and ``A`` start small and random, not at a forward pass: on 5,000 digits of MNIST (100-100, the paper's
    penalties) validation accuracy after 40 iterations is 85% at `scale` 0.03, 23% at 1 (squared loss), and from a
    forward pass at best 77%, with `gamma` a hundred times `beta`. A convolution cannot fit random ``Z``: begin those
    networks at a forward pass, with such a `gamma`. Longer warm-ups change little.

    Deviations: the paper has no intercepts; where a layer has one, it is solved for together with the weights. The
    pseudo-inverse is a ridge at rounding level centred at the present weights, or `ridge` where that is positive. A
    layer's first activations are solved for with the start's weights above it, which the paper leaves open. Behind max
    pooling the activations' block is not convex: it is lowered, not minimised.
    """

    lacks = Method.lacks | {"residual connections"}
    quadratic = True
    cure = "a longer `warmup` or a larger `beta`"

    beta: float = number(1.0, "penalty of the linear residuals", above=0.0, paper="1")
    gamma: float = number(10.0, "penalty of the activation residuals", above=0.0, paper="10")
    warmup: int = number(10, "iterations in which the multiplier stays zero", least=0, paper="not given")
    start: str = number("gaussian", "Z and A at the start", choices=("gaussian", "forward"), paper="gaussian")
    scale: float = number(0.03, "standard deviation of a gaussian start", above=0.0, paper="not given")
    ridge: float = number(0.0, "proximal weight of W; 0: at rounding level", least=0.0, paper="0: a pseudo-inverse")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``Z``, ``A`` drawn from `generator` or by a forward pass, ``Lambda = 0``."""
        state = with_forward(problem, start, batch.x)
        if self.start == "gaussian":
            z, a = (tuple(self._draw(t, generator) for t in group) for group in (state.z, state.a))
            state = replace(state, z=z, a=a)
        known = gram(problem.layers[0].map, batch.x, batch)
        return replace(state, u=torch.zeros_like(state.z[-1]), extra=known)

    def _draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return to_draw(like, generator).normal_(generator=generator).mul_(self.scale).to(like.device)

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration of Algorithm 1; ``Z`` and ``A`` of the hidden layers are written in place."""
        last = len(problem.layers) - 1
        for i in range(last):
            state = self.update_W(problem, state, batch, i)
            state = self.update_a(problem, state, batch, i)
            state = self.update_z(problem, state, batch, i)
        state = self.update_W(problem, state, batch, last)
        predicted = prediction(problem, state, batch, last)
        state = self.update_outputs(problem, state, batch, predicted)
        if state.k >= self.warmup:
            E = state.z[last] - predicted
            state = replace(state, u=torch.add(dual(state), E, alpha=self.beta))
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    def update_W(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``W_l`` and ``b_l`` together: P3 on the centred statistics, then P7."""
        map, a, z = problem.layers[i].map, layer_input(state, batch, i), state.z[i]
        center, d = problem.regularizer.complete_square(state.W[i], 2 * self.ridge)
        b, known = None if map.bias else state.b[i], state.extra if i == 0 else None
        W, residual, count = fit_weights(map, a, z, b, center, 2 * self.beta, d, batch, known, f"W_{i + 1}")
        state = put(state, W=(i, W))
        return put(state, b=(i, intercept(residual, count))) if map.bias else state

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``A_l`` by P5."""
        return put(state, a=(i, exact.update_a(problem, state, batch, i, self.beta, self.gamma)))

    def update_z(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``Z_l``, ``l < L``, by P1 with ``r = beta/gamma``."""
        return put(state, z=(i, exact.update_z(problem, state, batch, i, self.beta, self.gamma)))

    def update_outputs(self, problem: Problem, state: State, batch: Batch, predicted: Tensor) -> State:
        """``Z_L`` by P2 with ``r = 2 beta`` at its prediction less ``Lambda/(2 beta)``."""
        last, r = len(state.z) - 1, 2 * self.beta
        v = torch.sub(predicted, dual(state), alpha=1 / r)
        return put(state, z=(last, problem.loss.prox(v, r, batch.y, state.z[last])))

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """Those of exact least squares."""
        return least_squares(n)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The objective by terms, and ``||E_l||``, ``||D_l||``."""
        terms = measure(problem, state, batch)
        parts = terms.penalty([2 * self.beta] * len(problem.layers), 2 * self.gamma)
        return parts | {"dual": batch.sum((state.z[-1] * dual(state)).sum())}, terms.residuals()
