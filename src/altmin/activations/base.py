"""What every activation function offers."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from altmin.errors import absent


class Activation:
    """An elementwise function ``s`` with its derivative, its prox and the interval where it has nearly a given value.

    A subclass gives `__call__`, `derivative`, `prox` and `interval`; `altmin.converts` registers it for a module.

    Class attributes:
        role: What `altmin.converts` knows it as.
        feature: The name under which a method may refuse it; `None` where every method takes it.
    """

    role: ClassVar[str] = "activation"
    feature: ClassVar[str | None] = None

    @property
    def differentiable(self) -> bool:
        """Whether the derivative says something of the function; it does not where it is zero almost everywhere."""
        return True

    @property
    def monotone(self) -> bool:
        """Whether it never falls, so that `interval` tells all of where it has nearly a given value."""
        return True

    @property
    def random(self) -> bool:
        """Whether it is to be drawn anew for every batch, by `sample`."""
        return False

    @classmethod
    def of(cls, module: Any) -> Self:
        """The activation that a module computes.

        Args:
            module: Of a class that `altmin.converts` names.

        Raises:
            ValueError: Options of the module that are not supported.
        """
        return cls()

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``, elementwise, the shape of `z`."""
        raise absent(self, "__call__")

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z)``, elementwise, the shape of `z`; at a kink the derivative of one side."""
        raise absent(self, "derivative")

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``, the vector-Jacobian product: a derivative `g` in the value becomes one in `z`."""
        return g * self.derivative(z)

    def least_subgradient(self, z: Tensor, target: Tensor, g: Tensor, d: float) -> Tensor:
        """The element of least norm of ``g + d/dz d/2 (s(z) - target)^2``, elementwise.

        Args:
            z: Pre-activations, any shape.
            target: What the value is to be near, the same shape.
            g: A further gradient, the same shape.
            d: Weight of the square, > 0.
        """
        return g + self.vjp(self(z) - target, z) * d

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(z) - target)^2 + r/2 (z - v)^2``, elementwise: the global minimiser (P1).

        Args:
            v: Centres, any shape.
            r: Weight of the proximal term, > 0.
            target: What the value is to be near, the shape of `v`.
            start: Where an iteration may begin; closed forms and safeguarded searches need none.
        """
        raise absent(self, "prox")

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of ``{z : |s(z) - a| <= eps}`` for monotone ``s``, the shapes of `a`; ``low > high`` where it is empty.

        Args:
            a: Values, any shape.
            eps: How far ``s(z)`` may be from them, >= 0.
        """
        raise absent(self, "interval")

    def estimated(self) -> Activation:
        """The same value with a derivative to go by: the straight-through estimator's where the own one is zero."""
        return self

    def smoothed(self) -> Activation:
        """A function with a derivative that rises where this one jumps; itself where it has one."""
        return self

    def without_dropout(self) -> Activation:
        """The function behind a dropout; itself where there is none."""
        return self

    def sample(self, like: Tensor, generator: torch.Generator | None) -> Activation:
        """The activation of one batch, with what is random in it drawn for pre-activations shaped as `like`."""
        return self

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports."""
        return () if self.feature is None else (self.feature,)
