"""iPDLAM and DLAM: alternating minimisation of the penalty objective, with inertia and a growing penalty.

Qiao, Sun, Pan and Li, "Inertial proximal deep learning alternating minimization for efficient neural network training"
(ICASSP 2021), Algorithm 1.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

from altmin.checks import number
from altmin.core.memory import Memory
from altmin.core.state import Iterate, State
from altmin.errors import InertiaWarning
from altmin.methods.base import Method
from altmin.methods.registry import method
from altmin.sweep import LayerView, Penalty, Sweep

PAPER = "Qiao et al. (ICASSP 2021)"


@dataclass(eq=False)
class Growing(Memory):
    """What iPDLAM keeps beside the variables: ``rho`` of the present epoch."""

    rho: float


@method("ipdlam", title="inertial proximal DLAM", paper=PAPER, loss="squared", epochs=50)
@dataclass(frozen=True)
class IPDLAM(Method):
    """Minimise ``R + sum Omega + rho/2 (sum_l ||E_l||^2 + sum_{l<L} ||D_l||^2)`` block by block, with inertia.

    Every block is minimised exactly, with ``delta rho/2 ||v - v^||^2`` added, ``v^ = v_k + m (v_k - v_{k-1})``, ``m``
    one of `alpha` (Z), `beta` (W, b), `gamma` (A). Where `rho_max` is given, the penalty grows towards it by `theta`
    once an epoch.

    Deviations: with an l1 regulariser the weights take one majorised step in place of the exact minimiser. The paper's
    intercept is that of one sample; here it is the minimiser over the batch. Without a proximal term (``delta = 0``)
    the weights' ridge is the square root of the machine precision, relative, and centred at the present weights. By
    default ``rho`` does not grow (``rho_max`` is none), where the paper has ``theta = 1.1`` in every iteration.

    Example:
        >>> IPDLAM(alpha=0.5, beta=0.5, gamma=0.5, rho=1.0, theta=2.0, rho_max=8.0).rho_at(epoch=9)
        8.0
    """

    batched = True
    weighs = True
    discrete = True
    cure = "inertial factors below 1, a larger `delta`, or a smaller `theta`"

    alpha: float = number(0.7, "inertia of Z", least=0.0, paper="0.2, 0.5, 0.7")
    beta: float = number(0.7, "inertia of W and b", least=0.0, paper="equal to alpha")
    gamma: float = number(0.7, "inertia of A", least=0.0, paper="equal to alpha")
    delta: float = number(1.0, "weight of the proximal terms, relative to rho", least=0.0, paper="1")
    rho: float = number(1.0, "penalty at the start", above=0.0, paper="not given")
    theta: float = number(1.1, "growth of the penalty once an epoch, where rho_max is given", least=1.0, paper="1.1")
    rho_max: float | None = number(
        None, "largest penalty; none: rho, which then stays", above=0.0, optional=True, paper="not given"
    )
    order: str = number("increase", "order of the updates", choices=("increase", "reverse", "nested"), paper="increase")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho_max is not None and self.rho_max < self.rho:
            raise ValueError(f"`rho_max` must be >= `rho` ({self.rho:g}), got {self.rho_max:g}")
        factors = {name: getattr(self, name) for name in ("alpha", "beta", "gamma")}
        large = [f"`{name}` = {factor:g}" for name, factor in factors.items() if factor >= 1]
        if large:
            text = f"{', '.join(large)}: with inertial factors of 1 or more the paper's runs diverge (its Table 1)"
            warnings.warn(text, InertiaWarning, stacklevel=3)

    def rho_at(self, epoch: int) -> float:
        """``min(rho theta^epoch, rho_max)`` for the epoch, counted from 0; `rho` itself without a `rho_max`."""
        limit = self.rho if self.rho_max is None else self.rho_max
        growth = epoch * math.log(self.theta)
        return limit if growth >= math.log(limit / self.rho) else self.rho * math.exp(growth)

    def penalty(self, sweep: Sweep[Growing]) -> Penalty:
        """``rho`` of the present epoch for every residual."""
        return Penalty(linear=sweep.memory.rho, activation=sweep.memory.rho)

    def init(self, sweep: Sweep[Any]) -> None:
        """``Z``, ``A`` by a forward pass, and a previous iterate equal to the first."""
        super().init(sweep)
        state = sweep.state
        state.memory = Growing(self.rho)
        if self.delta > 0:
            state.previous = Iterate(state.W, state.b, state.z, state.a).clone()

    def step(self, sweep: Sweep[Growing]) -> None:
        """One iteration of Algorithm 1: ``Z``, then ``W`` and ``b``, then ``A``, or all layer by layer (`order`)."""
        sweep.memory.rho = self.rho_at(sweep.state.epoch)
        layers = sweep.layers if self.order == "increase" else sweep.layers[::-1]
        families = (self.update_z, self.update_weights, self.update_a)
        if self.order == "nested":
            for layer in layers:
                self.update_a(layer)
                self.update_z(layer)
                self.update_weights(layer)
        else:
            for update in families:
                for layer in layers:
                    update(layer)

    def update_z(self, layer: LayerView) -> None:
        """Steps 4 and 5 of Algorithm 1."""
        layer.solve_z(prox=self.delta * layer.c, inertia=self.alpha)

    def update_weights(self, layer: LayerView) -> None:
        """Step 6: ``W_l``, then ``b_l``."""
        layer.solve_weights(prox=self.delta * layer.c, inertia=self.beta)

    def update_a(self, layer: LayerView) -> None:
        """Step 7; the last layer has no activation."""
        if not layer.last:
            layer.solve_a(prox=self.delta * layer.c, inertia=self.gamma)

    def scalars(self, state: State[Growing]) -> dict[str, float]:
        """``rho`` of the iteration."""
        return {"rho": state.memory.rho}


@method("dlam", title="alternating minimisation of the penalty objective", paper=PAPER, loss="squared", epochs=50)
@dataclass(frozen=True)
class DLAM(IPDLAM):
    """iPDLAM without inertia and without a proximal term: plain alternating minimisation of the penalty objective.

    Deviations: as `IPDLAM`.

    Example:
        >>> DLAM().delta
        0.0
    """

    alpha: float = number(0.0, "inertia of Z", least=0.0, paper="0")
    beta: float = number(0.0, "inertia of W and b", least=0.0, paper="0")
    gamma: float = number(0.0, "inertia of A", least=0.0, paper="0")
    delta: float = number(
        0.0, "weight of the proximal terms, relative to rho", least=0.0, paper="0; 5 in the code it refers to"
    )
