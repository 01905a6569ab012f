"""iPDLAM and DLAM: alternating minimisation of the penalty objective, with inertia and a growing penalty.

Qiao, Sun, Pan and Li, "Inertial proximal deep learning alternating minimization for efficient neural network training"
(ICASSP 2021), Algorithm 1.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from altmin.checks import number
from altmin.errors import InertiaWarning
from altmin.methods.base import Method
from altmin.objective import followers, mean_of, measure
from altmin.problem import Batch, Problem
from altmin.regularizers import L2, NoRegularizer, complete_square
from altmin.solvers.majorize import Backtracking, weights_step
from altmin.solvers.pullback import solve_activations
from altmin.solvers.ridge import fit_weights, gram, intercept, statistics
from altmin.state import State, per_channel, skipped, with_forward


class Previous(NamedTuple):
    """The iterate before the present one, which inertia extrapolates from, and ``X^T X`` of a full batch."""

    W: tuple[Tensor, ...]
    b: tuple[Tensor, ...]
    z: tuple[Tensor, ...]
    a: tuple[Tensor, ...]
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
        if self.delta == 0:
            return replace(state, extra=Previous((), (), (), ()))
        W, b, z, a = (tuple(t.clone() for t in group) for group in (state.W, state.b, state.z, state.a))
        return replace(state, extra=Previous(W, b, z, a))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration of Algorithm 1 on the rows of `batch`, whose ``Z`` and ``A`` are written in place."""
        sweep = _Sweep(self, problem, state, batch)
        layers = range(len(problem.layers))
        if self.order == "nested":
            for i in reversed(layers):
                if i < layers[-1]:
                    sweep.update_a(i)
                sweep.update_z(i)
                sweep.update_W(i)
        else:
            layers = layers if self.order == "increase" else layers[::-1]
            for i in layers:
                sweep.update_z(i)
            for i in layers:
                sweep.update_W(i)
            for i in layers:
                if i + 1 < len(layers):
                    sweep.update_a(i)
        return sweep.result()

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


