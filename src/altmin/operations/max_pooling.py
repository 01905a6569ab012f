"""Max pooling of images: the largest number of each window."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from altmin.fastest import fastest
from altmin.operations.base import Operation, OperationAt
from altmin.operations.windows import Windows, pair
from altmin.registration import converts

Pair = tuple[int, int]
TRIED = 64  # images that tell which way is faster


@converts(nn.MaxPool2d)
@dataclass(frozen=True)
class MaxPool2d(Operation):
    """`torch.nn.MaxPool2d`: linear while the largest number of each window stays where it is.

    The largest of each row's part of a window, then the largest of these, by strided views of the images. Where the
    derivative is wanted, too, PyTorch's own operator may be faster, which depends on the processor; of windows that do
    not overlap both give the same bits, and the one that takes less time here is used (`altmin.fastest`).

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

    @property
    def numbers(self) -> tuple[Pair, Pair, Pair, Pair, bool]:
        """What PyTorch's operators take beside the images."""
        return self.kernel, self.stride, self.padding, self.dilation, self.ceil

    @property
    def overlaps(self) -> bool:
        """Whether a number may lie in two windows."""
        return any(s <= d * (k - 1) for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True))

    def at(self, a: Tensor) -> ChosenByMasks | ChosenByPlaces:
        """The places where `a` is largest in each window: of equal numbers the first is the largest."""
        if self.overlaps or a.device.type != "cpu" or a.requires_grad:
            return ChosenByMasks(self, a)
        kinds, few = (ChosenByMasks, ChosenByPlaces), a[:TRIED]
        ways = [partial(_value_and_adjoint, kind, self, few) for kind in kinds]
        return kinds[fastest((self, few.shape, few.stride(), few.dtype), ways)](self, a)

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f'(a) d``: the numbers of `d` where `a` is largest in each window."""
        return self.at(a).image(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``f'(a)^T r``: `r` added up at the places where `a` is largest in each window."""
        return self.at(a).adjoint(r)


@dataclass(frozen=True)
class ChosenByMasks(OperationAt):
    """The numbers that stand where those of a point are largest in each window, found by masks of strided views.

    Attributes:
        operation: The windows.
        point: Images, ``(N, channels, h, w)``.

    Examples:
        >>> import torch
        >>> near = ChosenByMasks(MaxPool2d((1, 2), (1, 2)), torch.tensor([[[[5.0, 3.0]]]]))
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


@dataclass(frozen=True)
class ChosenByPlaces(OperationAt):
    """The same by PyTorch's operator, which gives the places.

    Attributes:
        operation: Windows that do not overlap.
        point: Images, ``(N, channels, h, w)``.

    Examples:
        >>> import torch
        >>> near = ChosenByPlaces(MaxPool2d((1, 2), (1, 2)), torch.tensor([[[[5.0, 3.0]]]]))
        >>> near.image(torch.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1.]]]])
    """

    operation: MaxPool2d  # type: ignore[reportIncompatibleVariableOverride]

    @cached_property
    def found(self) -> tuple[Tensor, Tensor]:
        """The point's largest numbers and their places in each image."""
        return torch.ops.aten.max_pool2d_with_indices(self.point, *self.operation.numbers)

    @property
    def value(self) -> Tensor:
        """The largest numbers of the point."""
        return self.found[0]

    def image(self, d: Tensor) -> Tensor:
        """The chosen numbers of `d`."""
        places = self.found[1]
        return d.flatten(-2).gather(-1, places.flatten(-2)).view(places.shape)

    def adjoint(self, r: Tensor) -> Tensor:
        """`r` at the chosen places, the shape of the point."""
        return torch.ops.aten.max_pool2d_with_indices_backward(r, self.point, *self.operation.numbers, self.found[1])


def _value_and_adjoint(kind: type[ChosenByMasks | ChosenByPlaces], operation: MaxPool2d, a: Tensor) -> Tensor:
    chosen = kind(operation, a)
    return chosen.adjoint(chosen.value)
