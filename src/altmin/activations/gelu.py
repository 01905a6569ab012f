"""The Gaussian error linear unit, exact and with its approximation by tanh."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from altmin.activations.gated import Gated
from altmin.registration import converts

SCALE, CUBE = math.sqrt(8.0 / math.pi), 0.044715  # of the approximation: Phi(z) ~ sigmoid(SCALE (z + CUBE z^3))


class TanhGELU(Gated):
    """The Gaussian error linear unit with ``Phi(z) ~ 1/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))``.

    It stands for ``nn.GELU(approximate="tanh")``.

    Examples:
        >>> TanhGELU()(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1588,  0.0000,  0.8412])
    """

    def __init__(self):
        super().__init__(curvature=0.798, steepness=1.129, active=10.0, cuts=(-0.75246142207101626,))

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``, elementwise."""
        return gelu(z, approximate="tanh")

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``, by PyTorch's kernel, which takes a tenth of the time of the closed form."""
        return torch.ops.aten.gelu_backward(g, z, approximate="tanh")

    def gates(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``g = sigmoid(u), g' = g (1 - g) u', g'' = g (1 - g) ((1 - 2 g) u'^2 + u'')``, `u` the cubic argument."""
        square = z * z
        u, first, second = SCALE * z * (1 + CUBE * square), SCALE * (1 + 3 * CUBE * square), SCALE * 6 * CUBE * z
        gate, other = torch.sigmoid(u), torch.sigmoid(-u)
        slope = gate * other
        return gate, slope * first, slope * ((other - gate) * first.square() + second)


@converts(nn.GELU, of=lambda module: GELU() if module.approximate == "none" else TanhGELU())
class GELU(Gated):
    """The Gaussian error linear unit ``s(z) = z Phi(z)``, `Phi` the distribution function of the standard normal.

    Hendrycks and Gimpel, "Gaussian error linear units" (arXiv:1606.08415).

    Examples:
        >>> GELU()(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-0.1587,  0.0000,  0.8413])
    """

    def __init__(self):
        super().__init__(curvature=0.798, steepness=1.129, active=10.0, cuts=(-0.75179152469356446,))

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z) = z Phi(z)``, elementwise."""
        return gelu(z)

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``, by PyTorch's kernel, which takes a tenth of the time of the closed form."""
        return torch.ops.aten.gelu_backward(g, z)

    def gates(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``Phi(z)``, the density ``phi(z)`` and ``phi'(z) = -z phi(z)``."""
        density = torch.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
        return torch.special.ndtr(z), density, -z * density
