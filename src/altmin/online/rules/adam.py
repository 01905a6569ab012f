"""Adam on each layer's own objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.online.rules.gradient import GradientRule


@dataclass(frozen=True)
class Adam(GradientRule):
    """Adam on the layers' own objectives: AM-Adam.

    Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015, arXiv:1412.6980).

    Example:
        >>> Adam(lr=0.01).lr
        0.01
    """

    lr: float = number(
        0.002,
        "learning rate of the weights",
        above=0.0,
        paper="0.002 for LeNet-5, 0.005 for the recurrent network; the authors' code: 0.008, halved every 8 epochs",
    )

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.Adam` of `params`, by its fused kernel."""
        return torch.optim.Adam(list(params), lr=self.lr, fused=True)
