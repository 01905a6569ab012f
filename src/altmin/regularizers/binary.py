"""Weights of two values."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.regularizers.base import Regularizer, indicator, register_regularizer


@register_regularizer("binary")
@dataclass(frozen=True)
class Binary(Regularizer):
    """``Omega(W) = 0`` where every weight is `size` or ``-size``, and infinite elsewhere: a set that is not convex.

    Attributes:
        size: The size of every weight, > 0.

    Examples:
        >>> import torch
        >>> Binary(0.1).prox(torch.tensor([2.0, -1.0, 0.0]), r=1.0)
        tensor([ 0.1000, -0.1000,  0.1000])
    """

    constraint = True
    discrete = True

    size: float = number(1.0, "the size of every weight", above=0.0)

    def __call__(self, W: Tensor) -> Tensor:
        """``0`` or infinity, a scalar."""
        return indicator(self.prox(W, 1.0) == W, W)

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin r/2 ||W - v||^2`` over weights of the two values: the nearer one, for a zero `size`."""
        return torch.full_like(v, self.size).masked_fill(v < 0, -self.size)
