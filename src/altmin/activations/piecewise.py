"""Functions made of lines: the prox minimises on each piece and takes the best."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from altmin.activations.base import Activation


class Piece(NamedTuple):
    """A line on an interval: ``slope z + offset`` on ``[low, high]``.

    Attributes:
        low: Left end of the interval.
        high: Right end.
        slope: Slope of the line, >= 0.
        offset: Its value at zero.
        above: Whether the interval is open on the left, ``low < z``, as behind a jump.

    Examples:
        >>> Piece(0.0, 1.0, slope=2.0, offset=1.0).value(0.5)
        2.0
    """

    low: float
    high: float
    slope: float
    offset: float
    above: bool = False

    def start(self, dtype: torch.dtype) -> float:
        """The smallest representable point of the piece."""
        return self.low + torch.finfo(dtype).tiny if self.above else self.low

    def value(self, z: float) -> float:
        """The piece's line at `z`; a flat piece keeps its value at infinity."""
        return self.offset + (self.slope * z if self.slope else 0.0)


@dataclass(frozen=True)
class PiecewiseLinear(Activation):
    """A nondecreasing function made of lines; its prox is the global minimiser whatever the lines are.

    Attributes:
        pieces: The lines, from left to right; they cover the real numbers, and the function jumps upwards only.

    Raises:
        ValueError: Pieces with a gap or an overlap between them, or where the function falls.

    Examples:
        >>> import torch
        >>> clipped = PiecewiseLinear((Piece(-math.inf, 0.0, 0.0, 0.0), Piece(0.0, math.inf, 1.0, 0.0)))
        >>> clipped(torch.tensor([-2.0, 3.0]))
        tensor([0., 3.])
    """

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        ends = [-math.inf, *(p.high for p in self.pieces)]
        if ends[-1] != math.inf or any(p.low != end for p, end in zip(self.pieces, ends, strict=False)):
            spans = ", ".join(f"[{p.low:g}, {p.high:g}]" for p in self.pieces)
            raise ValueError(f"`pieces` must cover the line, each beginning where the one before ends; got {spans}")
        for p in self.pieces:
            if not 0.0 <= p.slope < math.inf:
                raise ValueError(f"`pieces` must not fall; the slope on [{p.low:g}, {p.high:g}] is {p.slope:g}")
        for left, right in pairwise(self.pieces):
            before, after = left.value(left.high), right.value(right.low)
            if after < before - 1e-9 * max(1.0, abs(before)):
                raise ValueError(
                    f"`pieces` must not fall; the value at {left.high:g} goes from {before:g} to {after:g}"
                )

    @property
    def differentiable(self) -> bool:
        """Whether any piece has a slope."""
        return any(p.slope for p in self.pieces)

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``, the value of the line on whose piece `z` lies."""
        return self._line(z, slopes=False)

    def derivative(self, z: Tensor) -> Tensor:
        """``s'(z)``, the slope of the piece on which `z` lies."""
        return self._line(z, slopes=True)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z 1/2 (s(z) - target)^2 + r/2 (z - v)^2``, elementwise: the best of the pieces' minimisers (P1)."""
        best, lowest = None, None
        for p in self.pieces:
            z = ((p.slope * (target - p.offset) + r * v) / (p.slope**2 + r)).clamp(p.start(v.dtype), p.high)
            value = (p.slope * z + p.offset - target).square() + r * (z - v).square()
            if best is None or lowest is None:
                best, lowest = z, value
            else:
                better = value < lowest
                best, lowest = torch.where(better, z, best), torch.where(better, value, lowest)
        assert best is not None
        return best

    def least_subgradient(self, z: Tensor, target: Tensor, g: Tensor, d: float) -> Tensor:
        """The element of least norm of the limiting subdifferential of ``g z + d/2 (s(z) - target)^2``, elementwise.

        Where two lines meet, with slopes `p` and `q` of the sum on the left and on the right, the set is ``[p, q]`` at
        a kink that is convex, ``p <= q``, else ``{p, q}``. Where `s` jumps and the sum is larger on the other side, no
        slope towards that side counts; where it is smaller there, the slope of the own side is what is left.
        """
        least = super().least_subgradient(z, target, g, d)
        for left, right in pairwise(self.pieces):
            before, after = left.value(left.high), right.value(right.low)
            p, q = (g + d * line.slope * (s - target) for line, s in ((left, before), (right, after)))
            if after - before <= 1e-9 * max(1.0, abs(before)):
                smaller = torch.where(p.abs() <= q.abs(), p, q)
                kink = torch.where(p <= q, torch.zeros_like(g).clamp(p, q), smaller)
                least = torch.where(z == left.high, kink, least)
            else:
                up = 2.0 * target < before + after  # the jump takes the value away from the target
                least = torch.where(z == left.high, torch.where(up, p.clamp_min(0.0), p), least)
                behind = z == torch.full_like(z, right.low) + torch.finfo(z.dtype).tiny
                least = torch.where(behind, torch.where(up, q, q.clamp_max(0.0)), least)
        return least

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """Ends of ``{z : |s(z) - a| <= eps}``, the shapes of `a`; ``low > high`` where the set is empty."""
        ends = [self._ends(p, a - eps, a + eps) for p in self.pieces]
        low = torch.stack([e[0] for e in ends]).amin(0)
        high = torch.stack([e[1] for e in ends]).amax(0)
        first, last = self.pieces[0], self.pieces[-1]
        empty = (a + eps < first.value(first.low)) | (a - eps > last.value(last.high))
        return torch.where(empty, math.inf, low), torch.where(empty, -math.inf, high)

    @staticmethod
    def _ends(p: Piece, least: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
        start = torch.full_like(least, p.start(least.dtype))
        end, inf = torch.full_like(least, p.high), torch.full_like(least, math.inf)
        at_start, at_end = p.value(p.low), p.value(p.high)
        crossing = (lambda y: (y - p.offset) / p.slope) if p.slope else (lambda y: start)
        low = torch.where(least <= at_start, start, torch.where(least <= at_end, crossing(least), inf))
        high = torch.where(most >= at_end, end, torch.where(most >= at_start, crossing(most), -inf))
        return low, high

    def _line(self, z: Tensor, slopes: bool) -> Tensor:
        out = torch.zeros_like(z)
        for p in self.pieces:
            inside = (z > p.low) if p.above or p.low > -math.inf else torch.ones_like(z, dtype=torch.bool)
            out = torch.where(inside, p.slope if slopes else p.slope * z + p.offset, out)
        return out