class _Sweep:
    """One iteration's variables: the batch's rows of ``Z`` and ``A``, updated in turn."""

    def __init__(self, method: IPDLAM, problem: Problem, state: State, batch: Batch):
        self.method, self.problem, self.state, self.batch = method, problem, state, batch
        self.rho, self.last = method.penalty(state), len(problem.layers) - 1
        self.old = Previous(state.W, state.b, self.rows(state.z), self.rows(state.a))
        before: Previous = state.extra
        self.before = Previous(before.W, before.b, self.rows(before.z), self.rows(before.a))
        self.W, self.b, self.z, self.a = list(state.W), list(state.b), list(self.old.z), list(self.old.a)
        self.gram = before.gram if batch.rows is None else None

    def rows(self, group: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rows = self.batch.rows
        return group if rows is None else tuple(t[rows] for t in group)

    def ahead(self, name: str, i: int, factor: float) -> Tensor | None:
        """``v_k + m (v_k - v_{k-1})`` of a block; `None` where there is no proximal term to use it."""
        if self.method.delta == 0:
            return None
        now, before = getattr(self.old, name)[i], getattr(self.before, name)[i]
        return torch.lerp(before, now, 1.0 + factor)

    def input(self, i: int) -> Tensor:
        return self.batch.x if i == 0 else self.a[i - 1]

    def over(self, i: int) -> Tensor | None:
        return skipped(self.problem.layers[i], self.batch.x, self.z, self.a)

    def predict(self, i: int) -> Tensor:
        """``A_{l-1} W_l^T + b_l`` and what a residual connection adds."""
        z, over = self.problem.layers[i].map(self.W[i], self.b[i], self.input(i)), self.over(i)
        return z if over is None else z.add_(over)

    def pulls(self, kind: str, i: int) -> list[Tensor]:
        """What residual connections from ``Z_l`` or ``A_l`` draw it towards, at the same weight as its own residual."""
        group = self.z if kind == "z" else self.a  # the last layer has no activation, and none follow it
        return [group[i] + self.z[j] - self.predict(j) for j in followers(self.problem, kind, i)]

    def update_z(self, i: int) -> None:
        """Steps 4 and 5 of Algorithm 1."""
        layer, delta = self.problem.layers[i], self.method.delta
        v, weight = mean_of(self.predict(i), self.pulls("z", i))
        hat = self.ahead("z", i, self.method.alpha)
        if hat is not None:
            v.lerp_(hat, delta / (weight + delta))
        if i == self.last:
            self.z[i] = self.problem.loss.prox(v, self.batch.y, self.rho * (weight + delta), self.z[i])
        else:
            self.z[i] = layer.activation.solve_z(self.a[i], v, weight + delta)

    def update_W(self, i: int) -> None:
        """Step 6: ``W_l`` by P3 (P4 with an l1 regulariser), then ``b_l`` by P7."""
        layer, over, whole = self.problem.layers[i].map, self.over(i), self.batch.rows is None
        a, z = self.input(i), self.z[i] if over is None else self.z[i] - over
        if i == 0 and whole and self.gram is None:
            self.gram = gram(layer, a, self.batch)
        self.W[i], residual, count = self.weights(i, a, z, self.gram if i == 0 and whole else None)
        if layer.bias:
            self.b[i] = intercept(residual, count, 1.0, self.method.delta, self.ahead("b", i, self.method.beta))

    def weights(self, i: int, a: Tensor, z: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor, int]:
        layer, omega = self.problem.layers[i].map, self.problem.regularizer
        rho, d = self.rho, self.rho * self.method.delta
        hat, name = self.ahead("W", i, self.method.beta), f"W_{i + 1}"
        if not isinstance(omega, NoRegularizer | L2):
            s = statistics(layer, a, z, self.batch, known)
            pull = rho * s.targets(self.b[i])
            W = weights_step(self.W[i], s.gram, pull, rho, omega, Backtracking(), center=hat, d=d, block=name)
            return W, s.mean_residual(W), s.count
        center, d = complete_square(omega, self.W[i] if hat is None else hat, d)
        return fit_weights(layer, a, z, self.b[i], center, rho, d, self.batch, known, name)

    def update_a(self, i: int) -> None:
        """Step 7: ``A_l`` by P5."""
        above, over, now = self.problem.layers[i + 1].map, self.over(i + 1), self.a[i]
        target, weight = mean_of(self.problem.layers[i].activation(self.z[i]), self.pulls("a", i))
        v = self.z[i + 1] - per_channel(self.b[i + 1], self.z[i + 1])
        v = v if over is None else v.sub_(over)
        hat = self.ahead("a", i, self.method.gamma)
        self.a[i] = solve_activations(above, self.W[i + 1], v, target, now, 1.0, weight, hat, self.method.delta)

    def result(self) -> State:
        """The next state: the batch's rows are written, and the present ones become the previous ones."""
        state, before, rows = self.state, self.state.extra, self.batch.rows
        kept = Previous(state.W, state.b, before.z, before.a) if self.method.delta else before
        if rows is None:
            z, a = tuple(self.z), tuple(self.a)
            kept = kept._replace(z=state.z, a=state.a, gram=self.gram) if self.method.delta else kept
            kept = kept._replace(gram=self.gram)
        else:
            z, a = state.z, state.a
            self.write(kept.z + kept.a, self.old.z + self.old.a)
            self.write(z + a, (*self.z, *self.a))
        epoch = state.epoch + self.batch.ends_epoch
        return replace(state, W=tuple(self.W), b=tuple(self.b), z=z, a=a, k=state.k + 1, epoch=epoch, extra=kept)

    def write(self, into: tuple[Tensor, ...], values: tuple[Tensor, ...]) -> None:
        for whole, part in zip(into, values, strict=False):
            whole[self.batch.rows] = part
