"""Gradient descent on each layer's own objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.online.rules.gradient import GradientRule


@dataclass(frozen=True)
class SGD(GradientRule):
    """Gradient steps, with momentum where asked, on the layers' own objectives: AM-SGD.

    Example:
        >>> SGD(0.1, momentum=0.9).momentum
        0.9
    """

    lr: float = number(0.1, "learning rate of the weights", above=0.0)
    momentum: float = number(0.0, "momentum of the weights", least=0.0, most=1.0)

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.SGD` of `params`, by its fused kernel."""
        return torch.optim.SGD(list(params), lr=self.lr, momentum=self.momentum, fused=True)
