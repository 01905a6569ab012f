"""Smooth functions that gate their argument: they fall, turn and rise, so that the prox looks on all sides."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from altmin.activations.base import Activation
from altmin.errors import absent
from altmin.prox.smooth import turning_prox


@dataclass(frozen=True)
class Gated(Activation):
    """``s(z) = z g(z)`` for a smooth gate `g`, which rises from 0 at the far left to 1 at the far right.

    It is not monotone: ``{z : |s(z) - a| <= eps}`` may be two intervals, so methods that ask for its ends refuse it. A
    subclass gives a call, the gate with its derivatives, and three facts about the shape of ``s``.

    Attributes:
        curvature: A bound on ``|s''|``.
        steepness: A bound on ``|s'|``.
        active: ``s`` is zero or the identity to rounding beyond ``|z| = active``.
        cuts: Where ``s`` turns, alone.
        slope: Of the identity, 1.

    Examples:
        >>> import torch
        >>> from altmin.activations import SiLU
        >>> SiLU().prox(torch.tensor([-5.0, 0.0]), 1e-3, torch.tensor([-0.1, -0.1]))  # on both sides of the turn
        tensor([-3.8523, -0.2238])
    """

    curvature: float
    steepness: float
    active: float
    cuts: tuple[float, ...]
    slope: float = 1.0

    @property
    def monotone(self) -> bool:
        """Whether it never falls: it does."""
        return False

    def gates(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``g(z), g'(z), g''(z)``, elementwise, the shape of `z` each."""
        raise absent(self, "gates")

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s = z g, s' = g + z g', s'' = 2 g' + z g''`` at `z`."""
        gate, first, second = self.gates(z)
        return z * gate, gate + z * first, 2.0 * first + z * second

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z) = g(z) + z g'(z)``, elementwise, the shape of `z`."""
        return self.derivatives(z)[1]

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(z) - target)^2 + r/2 (z - v)^2``, elementwise: the deepest of all valleys (P1)."""
        return turning_prox(self, v, r, target)
