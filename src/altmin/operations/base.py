"""What stands between an activation and the next map and has no weights: reshaping, dropout, and what pooling shares.

Every operation `f` is linear, or, for max pooling, linear on pieces: ``image`` and ``adjoint`` are its derivative at a
point and the transpose of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from altmin.draws import to_draw


class Operation(Protocol):
    """A map without weights; see the module's text."""

    def __call__(self, a: Tensor) -> Tensor:
        """``f(a)``."""
        ...

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f'(a) d``, the shape of ``f(a)``."""
        ...

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``f'(a)^T r``, the shape of `a`."""
        ...


class LinearOperation:
    """An operation that is its own derivative."""

    def __call__(self, a: Tensor) -> Tensor:
        """``f(a)``."""
        raise NotImplementedError

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f(d)``."""
        return self(d)


@dataclass(frozen=True)
class Flatten(LinearOperation):
    """Samples as rows."""

    def __call__(self, a: Tensor) -> Tensor:
        """`a` as ``(N, numbers of a sample)``."""
        return a.flatten(1)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` in the shape of `a`."""
        return r.reshape(a.shape)


@dataclass(frozen=True)
class Unflatten(LinearOperation):
    """Rows as samples of a `shape`."""

    shape: tuple[int, ...]

    @property
    def numbers(self) -> int:
        """The length of a row."""
        return math.prod(self.shape)

    def __call__(self, a: Tensor) -> Tensor:
        """`a` as ``(N, *shape)``."""
        return a.unflatten(1, self.shape)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` as rows."""
        return r.flatten(1)


@dataclass(frozen=True)
class Dropout(LinearOperation):
    """`torch.nn.Dropout`: nothing until `drawn`."""

    p: float

    def __call__(self, a: Tensor) -> Tensor:
        """`a` itself: the network without dropout."""
        return a

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` itself."""
        return r

    def drawn(self, like: Tensor, generator: torch.Generator | None) -> Mask:
        """A mask for samples shaped as `like`: 0 with probability `p`, else ``1/(1 - p)``."""
        return Mask(dropout_mask(like, self.p, generator))


def dropout_mask(like: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """0 with probability `p`, else ``1/(1 - p)``, in the shape of `like`; drawn where the generator lives."""
    drawn = to_draw(like, generator).bernoulli_(1.0 - p, generator=generator)
    return drawn.to(like.device).div_(1.0 - p)


@dataclass(frozen=True)
class Mask(LinearOperation):
    """Multiplication by a mask."""

    mask: Tensor

    def __call__(self, a: Tensor) -> Tensor:
        """``mask a``."""
        return self.mask * a

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``mask r``."""
        return self.mask * r
