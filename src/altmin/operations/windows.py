"""Windows of images: along one axis, looked at in strided views, and their sizes as PyTorch's modules have them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad


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


def pair(value: Any) -> tuple[int, int]:
    """Height and width, where PyTorch's modules of images take one number for both, or the two."""
    return (value, value) if isinstance(value, int) else tuple(value)
