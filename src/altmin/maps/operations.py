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
from torch.nn.functional import adaptive_avg_pool1d, avg_pool1d, max_pool2d, pad

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

    def at(self, a: Tensor) -> Chosen:
        """The linear operation that this is near `a`: of equal numbers in a window the first is the largest."""
        best, places = self(a), Places(self.kernel, self.stride, self.padding, self.dilation)
        left, masks = torch.ones_like(best), []
        for view in places.views(places.padded(a, best.shape, -math.inf), best.shape):
            masks.append(torch.ge(view, best, out=torch.empty_like(best)).mul_(left))
            left.sub_(masks[-1])
        return Chosen(places, tuple(masks))

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """The numbers of `d` where `a` is largest in each window."""
        return self.at(a)(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the places where `a` is largest in each window."""
        return self.at(a).adjoint(r, a)


@dataclass(frozen=True)
class Places:
    """The windows of a pooling: for each place in a window, the numbers that stand there in all windows."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    def padded(self, a: Tensor, pooled: torch.Size, fill: float) -> Tensor:
        """`a` with `fill` around it as far as windows reach; `a` itself where they do not."""
        margins = self.margins(a, pooled)
        return pad(a, margins, value=fill) if any(margins) else a

    def views(self, padded: Tensor, pooled: torch.Size) -> list[Tensor]:
        """For each place in a window a view of `padded` in the shape `pooled`."""
        (sy, sx), (dy, dx), (h, w) = self.stride, self.dilation, pooled[-2:]
        places = ((i * dy, j * dx) for i in range(self.kernel[0]) for j in range(self.kernel[1]))
        return [padded[..., y : y + sy * (h - 1) + 1 : sy, x : x + sx * (w - 1) + 1 : sx] for y, x in places]

    def margins(self, a: Tensor, pooled: torch.Size) -> list[int]:
        """What `a` is padded with: left, right, top, bottom."""
        out: list[int] = []
        for axis in (1, 0):
            windows = pooled[axis - 2]
            reach = self.stride[axis] * (windows - 1) + self.dilation[axis] * (self.kernel[axis] - 1) + 1
            out += [self.padding[axis], max(0, reach - self.padding[axis] - a.shape[axis - 2])]
        return out


@dataclass(frozen=True)
class Chosen(_Linear):
    """One number of each window.

    Strided views and masks do in a few passes what `torch.nn.functional.max_pool2d` takes far longer for with indices.

    Attributes:
        places: The windows.
        masks: For each place in a window, 1 where its number is the chosen one, else 0.
    """

    places: Places
    masks: tuple[Tensor, ...]

    def __call__(self, a: Tensor) -> Tensor:
        """The chosen numbers of `a`."""
        out = torch.zeros_like(self.masks[0])
        padded = self.places.padded(a, out.shape, 0.0)
        for mask, view in zip(self.masks, self.places.views(padded, out.shape), strict=True):
            out.addcmul_(mask, view)
        return out

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the chosen places, the shape of `a`."""
        left, right, top, bottom = self.places.margins(a, r.shape)
        out = r.new_zeros(*a.shape[:-2], a.shape[-2] + top + bottom, a.shape[-1] + left + right)
        for mask, view in zip(self.masks, self.places.views(out, r.shape), strict=True):
            view.addcmul_(mask, r)
        return out[..., top : top + a.shape[-2], left : left + a.shape[-1]]


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
