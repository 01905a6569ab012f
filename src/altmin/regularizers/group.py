"""The sum of the norms of rows, which switches whole units off."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.regularizers.base import Regularizer, check_weight, register_regularizer


@register_regularizer("group")
@dataclass(frozen=True)
class GroupSparsity(Regularizer):
    """``Omega(W) = weight sum_j ||w_j||``, `w_j` the rows, the weights of one unit: the group lasso.

    Attributes:
        weight: Factor of the sum, >= 0.

    Raises:
        ValueError: A negative weight, or one that is not finite.

    Examples:
        >>> import torch
        >>> GroupSparsity(1.0).prox(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), r=1.0)
        tensor([[2.4000, 3.2000],
                [0.0000, 0.0000]])
    """

    weight: float

    def __post_init__(self):
        check_weight(self.weight)

    def __call__(self, W: Tensor) -> Tensor:
        """``weight sum_j ||w_j||``, a scalar."""
        return self.weight * torch.linalg.vector_norm(W, dim=-1).sum()

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_W weight sum_j ||w_j|| + r/2 ||W - v||^2``: each row shortened by ``weight/r``."""
        size = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
        share = 1.0 - 1.0 / r * self.weight / size
        return torch.where(size > 0, v * share.clamp_min(0.0), torch.zeros_like(v))
