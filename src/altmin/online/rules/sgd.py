"""Gradient descent on each layer's own objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.layerwise.function import LayerFunction
from altmin.online.rules.gradient import GradientRule, OptimizerMemory
from altmin.online.targets import LayerGradient
from altmin.regularizers import Regularizer


@dataclass(frozen=True)
class SGD(GradientRule):
    """Gradient steps, with momentum where asked, on the layers' own objectives: AM-SGD.

    With a `radius`, each layer's weights and intercept together stay in the ball of that radius around their start: a
    step that leads out of it ends at the nearest point, as in equation 8 of Choromanska et al. (ICML 2019), which
    their Theorem 3.2 is about. With ``OnlineAM(decay="1/t")`` the steps fall as they do there.

    Example:
        >>> SGD(0.1, momentum=0.9).momentum
        0.9
    """

    lr: float = number(0.1, "learning rate of the weights", above=0.0)
    momentum: float = number(0.0, "momentum of the weights", least=0.0, most=1.0)

    radius: float | None = number(
        None,
        "how far a layer may move from its start; none: any distance",
        above=0.0,
        optional=True,
        paper="none in Algorithms 1 to 3, the radius of Theorem 3.2",
    )

    def init(self, functions: Sequence[LayerFunction]) -> OptimizerMemory:
        """The optimiser, and with a `radius` a copy of the layers' parameters."""
        memory = super().init(functions)
        if self.radius is not None:
            memory.centres = [[p.detach().clone() for p in function.params()] for function in functions]
        return memory

    def step(
        self, memory: OptimizerMemory, gradients: Sequence[LayerGradient], omega: Regularizer, factor: float = 1.0
    ) -> None:
        """See `GradientRule`; with a `radius` each layer then goes back to the nearest point of its ball."""
        super().step(memory, gradients, omega, factor)
        if self.radius is not None:
            for layer, centre in zip(gradients, memory.centres, strict=True):
                project(layer.function.params(), centre, self.radius)

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.SGD` of `params`, by its fused kernel."""
        return torch.optim.SGD(list(params), lr=self.lr, momentum=self.momentum, fused=True)


def project(params: Sequence[Tensor], centre: Sequence[Tensor], radius: float) -> None:
    """``argmin sum ||v - p||^2`` subject to ``sum ||v - centre||^2 <= radius^2``, written into `params`."""
    moves = [p - c for p, c in zip(params, centre, strict=True)]
    size = torch.stack([move.square().sum() for move in moves]).sum().sqrt()
    share = (radius / size).clamp_max(1.0)
    for p, c, move in zip(params, centre, moves, strict=True):
        p.copy_(torch.where(share < 1.0, c + share * move, p))
