"""The smooth rectifier."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn

from altmin.activations.smooth import Smooth
from altmin.registration import converts


@converts(nn.Softplus)
class Softplus(Smooth):
    """The smooth rectifier ``s(z) = log(1 + exp z)``.

    Examples:
        >>> import torch
        >>> Softplus().derivative(torch.tensor([0.0]))
        tensor([0.5000])
    """

    def __init__(self):
        super().__init__(low=0.0, high=math.inf, curvature=0.25, active=40.0)

    @classmethod
    def of(cls, module: nn.Softplus) -> Self:
        """The activation of an `nn.Softplus` with ``beta = 1``.

        Raises:
            ValueError: Another ``beta``, or a threshold below 20, beyond which PyTorch's function is linear.
        """
        if module.beta != 1:
            raise ValueError(f"Softplus(beta={module.beta}) is not supported: only beta=1")
        if module.threshold < 20:
            raise ValueError(f"Softplus(threshold={module.threshold}) is not supported: only 20 and more")
        return cls()

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z) = log(1 + exp z)``, elementwise."""
        return torch.nn.functional.softplus(z, threshold=50.0)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s' = sigmoid(z), s'' = sigmoid(z) (1 - sigmoid(z))`` at `z`."""
        slope = torch.sigmoid(z)
        return torch.nn.functional.softplus(z, threshold=50.0), slope, slope * torch.sigmoid(-z)

    def inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y) = log(exp y - 1)`` for ``y > 0``, written so that large `y` do not overflow."""
        return y + torch.log(-torch.expm1(-y))
