"""dlADMM: ADMM with backward and forward sweeps.

Wang, Yu, Chen and Zhao, "ADMM for efficient deep learning with global convergence" (KDD 2019), Algorithms 1 to 3.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import followers, layer_input, linear_residual, measure, squares
from altmin.core.problem import Problem
from altmin.core.state import State, dual, forward, numbers, parts, put, renewed, with_forward
from altmin.cost import Product, adjoint, cross, gram, image
from altmin.errors import PenaltyWarning
from altmin.methods.base import Method
from altmin.solvers.activation_least_squares import without_rise
from altmin.solvers.backtracking import Backtracking, activations_step, gradient_step, weights_step
from altmin.solvers.carried import Carried, worth_carrying
from altmin.solvers.weight_least_squares import intercept

RISES = 3


@dataclass(frozen=True)
class Memory:
    """What dlADMM keeps between iterations.

    Attributes:
        carried: Products and sums that one block update leaves to the next.
        rho: The present penalty of the last layer.
        scale: What first trials of step sizes are multiplied by (adaptive schedule).
        loss: The network's loss after the last iteration (adaptive schedule).
        rises: How often it rose in a row.
    """

    carried: Carried
    rho: float
    scale: float = 1.0
    loss: float = float("inf")
    rises: int = 0


@dataclass(frozen=True)
class DLADMM(Method):
    """Minimise ``R + sum Omega + nu/2 sum_{l<L} (||E_l||^2 + ||D_l||^2)`` subject to ``E_L = 0``.

    Each iteration minimises the augmented Lagrangian, ``+ <U, E_L> + rho/2 ||E_L||^2``, over the blocks of the layers
    from last to first and from first to last, and then moves the dual variable, ``U += rho E_L``. Proved to converge
    for ``rho > 2H``, `H` the Lipschitz constant of the loss's gradient; where that does not hold, a `PenaltyWarning`
    says so.

    Deviations: the dual step has ``Z_L``, where the paper prints ``a_L``. The first trial of a weight step includes the
    regulariser's prox. Step sizes are found without trial steps and start from the exact quotient, not from 1.
    """

    cure = "a larger `rho` (the proof needs rho > 2H)"

    rho: float = number(1e-6, "penalty of the last layer at the start", above=0.0, paper="1e-6")
    nu: float | None = number(
        1e-6, "penalty of the hidden layers; none: follow rho", above=0.0, optional=True, paper="1e-6"
    )
    schedule: str = number(
        "steps",
        "how rho grows: not, tenfold every 100 iterations, or tenfold where the loss rose three times in a row",
        choices=("constant", "steps", "adaptive"),
        paper="steps; the authors' code: adaptive",
    )
    rho_max: float | None = number(
        None, "largest rho; none: 0.1, or rho itself", above=0.0, optional=True, paper="0.1 in the authors' code"
    )
    per_sample: bool = number(True, "a step size of A for each sample, not one for all", paper="a parameter vector")
    start: float | None = number(
        None, "first trial of a step size; none: the exact quotient", above=0.0, optional=True, paper="1"
    )
    factor: float = number(2.0, "growth of a step size that failed", above=1.0, paper="not given; the authors' code: 2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho_max is not None and self.rho_max < self.rho:
            raise ValueError(f"`rho_max` must be >= `rho` ({self.rho:g}), got {self.rho_max:g}")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``Z``, ``A`` by a forward pass, ``U = 0``."""
        H = problem.loss.lipschitz
        if self.rho <= 2 * H:
            bound = f"not above 2H = {2 * H:g}" if math.isfinite(H) else "of no avail: the loss is not smooth"
            text = f"`rho` = {self.rho:g} is {bound}; dlADMM is proved to converge for rho > 2H"
            warnings.warn(text, PenaltyWarning, stacklevel=2)
        state = with_forward(problem, start, batch.x)
        held = numbers(batch.x, *state.z, *state.a, state.z[-1])
        carried = Carried(
            worth_carrying([numbers(z) for z in state.z], self.saved([W.shape[-1] for W in state.W]), held)
        )
        return replace(state, u=torch.zeros_like(state.z[-1]), extra=Memory(carried, self.rho))

    @staticmethod
    def saved(inputs: Sequence[int]) -> list[int]:
        """What carrying ``A_{l-1} W_l^T`` saves in an iteration: products of that width for each of its numbers.

        For the first layer, from ``Z_l`` forward to backward; for those above, from ``A_{l-1}`` backward to forward
        too; for the last, whose blocks all need it, seven times.
        """
        *hidden, last = inputs
        return [p * (1 if i == 0 else 2) for i, p in enumerate(hidden)] + [7 * last]

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration of Algorithm 1; ``Z`` and ``A`` are written in place."""
        last = len(problem.layers) - 1
        for i in reversed(range(last + 1)):
            if i < last:
                state = self.update_a(problem, state, batch, i)
            state = self.update_z(problem, state, batch, i)
            state = self.update_b(problem, state, batch, i)
            state = self.update_W(problem, state, batch, i)
        for i in range(last + 1):
            state = self.update_W(problem, state, batch, i)
            state = self.update_b(problem, state, batch, i)
            state = self.update_z(problem, state, batch, i)
            if i < last:
                state = self.update_a(problem, state, batch, i)
        E = state.extra.carried.residual(problem, state, batch, last)
        state = replace(state, u=torch.add(dual(state), E, alpha=state.extra.rho))
        memory = self.update_rho(problem, state, batch)
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch, extra=memory)

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``A_l`` by P6: ``c/2 ||E_{l+1}||^2 (+ <U, E_L>) + nu/2 ||D_l||^2`` with the layer above."""
        above, carried = problem.layers[i + 1].map, state.extra.carried
        for rows in parts(state.a[i], whole=not self.per_sample):
            new, image = self.moved_a(problem, state, batch, i, rows)
            if above.piecewise:
                share = partial(self.share, problem, state.samples(rows), batch.select(rows, batch.ends_epoch), i)
                new = without_rise(share, new, state.a[i][rows])
            else:
                carried.move(i + 1, rows, image)
            state.a[i][rows] = new
        state = put(state, a=(i, renewed(state.a[i])))
        if not above.piecewise:
            carried.follow(i + 1, state.a[i], state.W[i + 1])
        return state

    def moved_a(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice) -> tuple[Tensor, Tensor]:
        """The step of P6 for some samples, and what the layer above makes of the movement."""
        above, W, now = problem.layers[i + 1].map, state.W[i + 1], state.a[i][rows]
        reached, nu = followers(problem, "a", i), self.hidden_penalty(state)
        grad = (now - problem.layers[i].activation(state.z[i][rows])).mul_(nu)
        grad = grad.sub_(above.adjoint(W, self.force(problem, state, batch, i + 1, rows), now))
        for j in reached:
            grad = grad.sub_(self.force(problem, state, batch, j, rows))
        c1 = self.penalty(state, problem, i + 1)
        c2 = nu + sum(self.penalty(state, problem, j) for j in reached)
        image = above.image(W, grad, now)
        return activations_step(now, grad, image, c1, c2, self.search(state), self.per_sample, batch)

    def force(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice = slice(None)) -> Tensor:
        """``c_l E_l``, in the last layer ``+ U``: minus the derivative of the Lagrangian in the layer's prediction."""
        E = state.extra.carried.residual(problem, state, batch, i, rows).mul_(self.penalty(state, problem, i))
        return E.add_(dual(state)[rows]) if i + 1 == len(problem.layers) else E

    def share(self, problem: Problem, state: State, batch: Batch, i: int, a: Tensor) -> Tensor:
        """The terms of the Lagrangian in which ``A_l`` stands, at a value of it, for each sample."""
        state = put(state, a=(i, a))
        D = state.a[i] - problem.layers[i].activation(state.z[i])
        total = 0.5 * self.hidden_penalty(state) * squares([D])
        for j in (i + 1, *followers(problem, "a", i)):
            E = linear_residual(problem, state, batch, j)
            total = total + 0.5 * self.penalty(state, problem, j) * squares([E])
            if j + 1 == len(problem.layers):
                total = total + (dual(state) * E).sum(1)
        return total

    def update_z(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``Z_l`` by P1 with ``r = 1``; ``Z_L`` by P2 at ``A_{L-1} W_L^T + b_L - U/rho``."""
        solve = self.last_z if i + 1 == len(problem.layers) else self.hidden_z
        for rows in parts(state.z[i]):
            state.z[i][rows] = solve(problem, state, batch, i, rows)
        return put(state, z=(i, renewed(state.z[i])))

    def hidden_z(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice) -> Tensor:
        """P1 for some samples."""
        v = state.extra.carried.prediction(problem, state, batch, i, rows)
        r, nu = 1.0, self.hidden_penalty(state)
        for j in followers(problem, "z", i):
            c = self.penalty(state, problem, j)
            v.add_(self.force(problem, state, batch, j, rows).add_(state.z[i][rows], alpha=c), alpha=1 / nu)
            r += c / nu
        return problem.layers[i].activation.prox(v.div_(r), r, state.a[i][rows])

    def last_z(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice) -> Tensor:
        """P2 for some samples."""
        v, rho = state.extra.carried.prediction(problem, state, batch, i, rows), state.extra.rho
        return problem.loss.prox(v.sub_(dual(state)[rows], alpha=1 / rho), rho, batch.y[rows], state.z[i][rows])

    def update_b(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``b_l`` by P7; in the last layer, where the dual variable joins, as a step along the force."""
        if not problem.layers[i].map.bias:
            return state
        if i + 1 == len(problem.layers):
            force = batch.sum(self.force(problem, state, batch, i).sum(0))
            return put(state, b=(i, state.b[i] + intercept(force, batch.count) / state.extra.rho))
        stats = state.extra.carried.statistics(problem, state, batch, i)
        return put(state, b=(i, intercept(stats.mean_residual(state.W[i]), stats.count)))

    def update_W(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """``W_l`` by P4."""
        step = self.last_W if i + 1 == len(problem.layers) else self.hidden_W
        return put(state, W=(i, step(problem, state, batch, i)))

    def hidden_W(self, problem: Problem, state: State, batch: Batch, i: int) -> Tensor:
        """P4 from the layer's statistics."""
        c, stats = self.penalty(state, problem, i), state.extra.carried.statistics(problem, state, batch, i)
        pull, omega, name = c * stats.targets(state.b[i]), problem.regularizer, f"W_{i + 1}"
        return weights_step(state.W[i], stats.gram, pull, c, omega, self.search(state), block=name)

    def last_W(self, problem: Problem, state: State, batch: Batch, i: int) -> Tensor:
        """P4 from the force on the outputs: they are few, and ``U/rho`` would lose the digits of ``Z_L``."""
        map, a, rho = problem.layers[i].map, layer_input(state, batch, i), state.extra.rho

        def bend(move: Tensor) -> Tensor:
            return rho * batch.sum(map.image(move, a, a).square().sum())

        grad = -batch.sum(map.gradient(self.force(problem, state, batch, i), a))
        return gradient_step(state.W[i], grad, bend, problem.regularizer, self.search(state), f"W_{i + 1}")

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """Eight for a layer on activations, where ``A g^T`` serves for the step of ``W_l`` and for its new image.

        The code makes ``A^T A`` and the image instead, which takes one array less.
        """
        if not problem.regularizer.is_zero:
            raise TypeError("DLADMM has no cost model with a regulariser: how often W_L is tried depends on the data")
        last = len(n) - 2
        carried = worth_carrying(n[1:], self.saved(n[:-1]), n[0] + 2 * sum(n[1:]))
        out = [] if last == 0 else [image(0, n, 1 + (0 not in carried)), cross(0, n)]
        for i in range(1, last):
            moved = [adjoint(i, n, 2, 2), Product(f"g_{i} W_{i + 1}^T", n[i], n[i + 1], 2, 2)]
            out += [gram(i, n, least=0), cross(i, n, 2, 2), image(i, n, 2 if i in carried else 4, 2), *moved]
        checked = range(last + 1) if self.schedule == "adaptive" else ()
        return out + self.last_products(n, last in carried) + [image(i, n) for i in checked]

    @staticmethod
    def last_products(n: Sequence[int], carried: bool) -> list[Product]:
        """Those of the last layer, whose blocks all ask for its residual."""
        last = len(n) - 2
        step = Product(f"A_{last} g^T", n[last], n[last + 1], 2, 2)
        out = [image(last, n, 2 if carried else 9 - 2 * (last == 0), 0), cross(last, n, 2, 2), step]
        moved = [adjoint(last, n, 2, 2), Product(f"g_{last} W_{last + 1}^T", n[last], n[last + 1], 2, 2)]
        return out + (moved if last else [])

    def update_rho(self, problem: Problem, state: State, batch: Batch) -> Memory:
        """The schedule of ``rho`` after an iteration."""
        memory: Memory = state.extra
        if self.schedule == "steps" and (state.k + 1) % 100 == 0:
            return replace(memory, rho=self.raised(memory.rho))
        if self.schedule != "adaptive":
            return memory
        loss = float(batch.sum(self.network_loss(problem, state, batch)))
        rises = memory.rises + 1 if loss > memory.loss else 0
        memory = replace(memory, loss=loss, rises=rises % RISES)
        if rises < RISES:
            return memory
        return replace(memory, rho=self.raised(memory.rho), scale=10 * memory.scale)

    @staticmethod
    def network_loss(problem: Problem, state: State, batch: Batch) -> Tensor:
        """The loss at a forward pass, over the samples of this process."""
        outputs = (forward(problem, state, batch.x[rows])[0][-1] for rows in parts(max(state.z, key=numbers)))
        return problem.loss(torch.cat(list(outputs)), batch.y)

    def raised(self, rho: float) -> float:
        """Ten times `rho`, within its limit."""
        return min(10 * rho, max(0.1, self.rho) if self.rho_max is None else self.rho_max)

    def search(self, state: State) -> Backtracking:
        """Where the search for step sizes starts."""
        return Backtracking(self.start, self.factor, state.extra.scale)

    def hidden_penalty(self, state: State) -> float:
        """``nu``."""
        return state.extra.rho if self.nu is None else self.nu

    def penalty(self, state: State, problem: Problem, i: int) -> float:
        """``c_l``: ``rho`` for the last layer, ``nu`` for the others."""
        return state.extra.rho if i + 1 == len(problem.layers) else self.hidden_penalty(state)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The augmented Lagrangian by terms, and ``||E_l||``, ``||D_l||``."""
        terms, layers = measure(problem, state, batch), range(len(problem.layers))
        parts = terms.penalty([self.penalty(state, problem, i) for i in layers], self.hidden_penalty(state))
        product = batch.sum((dual(state) * linear_residual(problem, state, batch, layers[-1])).sum())
        return parts | {"dual": product}, terms.residuals()

    def scalars(self, state: State) -> dict[str, float]:
        """The present ``rho``."""
        return {"rho": state.extra.rho}
