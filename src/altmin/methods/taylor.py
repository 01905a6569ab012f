"""ADMM without gradients, one forward sweep an iteration.

Taylor, Burmeister, Xu, Singh, Patel and Goldstein, "Training neural networks without gradients: a scalable ADMM
approach" (ICML 2016), Algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from altmin.checks import number
from altmin.draws import to_draw
from altmin.methods.base import Method
from altmin.methods.registry import method
from altmin.sweep import Penalty, Sweep


@method("taylor", title="ADMM without gradients", paper="Taylor et al. (ICML 2016)", loss="hinge")
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

    Deviations: the paper has no intercepts; where a layer has one, it is solved for together with the weights. It has
    no regularisers and no residual connections either. Under l1 the weights are found by at most a hundred sweeps of
    coordinate descent. The pseudo-inverse is a ridge at rounding level centred at the present weights, or `ridge` where
    that is positive. A layer's first activations are solved for with the start's weights above it, which the paper
    leaves open. Below max pooling the activations' block is not convex: it is lowered, not minimised.

    Example:
        >>> TaylorADMM(beta=582.8, gamma=54.15).start
        'gaussian'
    """

    quadratic = True
    sparse = True
    weighs = True
    cure = "a longer `warmup` or a larger `beta`"
    reuse = 0, 0, 1

    beta: float = number(1.0, "penalty of the linear residuals", above=0.0, paper="1")
    gamma: float = number(10.0, "penalty of the activation residuals", above=0.0, paper="10")
    warmup: int = number(10, "iterations in which the multiplier stays zero", least=0, paper="not given")
    start: str = number("gaussian", "Z and A at the start", choices=("gaussian", "forward"), paper="gaussian")
    scale: float = number(0.03, "standard deviation of a gaussian start", above=0.0, paper="not given")
    ridge: float = number(0.0, "proximal weight of W; 0: at rounding level", least=0.0, paper="0: a pseudo-inverse")

    def penalty(self, sweep: Sweep[Any]) -> Penalty:
        """Squares count whole, so that the weights of half squares are twice ``beta`` and ``gamma``."""
        return Penalty(linear=2 * self.beta, activation=2 * self.gamma, dual="outputs")

    def init(self, sweep: Sweep[Any]) -> None:
        """``Z``, ``A`` drawn from the state's generator or by a forward pass, ``Lambda = 0``."""
        super().init(sweep)
        state = sweep.state
        if self.start == "gaussian":
            for group in (state.z, state.a):
                group[:] = [self._draw(t, state.generator) for t in group]
        state.u = torch.zeros_like(state.z[-1])

    def step(self, sweep: Sweep[Any]) -> None:
        """One iteration of Algorithm 1."""
        *hidden, last = sweep.layers
        for layer in hidden:
            layer.solve_weights(prox=2 * self.ridge, jointly=True, exactly=True)
            layer.solve_a()
            layer.solve_z()
        last.solve_weights(prox=2 * self.ridge, jointly=True, exactly=True)
        last.solve_z()
        if sweep.state.k >= self.warmup:
            sweep.ascend_dual(self.beta)

    def _draw(self, like: Tensor, generator: torch.Generator | None) -> Tensor:
        return to_draw(like, generator).normal_(generator=generator).mul_(self.scale).to(like.device)
