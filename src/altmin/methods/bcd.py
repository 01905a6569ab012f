"""Proximal block coordinate descent with three splittings.

Zeng, Lau, Lin and Yao, "Global convergence of block coordinate descent in deep learning" (ICML 2019), with three
splittings; Lau, Zeng, Wu and Yao, "A proximal block coordinate descent algorithm for deep neural network training"
(ICLR 2018 workshop).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import layer_input, measure, prediction, regression_target
from altmin.core.problem import Problem
from altmin.core.state import State, put, with_forward
from altmin.cost import Product, least_squares
from altmin.methods import exact
from altmin.methods.base import Method
from altmin.solvers.weight_least_squares import fit_weights, gram, intercept


class Memory(NamedTuple):
    """What BCD keeps beside ``U`` (`State.z`) and ``V_1 .. V_{N-1}`` (`State.a`).

    Attributes:
        outputs: ``V_N``, the variable that the loss stands on, ``(N, n_L)``; per sample.
        gram: ``X^T X``.
    """

    outputs: Tensor
    gram: Tensor


@dataclass(frozen=True)
class BCD(Method):
    """Minimise ``R(V_N) + sum Omega + gamma/2 (sum_l ||E_l||^2 + sum_{l<N} ||D_l||^2 + ||V_N - U_N||^2)``.

    ``U_l`` are the linear outputs (`State.z`), ``V_l`` the activations (`State.a`, the last one in `Memory`), ``E_l``
    and ``D_l`` the residuals of ``U_l = W_l V_{l-1} + b_l`` and ``V_l = s_l(U_l)``. From the last layer to the first,
    each block is minimised exactly, with ``alpha/2 ||v - v_k||^2`` added for ``V_N``, ``U_l`` (``l < N``), ``W_l`` and
    ``b_l``: the objective never rises.

    Deviations: any loss with a prox, where the papers have the squared one. The last layer's activation is the
    identity, as in their MNIST runs. Behind max pooling the activations' block is not convex: it is lowered, not
    minimised.
    """

    quadratic = True
    cure = "a larger `alpha`"

    gamma: float = number(1.0, "penalty of all residuals", above=0.0, paper="1")
    alpha: float = number(5.0, "weight of the proximal terms", least=0.0, paper="5; 1 for the network of ten layers")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``U``, ``V`` by a forward pass."""
        state = with_forward(problem, start, batch.x)
        return replace(state, extra=Memory(state.z[-1].clone(), gram(problem.layers[0].map, batch.x, batch)))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One sweep of the algorithm: ``V_l``, ``U_l``, ``W_l``, ``b_l`` from the last layer to the first.

        ``V_l`` and ``U_l`` of the hidden layers are written in place.
        """
        last = len(problem.layers) - 1
        for i in range(last, -1, -1):
            if i == last:
                state = self.update_outputs(problem, state, batch)
                state = self.update_last_u(problem, state, batch)
            else:
                state = self.update_v(problem, state, batch, i)
                state = self.update_u(problem, state, batch, i)
            state = self.update_W(problem, state, batch, i)
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    def update_outputs(self, problem: Problem, state: State, batch: Batch) -> State:
        """``V_N`` by P2 at the mean of ``U_N`` and the present ``V_N``, weighted `gamma` and `alpha`."""
        old, r = state.extra.outputs, self.gamma + self.alpha
        v = torch.lerp(state.z[-1], old, self.alpha / r)
        return replace(state, extra=state.extra._replace(outputs=problem.loss.prox(v, r, batch.y, old)))

    def update_last_u(self, problem: Problem, state: State, batch: Batch) -> State:
        """``U_N``: half-way between ``V_N`` and its prediction."""
        last = len(state.z) - 1
        return put(state, z=(last, prediction(problem, state, batch, last).lerp_(state.extra.outputs, 0.5)))

    def update_v(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``V_l``, ``l < N``, by P5."""
        return put(state, a=(i, exact.update_a(problem, state, batch, i)))

    def update_u(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``U_l``, ``l < N``, by P1, the proximal term folded into its centre."""
        now, d = state.z[i], self.alpha / self.gamma
        return put(state, z=(i, exact.update_z(problem, state, batch, i, hat=now, d=d)))

    def update_W(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``W_l`` by P3 at the present ``b_l``, then ``b_l`` by P7."""
        map, b = problem.layers[i].map, state.b[i]
        center, d = problem.regularizer.complete_square(state.W[i], self.alpha)
        a, u = layer_input(state, batch, i), regression_target(problem, state, batch, i)
        known = state.extra.gram if i == 0 else None
        W, residual, count = fit_weights(map, a, u, b, center, self.gamma, d, batch, known, f"W_{i + 1}")
        state = put(state, W=(i, W))
        return put(state, b=(i, intercept(residual, count, self.gamma, self.alpha, b))) if map.bias else state

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """Those of exact least squares."""
        return least_squares(n)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The objective by terms, and ``||E_l||``, ``||D_l||``, where ``D_N = V_N - U_N``."""
        outputs = state.extra.outputs
        own = batch.sum(torch.stack([problem.loss(outputs, batch.y), (outputs - state.z[-1]).square().sum()]))
        terms = measure(problem, state, batch)
        terms = replace(terms, loss=own[0], activation=torch.cat([terms.activation, own[1:]]))
        return terms.penalty([self.gamma] * len(problem.layers), self.gamma), terms.residuals()
