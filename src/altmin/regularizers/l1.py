"""The sum of absolute values, which makes weights sparse."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.regularizers.base import Regularizer, check_weight, register_regularizer


@register_regularizer("l1")
@dataclass(frozen=True)
class L1(Regularizer):
    """``Omega(W) = weight ||W||_1``, the sum of absolute values, which makes weights sparse.

    Attributes:
        weight: Factor of the sum, >= 0.

    Raises:
        ValueError: A negative weight, or one that is not finite.

    Examples:
        >>> import torch
        >>> L1(1.0).prox(torch.tensor([3.0, -0.5]), r=2.0)
        tensor([2.5000, -0.0000])
    """

    weight: float

    def __post_init__(self):
        check_weight(self.weight)

    def __call__(self, W: Tensor) -> Tensor:
        """``weight ||W||_1``, a scalar."""
        return self.weight * W.abs().sum()

    def least_subgradient(self, W: Tensor, g: Tensor) -> Tensor:
        """The element of least norm of ``g + dOmega(W)``: where ``W = 0``, `g` moved towards 0 by the weight."""
        at_zero = torch.sign(g) * (g.abs() - self.weight).clamp_min(0.0)
        return torch.where(W == 0, at_zero, g + self.weight * torch.sign(W))

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_W weight ||W||_1 + r/2 ||W - v||^2``: soft thresholding at ``weight/r``, the shape of `v`."""
        return torch.sign(v) * (v.abs() - 1.0 / r * self.weight).clamp_min(0.0)
