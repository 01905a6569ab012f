"""The hyperbolic tangent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altmin.activations.smooth import Smooth
from altmin.registration import converts


@converts(nn.Tanh)
class Tanh(Smooth):
    """The hyperbolic tangent ``s(z) = tanh z``.

    Examples:
        >>> import torch
        >>> Tanh().derivative(torch.tensor([0.0]))
        tensor([1.])
    """

    def __init__(self):
        super().__init__(low=-1.0, high=1.0, curvature=0.7699, active=20.0)

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z) = tanh z``, elementwise."""
        return torch.tanh(z)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s' = 1 - s^2, s'' = -2 s (1 - s^2)`` at `z`."""
        s = torch.tanh(z)
        slope = 4 * torch.sigmoid(2 * z) * torch.sigmoid(-2 * z)
        return s, slope, -2 * s * slope

    def inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y) = artanh y`` for `y` inside ``(-1, 1)``."""
        return torch.atanh(y)
