"""No regulariser."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.regularizers.base import Regularizer, register_regularizer


@register_regularizer("none")
@dataclass(frozen=True)
class NoRegularizer(Regularizer):
    """``Omega = 0``, for training without a regulariser.

    Examples:
        >>> import torch
        >>> NoRegularizer()(torch.ones(2, 2))
        tensor(0.)
    """

    @property
    def is_zero(self) -> bool:
        """True: it is identically zero."""
        return True

    @property
    def curvature(self) -> float:
        """``w = 0``: the weight of the square ``w/2 ||W||^2`` that it is."""
        return 0.0

    def __call__(self, W: Tensor) -> Tensor:
        """``Omega(W) = 0``, a scalar."""
        return W.new_zeros(())

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_W r/2 ||W - v||^2``, which is `v` itself, no copy."""
        return v
