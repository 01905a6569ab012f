"""Smooth increasing functions: the prox by safeguarded Newton."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.prox.smooth import smooth_prox


@dataclass(frozen=True)
class Smooth:
    """A smooth increasing function; subclasses give its derivatives, its inverse and three facts about its shape.

    Attributes:
        low: ``inf s``.
        high: ``sup s``.
        curvature: A bound on ``|s''|``.
        active: ``s`` is constant or linear to rounding beyond ``|z| = active``.
    """

    low: float
    high: float
    curvature: float
    active: float
    differentiable = True

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s', s''`` at `z`."""
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y)`` for `y` inside ``(low, high)``."""
        raise NotImplementedError

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``."""
        raise NotImplementedError

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z)``."""
        return self.derivatives(z)[1]

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``."""
        return g * self.derivative(z)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z (s(z) - a)^2 + r (z - v)^2`` by safeguarded Newton, the global minimiser (P1)."""
        return smooth_prox(self, v, r, target)

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The ends of ``{z : |s(z) - a| <= eps}``; ``low > high`` where the set is empty."""
        low, high = self.extended_inverse(a - eps), self.extended_inverse(a + eps)
        empty = (high == -math.inf) | (low == math.inf)
        return torch.where(empty, math.inf, low), torch.where(empty, -math.inf, high)

    def extended_inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y)``, ``-inf`` at and below ``inf s``, ``+inf`` at and above ``sup s``."""
        inside = (y > self.low) & (y < self.high)
        z = self.inverse(torch.where(inside, y, torch.full_like(y, self._middle())))
        return torch.where(inside, z, torch.where(y <= self.low, -math.inf, math.inf))

    def _middle(self) -> float:
        return 0.5 * (self.low + self.high) if math.isfinite(self.high) else self.low + 1.0


class Sigmoid(Smooth):
    """``s(z) = 1/(1 + exp(-z))``."""

    def __init__(self):
        super().__init__(low=0.0, high=1.0, curvature=0.0963, active=40.0)

    def __call__(self, z: Tensor) -> Tensor:
        """``1/(1 + exp(-z))``."""
        return torch.sigmoid(z)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s(1 - s), s(1 - s)(1 - 2s)``."""
        s = torch.sigmoid(z)
        slope = s * torch.sigmoid(-z)
        return s, slope, slope * (1 - 2 * s)

    def inverse(self, y: Tensor) -> Tensor:
        """``log(y/(1 - y))``."""
        return torch.logit(y)


class Tanh(Smooth):
    """``s(z) = tanh z``."""

    def __init__(self):
        super().__init__(low=-1.0, high=1.0, curvature=0.7699, active=20.0)

    def __call__(self, z: Tensor) -> Tensor:
        """``tanh z``."""
        return torch.tanh(z)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, 1 - s^2, -2 s (1 - s^2)``."""
        s = torch.tanh(z)
        slope = 4 * torch.sigmoid(2 * z) * torch.sigmoid(-2 * z)
        return s, slope, -2 * s * slope

    def inverse(self, y: Tensor) -> Tensor:
        """``artanh y``."""
        return torch.atanh(y)


class Softplus(Smooth):
    """``s(z) = log(1 + exp z)``."""

    def __init__(self):
        super().__init__(low=0.0, high=math.inf, curvature=0.25, active=40.0)

    def __call__(self, z: Tensor) -> Tensor:
        """``log(1 + exp z)``."""
        return torch.nn.functional.softplus(z, threshold=50.0)

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, sigmoid(z), sigmoid(z)(1 - sigmoid(z))``."""
        slope = torch.sigmoid(z)
        return torch.nn.functional.softplus(z, threshold=50.0), slope, slope * torch.sigmoid(-z)

    def inverse(self, y: Tensor) -> Tensor:
        """``log(exp y - 1)``, written so that large `y` do not overflow."""
        return y + torch.log(-torch.expm1(-y))
