"""dlADMM: ADMM with backward and forward sweeps.

Wang, Yu, Chen and Zhao, "ADMM for efficient deep learning with global convergence" (KDD 2019), Algorithms 1 to 3.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from altmin.checks import number
from altmin.core.forward import outputs
from altmin.core.state import State
from altmin.errors import PenaltyWarning
from altmin.methods.base import Method
from altmin.methods.registry import method
from altmin.solvers.backtracking import Backtracking
from altmin.sweep import Penalty, Sweep
from altmin.sweep.schedule import Schedule


@method("dladmm", title="ADMM with backward and forward sweeps", paper="Wang et al. (KDD 2019)")
@dataclass(frozen=True)
class DLADMM(Method):
    """Minimise ``R + sum Omega + nu/2 sum_{l<L} (||E_l||^2 + ||D_l||^2)`` subject to ``E_L = 0``.

    Each iteration minimises the augmented Lagrangian, ``+ <U, E_L> + rho/2 ||E_L||^2``, over the blocks of the layers
    from last to first and from first to last, and then moves the dual variable, ``U += rho E_L``. Proved to converge
    for ``rho > 2H``, `H` the Lipschitz constant of the loss's gradient; where that does not hold, a `PenaltyWarning`
    says so.

    Deviations: the dual step has ``Z_L``, where the paper prints ``a_L``. The first trial of a weight step includes the
    regulariser's prox. Step sizes are found without trial steps and start from the exact quotient, not from 1.
    Intercepts are means over the samples, where the paper prints a gradient step of length ``1/nu`` (``1/rho``). The
    proxes of cross-entropy and smooth activations are found by Newton's method, where the paper has FISTA (the loss
    ``"cross_entropy:fista"``) and a look-up table; all are exact. ``rho`` ends at 0.1 or `rho_max`, and outputs start
    by `outputs`: of these, the paper says nothing. ``DLADMM(nu=None, schedule="adaptive", start=1.0, outputs="signs")``
    are the authors' code's numbers.

    Example:
        >>> method = DLADMM(rho=2.0, nu=1.0, schedule="constant")
    """

    discrete = True
    weighs = True
    cure = "a larger `rho` (the proof needs rho > 2H)"
    reuse = 1, 2, 7

    rho: float = number(1e-6, "penalty of the last layer at the start", above=0.0, paper="1e-6")
    nu: float | None = number(1e-6, "penalty of hidden layers; none: rho", above=0.0, optional=True, paper="1e-6")
    schedule: str = number(
        "steps",
        "how rho grows: not, tenfold every 100 iterations, or tenfold where the loss rose three times in a row",
        choices=("constant", "steps", "adaptive"),
        paper="steps; the authors' code: adaptive",
    )
    rho_max: float | None = number(
        None, "largest rho; none: 0.1, or rho itself", above=0.0, optional=True, paper="none; the authors' code: 0.1"
    )
    per_sample: bool = number(True, "a step size of A for each sample, not one for all", paper="a parameter vector")
    start: float | None = number(
        None, "first trial of a step size; none: the exact quotient", above=0.0, optional=True, paper="1"
    )
    outputs: str = number(
        "forward",
        "the outputs Z_L at the start: of a forward pass, or 1 for a sample's class and -1 for the others",
        choices=("forward", "signs"),
        paper="not given; the authors' code: signs",
    )
    factor: float = number(2.0, "growth of a step size that failed", above=1.0, paper="not given; the authors' code: 2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho_max is not None and self.rho_max < self.rho:
            raise ValueError(f"`rho_max` must be >= `rho` ({self.rho:g}), got {self.rho_max:g}")

    def penalty(self, sweep: Sweep[Schedule]) -> Penalty:
        """``nu`` for the hidden layers, ``rho`` for the last one."""
        nu = sweep.memory.rho if self.nu is None else self.nu
        return Penalty(linear=nu, activation=nu, last=sweep.memory.rho)

    def search(self, sweep: Sweep[Schedule]) -> Backtracking:
        """From `start`, or from the exact quotient."""
        return Backtracking(self.start, self.factor, sweep.memory.scale, self.per_sample)

    def init(self, sweep: Sweep[Any]) -> None:
        """``Z``, ``A`` by a forward pass, ``Z_L`` perhaps the labels' signs (`outputs`), ``U = 0``."""
        H = sweep.problem.loss.lipschitz
        if self.rho <= 2 * H:
            bound = f"not above 2H = {2 * H:g}" if math.isfinite(H) else "of no avail: the loss is not smooth"
            text = f"`rho` = {self.rho:g} is {bound}; dlADMM is proved to converge for rho > 2H"
            warnings.warn(text, PenaltyWarning, stacklevel=2)
        super().init(sweep)
        if self.outputs == "signs":
            sweep.state.z[-1] = sweep.problem.loss.signs(sweep.batch.y)
        sweep.state.u = torch.zeros_like(sweep.state.z[-1])
        sweep.state.memory = Schedule(self.rho)

    def step(self, sweep: Sweep[Schedule]) -> None:
        """One iteration of Algorithm 1."""
        if sweep.state.k > 0:
            self.update_rho(sweep)
        for layer in reversed(sweep.layers):
            if not layer.last:
                layer.step_a()
            layer.solve_z()
            layer.solve_b()
            layer.step_W()
        for layer in sweep.layers:
            layer.step_W()
            layer.solve_b()
            layer.solve_z()
            if not layer.last:
                layer.step_a()
        sweep.ascend_dual(sweep.memory.rho)

    def update_rho(self, sweep: Sweep[Schedule]) -> None:
        """The schedule of ``rho``, before every iteration but the first."""
        if self.schedule == "steps":
            sweep.memory.count(sweep.state.k, self.limit)
        if self.schedule == "adaptive":
            problem, batch = sweep.problem, sweep.batch
            loss = batch.sum(batch.loss(problem.loss, outputs(problem, sweep.state, batch.x)))
            sweep.memory.watch(float(loss), self.limit)

    @property
    def limit(self) -> float:
        """The largest ``rho`` of the schedules."""
        return max(0.1, self.rho) if self.rho_max is None else self.rho_max

    def scalars(self, state: State[Schedule]) -> dict[str, float]:
        """``rho`` of the iteration."""
        return {"rho": state.memory.rho}
