"""Squared loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from altmin.losses.base import Loss, one_hot, register_loss


@register_loss("squared", "mse")
@dataclass(frozen=True)
class SquaredLoss(Loss):
    """Half the squared distance from the targets, ``1/2 ||z - y||^2``, summed over outputs and samples.

    PyTorch's ``nn.MSELoss()`` stands for it, though that is the mean of ``(z - y)^2`` over outputs and samples.

    Examples:
        >>> import torch
        >>> SquaredLoss()(torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
        tensor(2.)
    """

    lipschitz = 1.0
    module = nn.MSELoss
    regression = True
    middle = 0.5

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        """``1/2 ||z - y||^2``, a scalar, summed over samples ``(N, q)``."""
        return 0.5 * (z - y).square().sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        """``dR/dz = z - y``, ``(N, q)``."""
        return z - y

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 ||z - target||^2 + r/2 ||z - v||^2 = (target + r v)/(1 + r)``, ``(N, q)`` (P2)."""
        return (target + r * v) / (1.0 + r)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        """Class indices ``(N,)`` as one-hot rows ``(N, outputs)``; for one output, the label itself (0 or 1)."""
        return labels[:, None].to(dtype) if outputs == 1 else one_hot(labels, outputs, dtype)

    def probabilities(self, z: Tensor) -> Tensor:
        """The probabilities nearest to the outputs, which estimate one-hot targets: ``argmin_p ||p - z||^2``.

        For one output it stands for class 1, and its complement for class 0.
        """
        z = torch.cat([1.0 - z, z], 1) if z.shape[1] == 1 else z
        falling = z.sort(1, descending=True).values
        excess = (falling.cumsum(1) - 1.0) / torch.arange(1, z.shape[1] + 1, dtype=z.dtype, device=z.device)
        last = (falling > excess).sum(1, keepdim=True) - 1
        return (z - excess.gather(1, last)).clamp_min(0.0)
