"""Smooth increasing functions: the prox by safeguarded Newton."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.activations.base import Activation
from altmin.errors import absent
from altmin.prox.smooth import smooth_prox


@dataclass(frozen=True)
class Smooth(Activation):
    """A smooth increasing function; subclasses give its derivatives, its inverse and facts about its shape.

    Attributes:
        low: ``inf s``.
        high: ``sup s``.
        curvature: A bound on ``|s''|``.
        active: ``s`` is constant or linear to rounding beyond ``|z| = active``.
        slope: Of the line through zero that it then is.
        cuts: Where ``s'`` jumps.

    Examples:
        >>> import torch
        >>> class Twice(Smooth):
        ...     def __init__(self):
        ...         super().__init__(low=-math.inf, high=math.inf, curvature=0.0, active=0.0)
        ...     def __call__(self, z):
        ...         return 2 * z
        ...     def derivatives(self, z):
        ...         return 2 * z, torch.full_like(z, 2), torch.zeros_like(z)
        ...     def inverse(self, y):
        ...         return y / 2
        >>> Twice().prox(torch.tensor([0.0]), 1.0, torch.tensor([5.0]))
        tensor([2.])
    """

    low: float
    high: float
    curvature: float
    active: float
    slope: float = 1.0
    cuts: tuple[float, ...] = ()

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s(z), s'(z), s''(z)``, elementwise, the shape of `z` each."""
        raise absent(self, "derivatives")

    def inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y)``, elementwise, for `y` inside ``(low, high)``."""
        raise absent(self, "inverse")

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z)``, elementwise, the shape of `z`."""
        return self.derivatives(z)[1]

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(z) - target)^2 + r/2 (z - v)^2``, elementwise, by safeguarded Newton: global (P1)."""
        return smooth_prox(self, v, r, target)

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of ``{z : |s(z) - a| <= eps}``, the shapes of `a`; ``low > high`` where the set is empty."""
        low, high = self.extended_inverse(a - eps), self.extended_inverse(a + eps)
        empty = (high == -math.inf) | (low == math.inf)
        return torch.where(empty, math.inf, low), torch.where(empty, -math.inf, high)

    def extended_inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y)``, ``-inf`` at and below ``inf s``, ``+inf`` at and above ``sup s``."""
        inside = (y > self.low) & (y < self.high)
        z = self.inverse(torch.where(inside, y, torch.full_like(y, self._middle())))
        return torch.where(inside, z, torch.where(y <= self.low, -math.inf, math.inf))

    def _middle(self) -> float:
        """A value inside the range."""
        if math.isfinite(self.low) and math.isfinite(self.high):
            return 0.5 * (self.low + self.high)
        if math.isfinite(self.low):
            return self.low + 1.0
        return self.high - 1.0 if math.isfinite(self.high) else 0.0
