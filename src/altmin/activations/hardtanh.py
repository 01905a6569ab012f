"""The identity cut off at two values."""

from __future__ import annotations

import math
from typing import Self

from torch import nn

from altmin.activations.piecewise import Piece, PiecewiseLinear
from altmin.registration import converts


@converts(nn.Hardtanh, nn.ReLU6)
class Hardtanh(PiecewiseLinear):
    """The identity cut off at two values, ``s(z) = min(max(z, low), high)``; `nn.ReLU6` is cut off at 0 and 6.

    Args:
        low: Least value.
        high: Largest value.

    Examples:
        >>> import torch
        >>> Hardtanh(-1.0, 2.0)(torch.tensor([-3.0, 0.5, 7.0]))
        tensor([-1.0000,  0.5000,  2.0000])
    """

    def __init__(self, low: float = -1.0, high: float = 1.0):
        middle = Piece(low, high, 1.0, 0.0)
        super().__init__((Piece(-math.inf, low, 0.0, low), middle, Piece(high, math.inf, 0.0, high)))

    @classmethod
    def of(cls, module: nn.Hardtanh) -> Self:
        """The activation of an `nn.Hardtanh`, of which `nn.ReLU6` is one."""
        return cls(module.min_val, module.max_val)
