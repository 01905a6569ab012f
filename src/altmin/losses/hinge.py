"""Hinge loss."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.losses.base import Loss, one_hot, register_loss


@register_loss("hinge")
@dataclass(frozen=True)
class Hinge(Loss):
    """``sum_j max(0, 1 - y_j z_j)`` with `y` in {-1, 1}: one class against the rest, or binary with one output.

    Examples:
        >>> import torch
        >>> Hinge()(torch.tensor([[0.5, -3.0]]), torch.tensor([[1.0, -1.0]]))
        tensor(0.5000)
    """

    lipschitz = math.inf

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``sum max(0, 1 - y z)`` over samples ``(N, q)``, a scalar."""
        return (1.0 - y * z).clamp_min(0.0).sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``-y`` where ``y z < 1``, else 0, ``(N, q)``: a subgradient."""
        return torch.where(y * z < 1.0, -y, 0.0)

    def least_subgradient(self, z: Tensor, y: Tensor, g: Tensor) -> Tensor:
        """The element of least norm of ``g + dR(z)``, ``(N, q)``: at ``y z = 1`` the set is ``g - [0, 1] y``."""
        least, most = torch.minimum(g, g - y), torch.maximum(g, g - y)
        return torch.where(y * z == 1.0, torch.zeros_like(g).clamp(least, most), g + self.grad(z, y))

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z sum max(0, 1 - target z) + r/2 ||z - v||^2``, ``(N, q)`` (P2).

        With ``y = target`` that is `v` where ``y v >= 1``, ``v + y/r`` where ``y v <= 1 - 1/r``, else `y`.
        """
        margin = target * v
        return torch.where(margin >= 1.0, v, torch.where(margin <= 1.0 - 1.0 / r, v + target / r, target))

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as rows of -1 with +1 in the class's column; for one output, class 1 is positive."""
        return 2.0 * (labels[:, None].to(dtype) if outputs == 1 else one_hot(labels, outputs, dtype)) - 1.0
