"""Functions made of lines: each piece is minimised on, and the best taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import threshold


class Piece(NamedTuple):
    """``slope z + offset`` on ``[low, high]``; `above` marks a piece that is open below (``z > low``)."""

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
class PiecewiseLinear:
    """A nondecreasing function made of lines, given from left to right.

    `prox` minimises on each piece and takes the best, which is the global minimiser for any such function.
    """

    pieces: tuple[Piece, ...]
    differentiable: bool = True

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``."""
        return self._line(z, slope=False)

    def derivative(self, z: Tensor) -> Tensor:
        """The slope of the piece that holds `z`."""
        return self._line(z, slope=True)

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g``."""
        return g * self.derivative(z)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """``argmin_z (s(z) - a)^2 + r (z - v)^2``: the best of the pieces' minimisers (P1)."""
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

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """The ends of ``{z : |s(z) - a| <= eps}``; ``low > high`` where the set is empty."""
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

    def _line(self, z: Tensor, slope: bool) -> Tensor:
        out = torch.zeros_like(z)
        for p in self.pieces:
            inside = (z > p.low) if p.above or p.low > -math.inf else torch.ones_like(z, dtype=torch.bool)
            out = torch.where(inside, p.slope if slope else p.slope * z + p.offset, out)
        return out


class Identity(PiecewiseLinear):
    """``s(z) = z``."""

    def __init__(self):
        super().__init__((Piece(-math.inf, math.inf, 1.0, 0.0),))

    def __call__(self, z: Tensor) -> Tensor:
        """`z` itself, no copy."""
        return z

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """`g` itself."""
        return g


class ReLU(PiecewiseLinear):
    """``s(z) = max(z, 0)``."""

    def __init__(self):
        super().__init__((Piece(-math.inf, 0.0, 0.0, 0.0), Piece(0.0, math.inf, 1.0, 0.0)))

    def __call__(self, z: Tensor) -> Tensor:
        """``max(z, 0)``."""
        return torch.relu(z)

    def derivative(self, z: Tensor) -> Tensor:
        """1 where ``z > 0``, else 0."""
        return torch.gt(z, 0.0, out=torch.empty_like(z))  # many times as fast as a conversion from bool

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """`g` where ``z > 0``, else 0."""
        return torch.ops.aten.threshold_backward(g, z, 0.0)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        """The two candidates of P1 without their objectives.

        The positive piece wins where ``sqrt(r/(1 + r)) (a - v) < a``, that is ``v > -(sqrt(1 + 1/r) - 1) max(a, 0)``:
        the same choice as comparing the candidates, in fewer passes over the data.
        """
        positive = (target + r * v).div_(1.0 + r).clamp_min_(0.0)
        side = target.clamp_min(0.0).mul_(1.0 - math.sqrt(1.0 + 1.0 / r))
        # 0 and 1 as weights: ten times as fast as a choice by truth values, and as exact.
        return torch.lerp(v, positive, side.lt_(v))

    def interval(self, a: Tensor, eps: float) -> tuple[Tensor, Tensor]:
        """From ``a - eps``, or everywhere below where that is not positive, to ``a + eps``."""
        low = threshold(a - eps, 0.0, -math.inf)
        empty = threshold(-eps - a, 0.0, -math.inf).mul_(math.inf)  # infinite: positive where there is no such z
        return torch.maximum(low, empty), torch.minimum(a + eps, empty.neg_())


class LeakyReLU(PiecewiseLinear):
    """``s(z) = z`` for ``z > 0`` and ``t z`` below, for a slope `t` in ``[0, 1)``."""

    def __init__(self, t: float = 0.01):
        if not 0.0 <= t < 1.0:
            raise ValueError(f"`t`, the slope of LeakyReLU, must be in [0, 1), got {t}")
        super().__init__((Piece(-math.inf, 0.0, t, 0.0), Piece(0.0, math.inf, 1.0, 0.0)))


class Hardtanh(PiecewiseLinear):
    """``s(z) = min(max(z, low), high)``."""

    def __init__(self, low: float = -1.0, high: float = 1.0):
        middle = Piece(low, high, 1.0, 0.0)
        super().__init__((Piece(-math.inf, low, 0.0, low), middle, Piece(high, math.inf, 0.0, high)))


class Sign(PiecewiseLinear):
    """``s(z) = 1`` for ``z > 0`` and -1 elsewhere: two pieces, unlike `torch.sign`."""

    def __init__(self):
        below, above = Piece(-math.inf, 0.0, 0.0, -1.0), Piece(0.0, math.inf, 0.0, 1.0, above=True)
        super().__init__((below, above), differentiable=False)


class Step(PiecewiseLinear):
    """``s(z) = 1`` for ``z > 0`` and 0 elsewhere, the Heaviside function."""

    def __init__(self):
        below, above = Piece(-math.inf, 0.0, 0.0, 0.0), Piece(0.0, math.inf, 0.0, 1.0, above=True)
        super().__init__((below, above), differentiable=False)
