"""The logistic function."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altmin.activations.smooth import Smooth
from altmin.registration import converts


@converts(nn.Sigmoid)
class Sigmoid(Smooth):
    """The logistic function ``s(z) = 1/(1 + exp(-z))``.

    Examples:
        >>> import torch
        >>> Sigmoid()(torch.tensor([0.0]))
        tensor([0.5000])
    """

    def __init__(self):
        super().__init__(low=0.0, high=1.0, curvature=0.0963, active=40.0)

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z) = 1/(1 + exp(-z))``, elementwise."""
        return torch.sigmoid(z)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s' = s (1 - s), s'' = s (1 - s) (1 - 2 s)`` at `z`."""
        s = torch.sigmoid(z)
        slope = s * torch.sigmoid(-z)
        return s, slope, slope * (1 - 2 * s)

    def inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y) = log(y/(1 - y))`` for `y` inside ``(0, 1)``."""
        return torch.logit(y)
