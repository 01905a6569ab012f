"""Dropout between a map and its activation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from altmin.activations.base import Activation
from altmin.draws import dropout_mask


@dataclass(frozen=True)
class DropoutBefore(Activation):
    """``s(m z)``: the pre-activation is multiplied by a mask `m`, which is drawn for a batch; without one ``s(z)``.

    Attributes:
        p: The probability of a 0 in the mask; its other entries are ``1/(1 - p)``.
        inner: ``s``.
        mask: ``m``, or `None` for the network without dropout.

    Examples:
        >>> import torch
        >>> from altmin.activations import ReLU
        >>> DropoutBefore(0.5, ReLU(), torch.tensor([0.0, 2.0]))(torch.tensor([3.0, 3.0]))
        tensor([0., 6.])
    """

    p: float
    inner: Activation
    mask: Tensor | None = None
    feature = "dropout"

    @property
    def differentiable(self) -> bool:
        """Whether the derivative of ``s`` says something of it."""
        return self.inner.differentiable

    @property
    def monotone(self) -> bool:
        """Whether ``s`` never falls."""
        return self.inner.monotone

    @property
    def random(self) -> bool:
        """Whether a mask is to be drawn; it is not where there is one."""
        return self.mask is None

    def estimated(self) -> DropoutBefore:
        """Dropout before ``s`` with a derivative to go by."""
        return replace(self, inner=self.inner.estimated())

    def smoothed(self) -> DropoutBefore:
        """Dropout before ``s`` smoothed, with the same mask."""
        return replace(self, inner=self.inner.smoothed())

    def without_dropout(self) -> Activation:
        """``s``."""
        return self.inner.without_dropout()

    def sample(self, like: Tensor, generator: torch.Generator | None) -> DropoutBefore:
        """With a new mask for pre-activations shaped as `like`, drawn by `generator`."""
        return replace(self, mask=dropout_mask(like, self.p, generator))

    def __call__(self, z: Tensor) -> Tensor:
        """``s(m z)``, elementwise."""
        return self.inner(z if self.mask is None else self.mask * z)

    def derivative(self, z: Tensor) -> Tensor:
        """``m s'(m z)``, elementwise."""
        return self.inner.derivative(z) if self.mask is None else self.mask * self.inner.derivative(self.mask * z)

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``m s'(m z) g``, elementwise."""
        return self.inner.vjp(g, z) if self.mask is None else self.inner.vjp(g * self.mask, self.mask * z)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(m z) - target)^2 + r/2 (z - v)^2``, elementwise (P1), which is `v` where `m` is 0."""
        if self.mask is None:
            return self.inner.prox(v, r, target)
        keep = 1.0 - self.p
        return torch.where(self.mask == 0, v, keep * self.inner.prox(v / keep, r * keep * keep, target))

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of ``{z : |s(z) - a| <= eps}``, for the network without dropout: with a mask there is no interval."""
        return self.inner.interval(a, eps)
