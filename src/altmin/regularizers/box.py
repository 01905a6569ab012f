"""Weights within an interval."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.regularizers.base import Regularizer, indicator, register_regularizer


@register_regularizer("box")
@dataclass(frozen=True)
class Box(Regularizer):
    """``Omega(W) = 0`` where every weight lies between `low` and `high`, and infinite elsewhere.

    Attributes:
        low: The smallest weight.
        high: The largest weight.

    Raises:
        ValueError: `low` is not below `high`.

    Examples:
        >>> import torch
        >>> Box(-0.5, 1.0).prox(torch.tensor([2.0, -1.0, 0.3]), r=1.0)
        tensor([ 1.0000, -0.5000,  0.3000])
    """

    constraint = True

    low: float
    high: float

    def __post_init__(self):
        if not self.low < self.high:
            raise ValueError(f"`low` of a box must be < `high`, got {self.low} and {self.high}")

    def __call__(self, W: Tensor) -> Tensor:
        """``0`` or infinity, a scalar."""
        inside = W.clamp(self.low, self.high)
        return indicator(inside == W, W)

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_{low <= W <= high} r/2 ||W - v||^2``: `v` clipped."""
        return v.clamp(self.low, self.high)
