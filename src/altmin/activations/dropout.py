"""Dropout between a map and its activation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from altmin.activations.base import Activation
from altmin.operations.base import dropout_mask


@dataclass(frozen=True)
class DropoutBefore:
    """``s(m z)``: the pre-activation is multiplied by a mask `m`, which is drawn for a batch; without one ``s(z)``.

    Attributes:
        p: The probability of a 0 in the mask; its other entries are ``1/(1 - p)``.
        inner: ``s``.
        mask: ``m``, or `None` for the network without dropout.
    """

    p: float
    inner: Activation
    mask: Tensor | None = None

    @property
    def differentiable(self) -> bool:
        """The inner one's."""
        return self.inner.differentiable

    def drawn(self, like: Tensor, generator: torch.Generator | None) -> DropoutBefore:
        """With a mask for pre-activations shaped as `like`."""
        return replace(self, mask=dropout_mask(like, self.p, generator))

    def __call__(self, z: Tensor) -> Tensor:
        """``s(m z)``."""
        return self.inner(z if self.mask is None else self.mask * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``m s'(m z)``."""
        return self.inner.derivative(z) if self.mask is None else self.mask * self.inner.derivative(self.mask * z)

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``m s'(m z) g``."""
        return self.inner.vjp(g, z) if self.mask is None else self.inner.vjp(g * self.mask, self.mask * z)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z (s(m z) - a)^2 + r (z - v)^2`` (P1): the inner prox of ``m z``, and `v` where `m` is 0."""
        if self.mask is None:
            return self.inner.prox(v, r, target)
        keep = 1.0 - self.p
        return torch.where(self.mask == 0, v, keep * self.inner.prox(v / keep, r * keep * keep, target))

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The inner interval; only the network without dropout has one."""
        return self.inner.interval(a, eps)
