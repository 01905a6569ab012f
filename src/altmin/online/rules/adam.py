"""Adam on each layer's own objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from altmin.checks import number
from altmin.online.rules.gradient import GradientRule

RATE = 0.032


@dataclass(frozen=True)
class Adam(GradientRule):
    """Adam on the layers' own objectives: AM-Adam.

    Kingma and Ba, "Adam: a method for stochastic optimization" (ICLR 2015, arXiv:1412.6980).

    Example:
        >>> Adam(lr=0.01).lr
        0.01
    """

    scale_free = True

    lr: float | None = number(
        None,
        "learning rate of the weights; none: 0.032 over the number of layers",
        above=0.0,
        optional=True,
        paper="0.002 for LeNet-5, 0.005 for the recurrent network; the authors' code: 0.008, halved every 8 epochs",
    )

    def at_depth(self, layers: int) -> Self:
        """With the learning rate for a network of so many layers, where none is set: all of them move at once."""
        return replace(self, lr=RATE / layers) if self.lr is None else self

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.Adam` of `params`, by its fused kernel."""
        return torch.optim.Adam(list(params), lr=RATE if self.lr is None else self.lr, fused=True)
