"""Weights that are not negative."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.regularizers.base import Regularizer, indicator, register_regularizer


@register_regularizer("nonnegative")
@dataclass(frozen=True)
class Nonnegative(Regularizer):
    """``Omega(W) = 0`` where no weight is negative, and infinite elsewhere.

    Examples:
        >>> import torch
        >>> Nonnegative().prox(torch.tensor([2.0, -1.0]), r=1.0)
        tensor([2., 0.])
    """

    constraint = True

    def __call__(self, W: Tensor) -> Tensor:
        """``0`` or infinity, a scalar."""
        return indicator(W >= 0, W)

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_{W >= 0} r/2 ||W - v||^2``: `v` with zeros for what is negative."""
        return v.clamp_min(0.0)
