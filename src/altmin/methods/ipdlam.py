"""iPDLAM and DLAM: alternating minimisation of the penalty objective, with inertia and a growing penalty.

Qiao, Sun, Pan and Li, "Inertial proximal deep learning alternating minimization for efficient neural network training"
(ICASSP 2021), Algorithm 1.
"""

from __future__ import annotations

import math
import warnings
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
from altmin.errors import InertiaWarning
from altmin.methods import exact
from altmin.methods.base import Method
from altmin.solvers.backtracking import Backtracking, weights_step
from altmin.solvers.weight_least_squares import fit_weights, gram, intercept, statistics


class Memory(NamedTuple):
    """What iPDLAM keeps beside the variables.

    Attributes:
        before: The iterate before the present one, which inertia extrapolates from; `None` without a proximal term.
        gram: ``X^T X``, once a full batch has been seen.
    """

    before: State | None
    gram: Tensor | None = None


@dataclass(frozen=True)
class IPDLAM(Method):
    """Minimise ``R + sum Omega + rho/2 (sum_l ||E_l||^2 + sum_{l<L} ||D_l||^2)`` block by block, with inertia.

    Every block is minimised exactly, with ``delta rho/2 ||v - v^||^2`` added, ``v^ = v_k + m (v_k - v_{k-1})``, ``m``
    one of `alpha` (Z), `beta` (W, b), `gamma` (A). Where `rho_max` is given,
    the penalty grows towards it by `theta` once an epoch.

    Deviations: with an l1 regulariser the weights take one step of P4 in place of the exact minimiser. The paper's
    intercept is that of one sample; here it is the minimiser over the batch (P7). Without a proximal term
    (``delta = 0``) the weights' ridge is the square root of the machine precision, relative, and centred at the present
    weights.
    """

    batched = True
    default_batch = None
    cure = "inertial factors below 1, a larger `delta`, or a smaller `theta`"

    alpha: float = number(0.7, "inertia of Z", least=0.0, paper="0.2, 0.5, 0.7")
    beta: float = number(0.7, "inertia of W and b", least=0.0, paper="equal to alpha")
    gamma: float = number(0.7, "inertia of A", least=0.0, paper="equal to alpha")
    delta: float = number(1.0, "weight of the proximal terms", least=0.0, paper="1")
    rho: float = number(1.0, "penalty at the start", above=0.0, paper="not given")
    theta: float = number(1.1, "growth of the penalty once an epoch, where rho_max is given", least=1.0, paper="1.1")
    rho_max: float | None = number(
        None, "largest penalty; none: rho, which then stays", above=0.0, optional=True, paper="not given"
    )
    order: str = number("increase", "order of the updates", choices=("increase", "reverse", "nested"), paper="increase")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.limit < self.rho:
            raise ValueError(f"`rho_max` must be >= `rho` ({self.rho:g}), got {self.rho_max:g}")
        large = [
            f"`{name}` = {getattr(self, name):g}" for name in ("alpha", "beta", "gamma") if getattr(self, name) >= 1
        ]
        if large:
            text = f"{', '.join(large)}: inertial factors of 1 or more diverge (iPDLAM, Table 1)"
            warnings.warn(text, InertiaWarning, stacklevel=3)

    @property
    def limit(self) -> float:
        """The largest penalty."""
        return self.rho if self.rho_max is None else self.rho_max

    def penalty(self, state: State) -> float:
        """``rho`` in the present epoch."""
        growth = state.epoch * math.log(self.theta)
        return self.limit if growth >= math.log(self.limit / self.rho) else self.rho * math.exp(growth)

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """``Z``, ``A`` by a forward pass, and a previous iterate equal to the first."""
        state = with_forward(problem, start, batch.x)
        before = None if self.delta == 0 else _copied(state)
        return replace(state, extra=Memory(before))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration of Algorithm 1 on the rows of `batch`.

        ``Z``, ``A`` and the iterate before them are written in place: with a proximal term the memory of the iterate
        before becomes the next one's, and `state` is the one before that, else `state` is overwritten.
        """
        whole, state = state, taken(state, batch)
        layers = range(len(problem.layers))
        if self.order == "nested":
            for i in reversed(layers):
                if i < layers[-1]:
                    state = self.update_a(problem, state, batch, i)
                state = self.update_z(problem, state, batch, i)
                state = self.update_W(problem, state, batch, i)
        else:
            layers = layers if self.order == "increase" else layers[::-1]
            for i in layers:
                state = self.update_z(problem, state, batch, i)
            for i in layers:
                state = self.update_W(problem, state, batch, i)
            for i in layers:
                if i + 1 < len(layers):
                    state = self.update_a(problem, state, batch, i)
        return replace(returned(state, whole, batch), k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    def update_z(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """Steps 4 and 5 of Algorithm 1: ``Z_l`` by P1, ``Z_L`` by P2."""
        hat = ahead(state, "z", i, self.alpha)
        if i + 1 < len(state.z):
            return moved(state, "z", i, exact.update_z(problem, state, batch, i, hat=hat, d=self.delta))
        v, weight = prediction(problem, state, batch, i), 1 + self.delta
        v = v if hat is None else v.lerp_(hat, self.delta / weight)
        return moved(state, "z", i, problem.loss.prox(v, self.penalty(state) * weight, batch.y, state.z[i]))

    def update_W(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """Step 6: ``W_l`` by P3 (P4 with an l1 regulariser), then ``b_l`` by P7."""
        map, known = problem.layers[i].map, None
        if i == 0 and batch.rows is None:
            known = state.extra.gram if state.extra.gram is not None else gram(map, batch.x, batch)
            state = replace(state, extra=state.extra._replace(gram=known))
        W, residual, count = self.weights(problem, state, batch, i, known)
        state = moved(state, "W", i, W)
        if not map.bias:
            return state
        return moved(state, "b", i, intercept(residual, count, 1.0, self.delta, ahead(state, "b", i, self.beta)))

    def weights(
        self, problem: Problem, state: State, batch: Batch, i: int, known: Tensor | None
    ) -> tuple[Tensor, Tensor, int]:
        """``W_l``, and what the intercept needs: ``sum_i (Z_i - W A_i)`` and the number of rows."""
        map, omega, rho, name = problem.layers[i].map, problem.regularizer, self.penalty(state), f"W_{i + 1}"
        a, z, d = layer_input(state, batch, i), regression_target(problem, state, batch, i), rho * self.delta
        now, b, hat = state.W[i], state.b[i], ahead(state, "W", i, self.beta)
        if omega.curvature is not None:
            center, d = omega.complete_square(now if hat is None else hat, d)
            return fit_weights(map, a, z, b, center, rho, d, batch, known, name)
        s = statistics(map, a, z, batch, known)
        W = weights_step(now, s.gram, rho * s.targets(b), rho, omega, Backtracking(), center=hat, d=d, block=name)
        return W, s.mean_residual(W), s.count

    def update_a(self, problem: Problem, state: State, batch: Batch, i: int) -> State:
        """Step 7: ``A_l`` by P5."""
        hat = ahead(state, "a", i, self.gamma)
        return moved(state, "a", i, exact.update_a(problem, state, batch, i, hat=hat, d=self.delta))

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """Those of a full batch."""
        return least_squares(n)

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """``Phi_rho`` of equation (2) by terms, and ``||E_l||``, ``||D_l||``."""
        terms, rho = measure(problem, state, batch), self.penalty(state)
        return terms.penalty([rho] * len(problem.layers), rho), terms.residuals()

    def scalars(self, state: State) -> dict[str, float]:
        """The present ``rho``."""
        return {"rho": self.penalty(state)}


@dataclass(frozen=True)
class DLAM(IPDLAM):
    """iPDLAM without inertia and without a proximal term: plain alternating minimisation of the penalty objective."""

    alpha: float = number(0.0, "inertia of Z", least=0.0, paper="0")
    beta: float = number(0.0, "inertia of W and b", least=0.0, paper="0")
    gamma: float = number(0.0, "inertia of A", least=0.0, paper="0")
    delta: float = number(0.0, "weight of the proximal terms", least=0.0, paper="0; 5 in the code it refers to")


def ahead(state: State, name: str, i: int, factor: float) -> Tensor | None:
    """``v^ = v_k + m (v_k - v_{k-1})`` of a block; `None` where there is no proximal term to use it.

    For ``Z`` and ``A`` it takes the place of ``v_{k-1}``, of which there is no more need.
    """
    if state.extra.before is None:
        return None
    now, before = getattr(state, name)[i], getattr(state.extra.before, name)[i]
    return torch.lerp(before, now, 1.0 + factor, out=before if name in "za" else None)


def moved(state: State, name: str, i: int, new: Tensor) -> State:
    """The state with `new` in the place of a variable, whose present value becomes the previous one."""
    memory = state.extra
    if memory.before is not None:
        memory = memory._replace(before=put(memory.before, **{name: (i, getattr(state, name)[i])}))
    return replace(put(state, **{name: (i, new)}), extra=memory)


def taken(state: State, batch: Batch) -> State:
    """The state of the batch's samples alone: copies, but the state itself where the batch has all."""
    if batch.rows is None:
        return state
    before = state.extra.before
    before = None if before is None else _copied(before.samples(batch.rows))
    return replace(_copied(state.samples(batch.rows)), extra=state.extra._replace(before=before))


def returned(part: State, whole: State, batch: Batch) -> State:
    """`part` with the samples of `whole`, in which those of the batch are written."""
    if batch.rows is None:
        return part
    now, before = _written(part, whole, batch), part.extra.before
    before = None if before is None else _written(before, whole.extra.before, batch)
    return replace(now, extra=part.extra._replace(before=before))


def _written(part: State, whole: State, batch: Batch) -> State:
    for into, values in zip(whole.z + whole.a, part.z + part.a, strict=True):
        into[batch.rows] = values
    return replace(part, z=whole.z, a=whole.a)


def _copied(state: State) -> State:
    z, a = (tuple(t.clone() for t in group) for group in (state.z, state.a))
    return replace(state, z=z, a=a)
