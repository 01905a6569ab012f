"""The activation prox of smooth functions (P1), elementwise: global, by safeguarded Newton."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

GRID = 65
CHUNK = 1 << 15
NEWTON_STEPS = 100


class Smoothness(Protocol):
    """A function with two derivatives, but for kinks, that is constant or a line through zero far from it."""

    @property
    def curvature(self) -> float:
        """A bound on ``|s''|``, infinite where ``s'`` jumps."""
        ...

    @property
    def active(self) -> float:
        """``s`` is constant or linear to rounding beyond ``|z| = active``."""
        ...

    @property
    def slope(self) -> float:
        """The slope of that line."""
        ...

    @property
    def cuts(self) -> tuple[float, ...]:
        """Where ``s`` turns or ``s'`` jumps, in ascending order: valleys on either side may be close together."""
        ...

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z)``."""
        ...

    def derivatives(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``s, s', s''`` at `z`."""
        ...


class Increasing(Smoothness, Protocol):
    """Such a function that increases."""

    def extended_inverse(self, y: Tensor) -> Tensor:
        """``s^{-1}(y)``, infinite outside the range."""
        ...


class Turning(Smoothness, Protocol):
    """Such a function that may fall and rise."""

    @property
    def steepness(self) -> float:
        """A bound on ``|s'|``."""
        ...


def smooth_prox(s: Increasing, v: Tensor, r: float, a: Tensor) -> Tensor:
    """``argmin_z 1/2 (s(z) - a)^2 + r/2 (z - v)^2``, elementwise: the global minimiser (P1).

    The minimiser lies between `v` and the point where ``s = a``, no further from `v` than ``|s(v) - a|/sqrt(r)``. Where
    ``r`` exceeds the curvature there, the problem is convex and Newton starts at once; elsewhere a grid finds the
    valleys first.

    Args:
        s: The activation function.
        v: Centres, any shape.
        r: Weight of the proximal term, > 0.
        a: Target values, the shape of `v`.

    Examples:
        >>> from altmin.activations import Tanh
        >>> smooth_prox(Tanh(), torch.tensor([0.0]), 1e6, torch.tensor([1.0])).abs() < 1e-5  # a heavy proximal term
        tensor([True])
    """
    gap = s(v) - a
    reach = v - gap / math.sqrt(r)
    crossing = s.extended_inverse(a)
    down = gap > 0
    end = torch.where(down, torch.maximum(reach, crossing).minimum(v), torch.minimum(reach, crossing).maximum(v))
    low, high = torch.where(down, end, v), torch.where(down, v, end)
    return _solve(s, a, v, r, low, high, convex=s.curvature * gap.abs() < r)


def turning_prox(s: Turning, v: Tensor, r: float, a: Tensor) -> Tensor:
    """``argmin_z 1/2 (s(z) - a)^2 + r/2 (z - v)^2``, elementwise and global, for a function that turns, as GELU does.

    Valleys may lie on both sides of `v`, no further than ``|s(v) - a|/sqrt(r)``. Where ``r`` exceeds the curvature
    times the largest ``|s - a|`` there, the problem is convex and Newton starts at once; elsewhere a grid on either
    side of the turn finds the valleys.

    Args:
        s: The activation function.
        v: Centres, any shape.
        r: Weight of the proximal term, > 0.
        a: Target values, the shape of `v`.

    Examples:
        >>> from altmin.activations import GELU
        >>> turning_prox(GELU(), torch.tensor([-3.0]), 1e-6, torch.tensor([0.0])) < -3.0  # it rises to 0 on the left
        tensor([True])
    """
    gap = (s(v) - a).abs()
    reach = gap / math.sqrt(r)
    return _solve(s, a, v, r, v - reach, v + reach, convex=s.curvature * (gap + s.steepness * reach) < r)


def _solve(s: Smoothness, a: Tensor, v: Tensor, r: float, low: Tensor, high: Tensor, convex: Tensor) -> Tensor:
    """The minimiser in ``[low, high]``: by Newton where the problem is convex, else by grids between the cuts."""
    z = v.clone()
    z[convex] = _newton(s, a[convex], v[convex], r, low[convex], high[convex])
    rough = (~convex).nonzero(as_tuple=True)
    for chunk in zip(*(index.split(CHUNK) for index in rough), strict=True) if rough else ():
        z[chunk] = _by_grids(s, a[chunk], v[chunk], r, low[chunk], high[chunk])
    return z


def _objective(s: Smoothness, a: Tensor, v: Tensor, r: float, z: Tensor) -> Tensor:
    return (s(z) - a).square() + r * (z - v).square()


def _by_grids(s: Smoothness, a: Tensor, v: Tensor, r: float, low: Tensor, high: Tensor) -> Tensor:
    """The best of all valleys; outside the active region only `v` or the line's minimiser is stationary."""
    between = list(pairwise((-s.active, *s.cuts, s.active)))
    found = [_in_valleys(s, a, v, r, low.clamp(*ends), high.clamp(*ends)) for ends in between]
    outside = torch.stack([v, (s.slope * a + r * v) / (s.slope**2 + r)])
    candidates = torch.cat([*found, torch.where(outside.abs() > s.active, outside, found[0])])
    best = _objective(s, a, v, r, candidates).argmin(0, keepdim=True)
    return candidates.gather(0, best)[0]


def _in_valleys(s: Smoothness, a: Tensor, v: Tensor, r: float, low: Tensor, high: Tensor) -> Tensor:
    """The minimisers in the two deepest valleys of a grid, ``(2, N)``, by Newton."""
    t = torch.linspace(0, 1, GRID, dtype=v.dtype, device=v.device)[:, None]
    points = low + t * (high - low)
    values = _objective(s, a, v, r, points)
    edge = values.new_full((1, values.shape[1]), math.inf)
    valley = (values <= torch.cat([edge, values[:-1]])) & (values <= torch.cat([values[1:], edge]))
    deepest = torch.where(valley, values, math.inf).topk(2, dim=0, largest=False).indices
    left = points.gather(0, (deepest - 1).clamp_min(0))
    right = points.gather(0, (deepest + 1).clamp_max(GRID - 1))
    return _newton(s, a.expand(2, -1), v.expand(2, -1), r, left, right)


def _newton(s: Smoothness, a: Tensor, v: Tensor, r: float, low: Tensor, high: Tensor) -> Tensor:
    """A zero of half the derivative in ``[low, high]``, bisecting where Newton would leave the bracket."""
    z = 0.5 * (low + high)
    if z.numel() == 0:
        return z
    tolerance = 4 * torch.finfo(z.dtype).eps
    for _ in range(NEWTON_STEPS):
        value, slope, curve = s.derivatives(z)
        g = slope * (value - a) + r * (z - v)
        h = slope.square() + curve * (value - a) + r
        low, high = torch.where(g < 0, z, low), torch.where(g > 0, z, high)
        step = z - g / h
        new = torch.where((h > 0) & (step >= low) & (step <= high), step, 0.5 * (low + high))
        settled = (new - z).abs() <= tolerance * (1 + new.abs())
        z = new
        if settled.all():
            break
    return z
