"""mDLAM: multi-convex DLAM, plain and accelerated.

"Gradient-free neural network training by multi-convex alternating optimization" (under review at ICLR 2020), Algorithms
1 to 3; accelerated and named mDLAM by Wang, Li and Zhao (Neurocomputing 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from altmin.checks import number
from altmin.core.problem import Problem
from altmin.core.state import Iterate, State
from altmin.methods.base import Method
from altmin.methods.registry import method
from altmin.solvers.backtracking import Backtracking
from altmin.sweep import Penalty, Sweep
from altmin.sweep.schedule import Band


@method("mdlam", title="multi-convex DLAM, accelerated", paper="Wang, Li, Zhao (Neurocomputing 2022)")
@dataclass(frozen=True)
class MDLAM(Method):
    """Minimise ``R + sum Omega + rho/2 sum_l ||E_l||^2`` subject to ``|A_l - s_l(Z_l)| <= eps``, ``l < L``.

    For fixed ``eps`` the objective never rises (Lemma 1). With `accelerated`, ``W_l`` and ``A_l`` first move on by
    ``(t_{k-1} - 1)/t_k`` of their last change, ``t_k = (1 + sqrt(1 + 4 t_{k-1}^2))/2``; a block (for ``A_l``: a sample)
    whose objective rose takes the plain update instead. Several `eps` keep their proportions, and the widest one
    follows the loss.

    Deviations: ``A_l`` is clipped to its band inside the backtracking, which solves the paper's equation (6); its
    Algorithm 3 prints steps that are short enough to end within the band by themselves (``clip=False``). Where ``eps``
    changes, ``A_l`` is first clipped too. The step sizes are found without trial steps and, by default, start from the
    exact quotient and not from 1; that of W a tenth above it (`damping`), since momentum overshoots with the exact line
    search: this halves the iterations. Intercepts are exact minimisers, means over the samples, where the paper prints
    a gradient step of length ``1/rho``. The prox of cross-entropy is found by Newton's method, where the paper has
    FISTA (``"cross_entropy:fista"``).

    Example:
        >>> MDLAM(accelerated=False).momentum(1.0)[0]
        0.0
    """

    discrete = True
    weighs = True
    cure = "a smaller `rho`, or `eps_rule='fixed'`"
    monotone = True
    reuse = 0, 1, 1

    rho: float = number(1e-6, "penalty", above=0.0, paper="1e-4")
    eps: float | tuple[float, ...] = number(
        10.0, "half-width of the band, or each layer's, at first", above=0.0, each=True, paper="10; authors' code: 100"
    )
    eps_rule: str = number(
        "mean",
        "how eps follows the loss R: its mean or its sum over samples, eps/2 down to 0.001, or not at all",
        choices=("mean", "sum", "halving", "fixed"),
        paper="mean or sum: left open; the authors' code: halving",
    )
    clip: bool = number(True, "clip A to its band, or else shorten its step", paper="on (eq. 6) or off (Algorithm 3)")
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.clip or self.per_sample):
            raise ValueError("`clip` must be True where `per_sample` is False: samples have their own short steps")

    def check(self, problem: Problem) -> None:
        """Refuse activations that fall, whose band has no interval, and another number of bands."""
        super().check(problem)
        hidden = len(problem.layers) - 1
        if isinstance(self.eps, tuple) and len(self.eps) != hidden:
            raise ValueError(f"`eps` must have a number for each of the {hidden} hidden layers, got {self.eps}")

    def penalty(self, sweep: Sweep[Band]) -> Penalty:
        """``rho`` for the linear residuals; those of the activations are held by the band."""
        return Penalty(linear=self.rho, band=sweep.memory.eps)

    def search(self, sweep: Sweep[Any]) -> Backtracking:
        """From `start`, or from the exact quotient."""
        return Backtracking(self.start, self.factor, per_sample=self.per_sample)

    def init(self, sweep: Sweep[Any]) -> None:
        """``Z``, ``A`` by a forward pass."""
        super().init(sweep)
        sweep.state.memory = Band(max(self.eps) if isinstance(self.eps, tuple) else self.eps)
        if self.accelerated:
            sweep.state.previous = Iterate(W=sweep.state.W, a=sweep.state.a).clone()

    def step(self, sweep: Sweep[Band]) -> None:
        """One sweep of Algorithm 1 over the layers, first to last."""
        self.update_eps(sweep)
        ahead, sweep.memory.t = self.momentum(sweep.memory.t)
        damping = self.damping if self.start is None else 1.0
        *hidden, last = sweep.layers
        for layer, eps in zip(hidden, self.bands(sweep), strict=True):
            layer.step_W(ahead, damping)
            layer.solve_b()
            layer.solve_z_in_band(eps)
            layer.step_a(ahead, band=eps, clip=self.clip)
        last.step_W(ahead, damping)
        last.solve_b()
        last.solve_z()

    def bands(self, sweep: Sweep[Band]) -> list[float]:
        """``eps_l`` of each hidden layer."""
        eps = self.eps if isinstance(self.eps, tuple) else (self.eps,) * (len(sweep.layers) - 1)
        return [sweep.memory.eps * (own / max(eps)) for own in eps]

    def momentum(self, t: float) -> tuple[float, float]:
        """``(t_{k-1} - 1)/t_k`` and ``t_k``; no momentum in the plain version."""
        after = (1 + math.sqrt(1 + 4 * t * t)) / 2
        return ((t - 1) / after if self.accelerated else 0.0), after

    def update_eps(self, sweep: Sweep[Band]) -> None:
        """The rule for ``eps`` before a sweep (section 4.1), and ``A_l`` clipped to the new band where it changed."""
        before, sweep.memory.eps = sweep.memory.eps, self.next_eps(sweep)
        if sweep.memory.eps != before:
            for layer, eps in zip(sweep.layers, self.bands(sweep), strict=False):
                layer.clip_a(eps)

    def next_eps(self, sweep: Sweep[Band]) -> float:
        """``eps`` of the next sweep from the loss at ``Z_L`` as printed, or by the authors' code."""
        eps, batch = sweep.memory.eps, sweep.batch
        if self.eps_rule in ("fixed", "halving"):
            return eps if self.eps_rule == "fixed" else max(eps / 2, 0.001)
        R = float(batch.sum(batch.loss(sweep.problem.loss, sweep.state.z[-1])))
        R = R / batch.count if self.eps_rule == "mean" else R
        if 10 * eps < R:
            return max(2 * eps, 1.0)
        return min(eps / 2, 0.01) if eps > 10 * R else eps

    def scalars(self, state: State[Band]) -> dict[str, float]:
        """``eps`` of the iteration."""
        return {"eps": state.memory.eps}
