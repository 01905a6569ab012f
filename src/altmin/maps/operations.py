"""What stands between an activation and the next map and has no weights: pooling, reshaping, dropout.

Every operation `f` is linear, or, for max pooling, linear on pieces: ``image`` and ``adjoint`` are its derivative at a
point and the transpose of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, avg_pool1d, max_pool2d

Pair = tuple[int, int]


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


class _Linear:
    """An operation that is its own derivative."""

    def __call__(self, a: Tensor) -> Tensor:
        raise NotImplementedError

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f(d)``."""
        return self(d)


@dataclass(frozen=True)
class Flatten(_Linear):
    """Samples as rows."""

    def __call__(self, a: Tensor) -> Tensor:
        """`a` as ``(N, numbers of a sample)``."""
        return a.flatten(1)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` in the shape of `a`."""
        return r.reshape(a.shape)


@dataclass(frozen=True)
class Unflatten(_Linear):
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
class MaxPool2d:
    """`torch.nn.MaxPool2d`: linear while the largest number of each window stays where it is."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def __call__(self, a: Tensor) -> Tensor:
        """The largest number of each window."""
        return max_pool2d(a, self.kernel, self.stride, self.padding, self.dilation, self.ceil)

    def at(self, a: Tensor) -> Gather:
        """The linear operation that this is near `a`."""
        options = (self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        return Gather(max_pool2d(a, *options, return_indices=True)[1])  # type: ignore[index]

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """The numbers of `d` where `a` is largest in each window."""
        return self.at(a)(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the places where `a` is largest in each window."""
        return self.at(a).adjoint(r, a)


@dataclass(frozen=True)
class Gather(_Linear):
    """The numbers at given places of each channel, ``(N, channels, h, w)``."""

    places: Tensor

    def __call__(self, a: Tensor) -> Tensor:
        """The numbers of `a` there."""
        return a.flatten(2).gather(2, self.places.flatten(2)).view(self.places.shape)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the places, the shape of `a`."""
        return torch.zeros_like(a).flatten(2).scatter_add_(2, self.places.flatten(2), r.flatten(2)).view(a.shape)


class _Average(_Linear):
    """Means over windows that are products of an interval of rows and one of columns: ``P a Q^T`` for each channel."""

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """`P` and `Q`."""
        raise NotImplementedError

    def __call__(self, a: Tensor) -> Tensor:
        """``P a Q^T``."""
        P, Q = self.matrices(a)
        return P @ a @ Q.T

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``P^T r Q``."""
        P, Q = self.matrices(a)
        return P.T @ r @ Q


@dataclass(frozen=True)
class AvgPool2d(_Average):
    """`torch.nn.AvgPool2d`."""

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil: bool = False
    count_padding: bool = True

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The pooling along rows and along columns."""
        P, Q = (
            _pooled(n, a.dtype, a.device, k, s, p, self.ceil, self.count_padding)
            for n, k, s, p in zip(a.shape[-2:], self.kernel, self.stride, self.padding, strict=True)
        )
        return P, Q


@dataclass(frozen=True)
class AdaptiveAvgPool2d(_Average):
    """`torch.nn.AdaptiveAvgPool2d`; `None` keeps the images' own height or width."""

    size: tuple[int | None, int | None]

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The pooling along rows and along columns."""
        P, Q = (_adapted(n, size or n, a.dtype, a.device) for n, size in zip(a.shape[-2:], self.size, strict=True))
        return P, Q


@lru_cache
def _pooled(
    n: int, dtype: torch.dtype, device: torch.device, k: int, s: int, p: int, ceil: bool, count: bool
) -> Tensor:
    return avg_pool1d(torch.eye(n, dtype=dtype, device=device), k, s, p, ceil, count).T.contiguous()


@lru_cache
def _adapted(n: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return adaptive_avg_pool1d(torch.eye(n, dtype=dtype, device=device), size).T.contiguous()


@dataclass(frozen=True)
class Dropout(_Linear):
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
    place = like.device if generator is None else generator.device
    drawn = torch.empty(like.shape, dtype=like.dtype, device=place).bernoulli_(1.0 - p, generator=generator)
    return drawn.to(like.device).div_(1.0 - p)


@dataclass(frozen=True)
class Mask(_Linear):
    """Multiplication by a mask."""

    mask: Tensor

    def __call__(self, a: Tensor) -> Tensor:
        """``mask a``."""
        return self.mask * a

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``mask r``."""
        return self.mask * r
