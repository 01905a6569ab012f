"""mDLAM: multi-convex DLAM, plain and accelerated.

"Gradient-free neural network training by multi-convex alternating optimization" (under review at ICLR 2020), Algorithms
1 to 3; accelerated and named mDLAM by Wang, Li and Zhao (Neurocomputing 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import followers, linear_residual, mean_of, measure, squares
from altmin.core.problem import Problem
from altmin.core.state import State, numbers, parts, put, renewed, with_forward
from altmin.cost import Product, adjoint, cross, gram, image
from altmin.methods.base import Method
from altmin.solvers.activation_least_squares import without_rise
from altmin.solvers.backtracking import Backtracking, clipped_step, weights_step
from altmin.solvers.carried import Carried, worth_carrying
from altmin.solvers.weight_least_squares import Statistics, intercept


@dataclass(frozen=True)
class Memory:
    """What mDLAM keeps between iterations.

    Attributes:
        eps: Half-width of the band ``|A_l - s_l(Z_l)| <= eps``.
        t: The acceleration's ``t_k``.
        W: Previous weights, where accelerated.
        a: Previous activations, where accelerated.
        carried: Products and sums that one block update leaves to the next.
    """

    eps: float
    t: float
    W: tuple[Tensor, ...]
    a: tuple[Tensor, ...]
    carried: Carried


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
        held = numbers(batch.x, *state.z, *state.a, *old[1])
        carried = Carried(
            worth_carrying([numbers(z) for z in state.z], self.saved([W.shape[-1] for W in state.W]), held)
        )
        return replace(state, extra=Memory(self.eps, 1.0, *old, carried))

    @staticmethod
    def saved(inputs: Sequence[int]) -> list[int]:
        """What carrying ``A_{l-1} W_l^T`` saves in a sweep: products of that width for each of its numbers.

        It is used for ``Z_l`` and, in the next sweep, for ``A_{l-1}``, which the first layer does not have.
        """
        return [0, *inputs[1:]]

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One sweep of Algorithm 1 over the layers, first to last; ``Z`` and ``A`` are written in place."""
        state = self.update_eps(problem, state, batch)
        old, memory = state, state.extra
        momentum, t = self.momentum(memory.t)
        for i, layer in enumerate(problem.layers):
            stats = memory.carried.statistics(problem, state, batch, i)
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
        for layer, z, a in zip(problem.layers[:-1], state.z[:-1], state.a, strict=True):
            for rows in parts(a):
                mid = layer.activation(z[rows])
                a[rows] = torch.clamp(a[rows], mid - eps, mid + eps)
        return replace(state, a=tuple(map(renewed, state.a)), extra=replace(state.extra, eps=eps))

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
        layer, carried, z = problem.layers[i], state.extra.carried, state.z[i]
        for rows in parts(z):
            E = [carried.residual(problem, state, batch, j, rows) for j in followers(problem, "z", i)]
            v, _ = mean_of(carried.prediction(problem, state, batch, i, rows), [e.add_(z[rows]) for e in E])
            if i + 1 == len(problem.layers):
                z[rows] = problem.loss.prox(v, self.rho, batch.y[rows], z[rows])
            else:
                low, high = layer.activation.interval(state.a[i][rows], state.extra.eps)
                z[rows] = torch.clamp(v, torch.minimum(low, z[rows]), torch.maximum(high, z[rows]))
        return renewed(z)

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int, momentum: float) -> Tensor:
        """``A_l`` by P6 within the band (equation 6), in the place of the older of the two iterates that are kept."""
        into = state.extra.a[i] if self.accelerated else state.a[i]
        for rows in parts(into, whole=not self.per_sample):
            into[rows] = self.moved_a(problem, state, batch, i, momentum, rows)
        return renewed(into)

    def moved_a(self, problem: Problem, state: State, batch: Batch, i: int, momentum: float, rows: slice) -> Tensor:
        """The update of some samples; those whose objective rose from the point ahead take the plain step."""
        block = _Block(self, problem, state, batch, i, rows)
        if momentum == 0:
            new = block.step(block.now, block.E)[0]
        else:
            ahead = torch.lerp(state.extra.a[i][rows], block.now, 1 + momentum)
            new, E = block.step(ahead, block.residuals(ahead))
            rose = (squares(E) > squares(block.E)).nonzero()[:, 0]
            new[rose] = block.step(block.now[rose], [e[rose] for e in block.E], rose)[0]
        if not problem.layers[i + 1].map.piecewise:
            return new
        return without_rise(lambda a: squares(block.residuals(a)), new, block.now)

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """While ``eps`` stays, every first trial passes, and no sample falls back to the plain step."""
        copies = 3 if self.accelerated else 2
        held = n[0] + n[-1] + copies * sum(n[1:-1])
        carried = worth_carrying(n[1:], self.saved(n[:-1]), held)
        out = [image(0, n), cross(0, n)]
        for i in range(1, len(n) - 1):
            images = 1 + (i not in carried) + self.accelerated
            moved = Product(f"g_{i} W_{i + 1}^T", n[i], n[i + 1], 2, 2)
            out += [gram(i, n), cross(i, n), image(i, n, images, 1 + self.accelerated), adjoint(i, n), moved]
        return out

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """``F`` of the paper by terms, and ``||E_l||``, ``||D_l||``."""
        terms = measure(problem, state, batch)
        return terms.penalty([self.rho] * len(problem.layers), 0.0), terms.residuals()

    def scalars(self, state: State) -> dict[str, float]:
        """The present ``eps``."""
        return {"eps": state.extra.eps}


class _Block:
    """The block of ``A_l`` for some samples: ``rho/2`` times the squares of the residuals that it moves, in a band."""

    def __init__(self, method: MDLAM, problem: Problem, state: State, batch: Batch, i: int, rows: slice):
        self.method, self.problem, self.i = method, problem, i
        self.state, self.batch = state.samples(rows), batch.select(rows, batch.ends_epoch)
        self.map, self.W, self.now = problem.layers[i + 1].map, state.W[i + 1], self.state.a[i]
        s, eps = problem.layers[i].activation(self.state.z[i]), state.extra.eps
        self.low, self.high = s - eps, s + eps
        moved = i + 1, *followers(problem, "a", i)
        self.E = [state.extra.carried.residual(problem, state, batch, j, rows) for j in moved]

    def residuals(self, a: Tensor) -> list[Tensor]:
        """``E`` of the layer above and of those that a residual connection reaches, at a value of ``A_l``."""
        above = linear_residual(self.problem, put(self.state, a=(self.i, a)), self.batch, self.i + 1)
        return [above, *(e + (self.now - a) for e in self.E[1:])]

    def step(self, point: Tensor, E: list[Tensor], some: Tensor | slice = slice(None)) -> tuple[Tensor, list[Tensor]]:
        """The step from a point where the residuals are `E`, for some samples, and the residuals after it."""
        near, rho, method = self.map.at(point), self.method.rho, self.method
        grad = sum(E[1:], near.adjoint(self.W, E[0], point)).mul_(-rho)
        image, weights = partial(near.image, self.W, a=point), (rho, rho * len(E[1:]))
        box = self.low[some], self.high[some]
        new, moved = clipped_step(point, grad, image, *weights, *box, method.search(), method.per_sample, self.batch)
        if self.map.piecewise:
            return new, self.residuals(new) if isinstance(some, slice) else E
        return new, [E[0] - moved, *(e + (point - new) for e in E[1:])]
