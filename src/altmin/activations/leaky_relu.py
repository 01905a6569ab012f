"""The leaky rectified linear unit."""

from __future__ import annotations

import math
from typing import Self

from torch import nn

from altmin.activations.piecewise import Piece, PiecewiseLinear
from altmin.registration import converts


@converts(nn.LeakyReLU)
class LeakyReLU(PiecewiseLinear):
    """The leaky rectified linear unit, ``s(z) = z`` for ``z > 0`` and ``t z`` below.

    Args:
        t: Slope of the negative half, in ``[0, 1)``.

    Raises:
        ValueError: A slope outside that range.

    Examples:
        >>> import torch
        >>> LeakyReLU(0.5)(torch.tensor([-2.0, 3.0]))
        tensor([-1.,  3.])
    """

    def __init__(self, t: float = 0.01):
        if not 0.0 <= t < 1.0:
            raise ValueError(f"`t`, the slope of LeakyReLU, must be in [0, 1), got {t}")
        super().__init__((Piece(-math.inf, 0.0, t, 0.0), Piece(0.0, math.inf, 1.0, 0.0)))

    @classmethod
    def of(cls, module: nn.LeakyReLU) -> Self:
        """The activation of an `nn.LeakyReLU`; `ValueError` where its slope is not in ``[0, 1)``."""
        return cls(module.negative_slope)
