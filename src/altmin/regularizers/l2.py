"""Half the squared Frobenius norm, known as weight decay."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.regularizers.base import Regularizer, check_weight, register_regularizer


@register_regularizer("l2")
@dataclass(frozen=True)
class L2(Regularizer):
    """``Omega(W) = weight/2 ||W||^2``, half the squared Frobenius norm, known as weight decay.

    Attributes:
        weight: Factor of the half square, >= 0.

    Raises:
        ValueError: A negative weight, or one that is not finite.

    Examples:
        >>> import torch
        >>> L2(1.0).prox(torch.tensor([3.0]), r=2.0)
        tensor([2.])
    """

    weight: float

    def __post_init__(self):
        check_weight(self.weight)

    @property
    def curvature(self) -> float:
        """``w = weight``: the weight of the square ``w/2 ||W||^2`` that it is."""
        return self.weight

    def __call__(self, W: Tensor) -> Tensor:
        """``weight/2 ||W||^2``, a scalar."""
        return 0.5 * self.weight * W.square().sum()

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_W weight/2 ||W||^2 + r/2 ||W - v||^2 = v/(1 + weight/r)``, the shape of `v`."""
        return v / (1.0 + 1.0 / r * self.weight)
