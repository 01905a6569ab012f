"""Pooling of images: the largest number of each window, or the mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d, avg_pool1d, max_pool2d, pad

from altmin.maps.operations import LinearOperation

Pair = tuple[int, int]


@dataclass(frozen=True)
class MaxPool2d:
    """`torch.nn.MaxPool2d`: linear while the largest number of each window stays where it is.

    Strided views of the images do in a few passes what `torch.nn.functional.max_pool2d` takes several times as long for
    on a CPU.
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False

    def __call__(self, a: Tensor) -> Tensor:
        """The largest number of each window; where autograd watches, by PyTorch's own operator."""
        if a.requires_grad:
            return max_pool2d(a, self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        first, *others = self.views(self.padded(a, -math.inf))
        best = first.clone()
        for view in others:
            torch.maximum(best, view, out=best)
        return best

    def at(self, a: Tensor) -> Chosen:
        """The linear operation that this is near `a`: of equal numbers in a window the first is the largest."""
        return Chosen(self, a)

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """The numbers of `d` where `a` is largest in each window."""
        return self.at(a)(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the places where `a` is largest in each window."""
        return self.at(a).adjoint(r, a)

    def windows(self, size: int, axis: int) -> int:
        """How many windows there are along an axis; with `ceil` the last one may begin before the end and leave it."""
        stride, padding = self.stride[axis], self.padding[axis]
        room = size + 2 * padding - self.dilation[axis] * (self.kernel[axis] - 1) - 1
        count = -(-room // stride) + 1 if self.ceil else room // stride + 1
        return count - (self.ceil and (count - 1) * stride >= size + padding)

    def margins(self, a: Tensor) -> list[int]:
        """What `a` is padded with, as far as windows reach: left, right, top, bottom."""
        out: list[int] = []
        for axis in (1, 0):
            size, padding = a.shape[axis - 2], self.padding[axis]
            last = self.stride[axis] * (self.windows(size, axis) - 1)
            reach = last + self.dilation[axis] * (self.kernel[axis] - 1) + 1
            out += [padding, max(0, reach - padding - size)]
        return out

    def padded(self, a: Tensor, fill: float) -> Tensor:
        """`a` with `fill` around it; `a` itself where no window leaves it."""
        margins = self.margins(a)
        return pad(a, margins, value=fill) if any(margins) else a

    def views(self, padded: Tensor) -> list[Tensor]:
        """For each place in a window the numbers that stand there in all windows: a view."""
        spans = []
        for axis in (0, 1):
            kernel, stride, step = self.kernel[axis], self.stride[axis], self.dilation[axis]
            reach = step * (kernel - 1) + 1
            count = (padded.shape[axis - 2] - reach) // stride + 1
            spans.append([slice(k * step, k * step + stride * (count - 1) + 1, stride) for k in range(kernel)])
        return [padded[..., y, x] for y in spans[0] for x in spans[1]]


@dataclass(frozen=True)
class Chosen(LinearOperation):
    """The numbers that stand where those of a point are largest in each window.

    Attributes:
        pooling: The windows.
        point: Images, ``(N, channels, h, w)``.
    """

    pooling: MaxPool2d
    point: Tensor

    @cached_property
    def best(self) -> Tensor:
        """The point's largest numbers."""
        return self.pooling(self.point)

    @cached_property
    def masks(self) -> list[Tensor]:
        """For each place in a window 1 where its number is the chosen one, else 0."""
        left, masks = torch.ones_like(self.best), []
        for view in self.pooling.views(self.pooling.padded(self.point, -math.inf)):
            masks.append(torch.sub(view, self.best).sign_().add_(1.0).mul_(left))
            left.sub_(masks[-1])
        return masks

    def __call__(self, a: Tensor) -> Tensor:
        """The chosen numbers of `a`."""
        if a is self.point:
            return self.best
        out = torch.zeros_like(self.best)
        for mask, view in zip(self.masks, self.pooling.views(self.pooling.padded(a, 0.0)), strict=True):
            out.addcmul_(mask, view)
        return out

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` added up at the chosen places, the shape of `a`."""
        left, right, top, bottom = self.pooling.margins(a)
        out = r.new_zeros(*a.shape[:-2], a.shape[-2] + top + bottom, a.shape[-1] + left + right)
        for mask, view in zip(self.masks, self.pooling.views(out), strict=True):
            view.addcmul_(mask, r)
        return out[..., top : top + a.shape[-2], left : left + a.shape[-1]]


class _Average(LinearOperation):
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
