"""What every activation function offers."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class Activation(Protocol):
    """What every activation function offers; see the module's text."""

    @property
    def differentiable(self) -> bool:
        """Whether the slope says something of the function."""
        ...

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``, elementwise."""
        ...

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z)``, elementwise."""
        ...

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``: the derivative `g` in the activation, pulled back to `z`."""
        ...

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z (s(z) - a)^2 + r (z - v)^2``, elementwise, with ``r > 0`` (P1)."""
        ...

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """``inf {z : s(z) >= a - eps}`` and ``sup {z : s(z) <= a + eps}``."""
        ...
