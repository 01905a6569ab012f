"""Max pooling of images: the largest number of each window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from altmin.operations.base import Operation, OperationAt
from altmin.registration import converts, pair

Pair = tuple[int, int]


@converts(nn.MaxPool2d)
@dataclass(frozen=True)
class MaxPool2d(Operation):
    """`torch.nn.MaxPool2d`: linear while the largest number of each window stays where it is.

    The largest of each row's part of a window, then the largest of these: strided views of the images do in a few
    passes what `torch.nn.functional.max_pool2d` takes several times as long for on a CPU.

    Attributes:
        kernel: Height and width of the windows.
        stride: Step of their positions.
        padding: What lies around the images, smaller than any number.
        dilation: Distance between a window's numbers.
        ceil: Whether a last window may leave the image.

    Examples:
        >>> import torch
        >>> MaxPool2d((2, 2), (2, 2))(torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]]))
        tensor([[[[3.]]]])
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil: bool = False
    piecewise = True
    keeps_width = True

    @classmethod
    def of(cls, module: nn.MaxPool2d) -> Self:
        """The operation of an `nn.MaxPool2d`; `ValueError` where it is to return places."""
        if module.return_indices:
            raise ValueError("return_indices is not supported")
        numbers = (module.kernel_size, module.stride, module.padding, module.dilation)
        kernel, stride, padding, dilation = map(pair, numbers)
        return cls(kernel, stride, padding, dilation, module.ceil_mode)

    def __call__(self, a: Tensor) -> Tensor:
        """The largest number of each window; where autograd watches, by PyTorch's own operator."""
        if a.requires_grad:
            return max_pool2d(a, self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        for windows in self.axes:
            a = windows.largest(a)
        return a

    @cached_property
    def axes(self) -> tuple[Windows, Windows]:
        """The windows along rows, then those along columns."""
        rows, columns = (
            Windows(k - 2, self.kernel[k], self.stride[k], self.padding[k], self.dilation[k], self.ceil) for k in (1, 0)
        )
        return rows, columns

    def at(self, a: Tensor) -> Chosen:
        """The places where `a` is largest in each window: of equal numbers the first is the largest."""
        return Chosen(self, a)

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f'(a) d``: the numbers of `d` where `a` is largest in each window."""
        return self.at(a).image(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``f'(a)^T r``: `r` added up at the places where `a` is largest in each window."""
        return self.at(a).adjoint(r)


@dataclass(frozen=True)
class Windows:
    """Windows along one axis of images.

    Attributes:
        axis: -1 along rows, -2 along columns.
        kernel: Numbers in a window.
        stride: Step of the windows' positions.
        padding: What lies on either side of the axis.
        dilation: Distance between a window's numbers.
        ceil: Whether a last window may leave the axis.

    Examples:
        >>> import torch
        >>> Windows(-1, 2, 2, 0, 1, False).largest(torch.tensor([[1.0, 2.0, 5.0, 4.0]]))
        tensor([[2., 5.]])
    """

    axis: int
    kernel: int
    stride: int
    padding: int
    dilation: int
    ceil: bool

    def margins(self, size: int) -> tuple[int, int]:
        """What an axis is padded with, as far as windows reach: before and behind."""
        return self.padding, max(0, self._reach(self._count(size)) - self.padding - size)

    def padded(self, a: Tensor, fill: float) -> Tensor:
        """`a` with `fill` around it along the axis; `a` itself where no window leaves it."""
        margins = self.margins(a.shape[self.axis])
        return pad(a, [*[0, 0] * (-1 - self.axis), *margins], value=fill) if any(margins) else a

    def views(self, padded: Tensor) -> list[Tensor]:
        """For each place in a window the numbers that stand there in all windows: a view."""
        count = (padded.shape[self.axis] - self._reach(1)) // self.stride + 1
        starts = range(0, self.kernel * self.dilation, self.dilation)
        spans = [slice(at, at + self.stride * (count - 1) + 1, self.stride) for at in starts]
        return [padded[..., span] if self.axis == -1 else padded[..., span, :] for span in spans]

    def largest(self, a: Tensor) -> Tensor:
        """The largest number of each window."""
        first, *others = self.views(self.padded(a, -math.inf))
        best = torch.maximum(first, others[0]) if others else first
        for view in others[1:]:
            torch.maximum(best, view, out=best)
        return best

    def masks(self, a: Tensor, best: Tensor) -> list[Tensor]:
        """For each place in a window 1 where its number is the first of the `best`, else 0."""
        left, masks = torch.ones_like(best), []
        for view in self.views(self.padded(a, -math.inf))[:-1]:
            # Floats from the start: many times as fast as a conversion from bool.
            masks.append(torch.eq(view, best, out=torch.empty_like(best)).mul_(left))
            left = left - masks[-1]
        return [*masks, left]

    def spread(self, masks: list[Tensor], r: Tensor, size: int) -> Tensor:
        """The sum of the `masks` times `r`, each at its places of an axis of that `size`."""
        before, behind = self.margins(size)
        shape = list(r.shape)
        shape[self.axis] = before + size + behind
        out = r.new_zeros(shape)
        for mask, view in zip(masks, self.views(out), strict=True):
            view.addcmul_(mask, r)
        return out.narrow(self.axis, before, size)

    def _count(self, size: int) -> int:
        """How many windows there are; with `ceil` the last one may begin before the end and leave it."""
        room = size + 2 * self.padding - self._reach(1)
        count = -(-room // self.stride) + 1 if self.ceil else room // self.stride + 1
        return count - (self.ceil and (count - 1) * self.stride >= size + self.padding)

    def _reach(self, count: int) -> int:
        """How far so many windows reach from the start of the first."""
        return self.stride * (count - 1) + self.dilation * (self.kernel - 1) + 1


@dataclass(frozen=True)
class Chosen(OperationAt):
    """The numbers that stand where those of a point are largest in each window.

    Attributes:
        operation: The windows.
        point: Images, ``(N, channels, h, w)``.

    Examples:
        >>> import torch
        >>> near = MaxPool2d((1, 2), (1, 2)).at(torch.tensor([[[[5.0, 3.0]]]]))
        >>> near.image(torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1.]]]])
    """

    operation: MaxPool2d  # type: ignore[reportIncompatibleVariableOverride]

    @cached_property
    def best(self) -> tuple[Tensor, Tensor]:
        """The point's largest numbers, of windows along rows alone and of all."""
        rows, columns = self.operation.axes
        found = rows.largest(self.point)
        return found, columns.largest(found)

    @cached_property
    def masks(self) -> list[tuple[Windows, list[Tensor]]]:
        """For each axis its windows and their masks."""
        points = (self.point, self.best[0])
        steps = zip(self.operation.axes, points, self.best, strict=True)
        return [(windows, windows.masks(a, best)) for windows, a, best in steps]

    @property
    def value(self) -> Tensor:
        """The largest numbers of the point."""
        return self.operation(self.point) if self.point.requires_grad else self.best[1]

    def image(self, d: Tensor) -> Tensor:
        """The chosen numbers of `d`."""
        for windows, masks in self.masks:
            views = windows.views(windows.padded(d, 0.0))
            d = torch.stack([mask * view for mask, view in zip(masks, views, strict=True)]).sum(0)
        return d

    def adjoint(self, r: Tensor) -> Tensor:
        """`r` added up at the chosen places, the shape of the point."""
        for (windows, masks), size in zip(self.masks[::-1], self.point.shape[-2:], strict=True):
            r = windows.spread(masks, r, size)
        return r
