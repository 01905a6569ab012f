"""mDLAM: multi-convex DLAM, plain and accelerated.

"Gradient-free neural network training by multi-convex alternating optimization" (under review at ICLR 2020), Algorithms
1 to 3; accelerated and named mDLAM by Wang, Li and Zhao (Neurocomputing 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from altmin.checks import number
from altmin.methods.base import Method
from altmin.objective import (
    followers,
    layer_input,
    linear_residual,
    mean_of,
    measure,
    prediction,
    pulls,
    regression_target,
    squares,
)
from altmin.problem import Batch, Problem
from altmin.solvers.majorize import Backtracking, clipped_step, weights_step
from altmin.solvers.pullback import without_rise
from altmin.solvers.ridge import Statistics, gram, intercept, statistics
from altmin.state import State, put, with_forward


@dataclass(frozen=True)
class Memory:
    """What mDLAM keeps between iterations.

    Attributes:
        eps: Half-width of the band ``|A_l - s_l(Z_l)| <= eps``.
        t: The acceleration's ``t_k``.
        W: Previous weights, where accelerated.
        a: Previous activations, where accelerated.
        gram: ``X^T X``.
    """

    eps: float
    t: float
    W: tuple[Tensor, ...]
    a: tuple[Tensor, ...]
    gram: Tensor


@dataclass(frozen=True)
class MDLAM(Method):
    """Minimise ``R + sum Omega + rho/2 sum_l ||E_l||^2`` subject to ``|A_l - s_l(Z_l)| <= eps``, ``l < L``.

    For fixed ``eps`` the objective never rises (Lemma 1). With `accelerated`, ``W_l`` and ``A_l`` first move on by
    ``(t_{k-1} - 1)/t_k`` of their last change, ``t_k = (1 + sqrt(1 + 4 t_{k-1}^2))/2``; a block (for ``A_l``: a
    sample) whose objective rose takes the plain update instead.

    Deviations: ``A_l`` is clipped to its band inside the backtracking, which solves the paper's equation (6); its
    Algorithm 3 prints the loop without the clip. Where ``eps`` changes, ``A_l`` is first clipped to the new band. The
    step sizes are found without trial steps and, by default, start from the exact quotient and not from 1; that of W
    a tenth above it (`damping`), since momentum overshoots with the exact line search: this halves the iterations.
    """

    cure = "a smaller `rho`, or `eps_rule='fixed'`"

    rho: float = number(1e-6, "penalty", above=0.0, paper="1e-4")
    eps: float = number(10.0, "half-width of the band at the start", above=0.0, paper="10; the authors' code: 100")
    eps_rule: str = number(
        "mean",
        "how eps follows the loss R: its mean or its sum over samples, eps/2 down to 0.001, or not at all",
        choices=("mean", "sum", "halving", "fixed"),
        paper="mean or sum: left open; the authors' code: halving",
    )
    accelerated: bool = number(
        True, "extrapolate, and fall back where the objective rose", paper="off in 2019, on in 2022"
    )
    per_sample: bool = number(True, "a step size for each sample, not one for all", paper="a parameter vector")
    start: float | None = number(
        None, "first trial of a step size; none: the exact quotient", above=0.0, optional=True, paper="1"
    )
    factor: float = number(2.0, "growth of a step size that failed", above=1.0, paper="not given; the authors' code: 2")
    damping: float = number(
        1.1, "what the exact quotient of W is multiplied by under momentum", least=1.0, paper="not given"
    )

    def check(self, problem: Problem) -> None:
        """Refuse activations that are not monotone: their band has no interval."""
        super().check(problem)
        for i, layer in enumerate(problem.layers):
            if not hasattr(layer.activation, "interval"):
                raise TypeError(
                    f"MDLAM needs monotone activations, got {type(layer.activation).__name__} in layer {i + 1}"
                )

    def search(self, damping: float = 1.0) -> Backtracking:
        """Where the search for step sizes starts."""
        return Backtracking(self.start, self.factor, damping)

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``Z``, ``A`` by a forward pass."""
        state = with_forward(problem, start, batch.x)
        old = (state.W, tuple(a.clone() for a in state.a)) if self.accelerated else ((), ())
        return replace(state, extra=Memory(self.eps, 1.0, *old, gram(problem.layers[0].map, batch.x, batch)))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One sweep of Algorithm 1 over the layers, first to last."""
        state = self.update_eps(problem, state, batch)
        old, memory = state, state.extra
        momentum, t = self.momentum(memory.t)
        for i, layer in enumerate(problem.layers):
            known = memory.gram if i == 0 else None
            z = regression_target(problem, state, batch, i)
            stats = statistics(layer.map, layer_input(state, batch, i), z, batch, known)
            state = put(state, W=(i, self.update_W(problem, state, stats, i, momentum)))
            if layer.map.bias:
                state = put(state, b=(i, intercept(stats.mean_residual(state.W[i]), stats.count)))
            state = put(state, z=(i, self.update_z(problem, state, batch, i)))
            if i + 1 < len(problem.layers):
                state = put(state, a=(i, self.update_a(problem, state, batch, i, momentum)))
        kept = (old.W, old.a) if self.accelerated else ((), ())
        memory = replace(memory, t=t, W=kept[0], a=kept[1])
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=memory)

    def update_eps(self, problem: Problem, state: State, batch: Batch) -> State:
        """The rule for ``eps`` before a sweep, and ``A_l`` clipped to the new band where it changed."""
        eps = self.next_eps(state.extra.eps, lambda: float(batch.sum(problem.loss(state.z[-1], batch.y))), batch)
        if eps == state.extra.eps:
            return state
        s = [layer.activation(z) for layer, z in zip(problem.layers[:-1], state.z, strict=False)]
        a = tuple(torch.clamp(a, mid - eps, mid + eps) for a, mid in zip(state.a, s, strict=True))
        return replace(state, a=a, extra=replace(state.extra, eps=eps))

    def next_eps(self, eps: float, loss: Callable[[], float], batch: Batch) -> float:
        """``eps`` of the next sweep from the loss at ``Z_L`` (section 4.1 as printed, or the authors' code)."""
        if self.eps_rule == "fixed":
            return eps
        if self.eps_rule == "halving":
            return max(eps / 2, 0.001)
        R = loss() / (batch.count if self.eps_rule == "mean" else 1)
        if 10 * eps < R:
            return max(2 * eps, 1.0)
        return min(eps / 2, 0.01) if eps > 10 * R else eps

    def momentum(self, t: float) -> tuple[float, float]:
        """``(t_{k-1} - 1)/t_k`` and ``t_k``; no momentum in the plain version."""
        after = (1 + math.sqrt(1 + 4 * t * t)) / 2
        return ((t - 1) / after if self.accelerated else 0.0), after

    def update_W(self, problem: Problem, state: State, stats: Statistics, i: int, momentum: float) -> Tensor:
        """``W_l`` by P4 (Algorithm 2), from the point ahead where that does not raise the objective."""
        W, omega, pull = state.W[i], problem.regularizer, self.rho * stats.targets(state.b[i])

        search = self.search(self.damping if momentum and self.start is None else 1.0)

        def step(point: Tensor) -> Tensor:
            return weights_step(point, stats.gram, pull, self.rho, omega, search, block=f"W_{i + 1}")

        if momentum == 0:
            return step(W)
        new = step(torch.lerp(state.extra.W[i], W, 1 + momentum))
        move = new - W
        slope = self.rho * (W @ stats.gram) - pull
        rise = (slope * move).sum() + 0.5 * self.rho * (move @ stats.gram * move).sum() + omega(new) - omega(W)
        return new if rise <= 0 else step(W)

    def update_z(self, problem: Problem, state: State, batch: Batch, i: int) -> Tensor:
        """``Z_l``: the linear prediction clipped to the band; ``Z_L`` by P2 (equation 5)."""
        layer = problem.layers[i]
        v, _ = mean_of(prediction(problem, state, batch, i), pulls(problem, state, batch, i))
        if i + 1 == len(problem.layers):
            return problem.loss.prox(v, batch.y, self.rho, state.z[i])
        low, high = layer.activation.interval(state.a[i], state.extra.eps)
        return torch.clamp(v, torch.minimum(low, state.z[i]), torch.maximum(high, state.z[i]))

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int, momentum: float) -> Tensor:
        """``A_l`` by P6 within the band (equation 6); samples whose objective rose ahead take the plain step."""
        above, W, now = problem.layers[i + 1].map, state.W[i + 1], state.a[i]
        reached = followers(problem, "a", i)
        s, eps = problem.layers[i].activation(state.z[i]), state.extra.eps
        low, high = s - eps, s + eps

        def residuals(a: Tensor) -> list[Tensor]:
            at = put(state, a=(i, a))
            return [linear_residual(problem, at, batch, j) for j in (i + 1, *reached)]

        def step(point: Tensor, E: list[Tensor], low: Tensor, high: Tensor) -> Tensor:
            near = above.at(point)
            grad = sum(E[1:], near.adjoint(W, E[0], point)).mul_(-self.rho)
            weights = self.rho, self.rho * len(reached)
            image = partial(near.image, W, a=point)
            return clipped_step(point, grad, image, *weights, low, high, self.search(), self.per_sample, batch)

        E = residuals(now)
        if momentum == 0:
            new = step(now, E, low, high)
        else:
            ahead = torch.lerp(state.extra.a[i], now, 1 + momentum)
            new = step(ahead, residuals(ahead), low, high)
            rose = squares(residuals(new)) > squares(E)
            new[rose] = step(now[rose], [e[rose] for e in E], low[rose], high[rose])
        return without_rise(lambda a: squares(residuals(a)), new, now) if above.piecewise else new

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """``F`` of the paper by terms, and ``||E_l||``, ``||D_l||``."""
        terms = measure(problem, state, batch)
        return terms.penalty([self.rho] * len(problem.layers), 0.0), terms.residuals()

    def scalars(self, state: State) -> dict[str, float]:
        """The present ``eps``."""
        return {"eps": state.extra.eps}
