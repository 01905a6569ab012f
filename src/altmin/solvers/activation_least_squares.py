"""Activations by least squares (P5): densely below a linear layer, by conjugate gradients below any other map."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.maps import LinearMap
from altmin.precision import exact
from altmin.solvers.statistics import pieces
from altmin.solvers.weight_least_squares import cholesky

STEPS = 100
HALVINGS = 30


class ActivationLeastSquares:
    """``argmin_A c1 ||V - A W^T||^2 + c2 ||A - T||^2`` (P5) for any number of samples: factor once, solve often.

    Below a linear layer the smaller side of `W` is factored: with ``M = c1 W^T W + c2 I`` the minimiser is
    ``(c1 V W + c2 T) M^{-1}``, and with ``M = c1 W W^T + c2 I`` it is ``T + c1 (V - T W^T) M^{-1} W``; either way two
    products over the samples.

    Behind max pooling the problem is not convex: the largest number of each window is held where it is at present, and
    a sample whose true objective rose goes back half-way until it does not.

    Args:
        map: The layer above; ``A W^T`` stands for its value without the intercept.
        W: Its weights.
        c1: Weight of the layer above, > 0.
        c2: Weight of the target, > 0.

    Raises:
        DivergenceError: nan or inf; the call raises it too.
    """

    def __init__(self, map: LinearMap, W: Tensor, c1: float, c2: float):
        self.map, self.W, self.c1, self.c2 = map, W, c1, c2
        if map.dense:
            self.wide = len(W) < W.shape[1]
            self.gain = self._gain(W if self.wide else W.T)

    def __call__(self, v: Tensor, target: Tensor, now: Tensor) -> Tensor:
        """The activations, in the shape of `now`.

        Args:
            v: ``V``, what the layer above is to give, without the intercept.
            target: ``T``.
            now: The present activations, where conjugate gradients start.
        """
        if not self.map.dense:
            return torch.cat([self._iterated(v[part], target[part], now[part]) for part in pieces(self.map, now)])
        if self.wide:
            return target.addmm(v.addmm(target, self.W.T, alpha=-1.0), self.gain, alpha=self.c1)
        return target.addmm(v, self.W, beta=self.c2, alpha=self.c1) @ self.gain

    @exact()
    def _gain(self, side: Tensor) -> Tensor:
        """``M^{-1} W`` where `W` is wide, else ``M^{-1}``; ``M = c1 side side^T + c2 I``."""
        normal = self.c1 * (side @ side.T)
        normal.diagonal().add_(self.c2)
        factor = cholesky(normal, "A")
        return torch.cholesky_solve(self.W, factor) if self.wide else torch.cholesky_inverse(factor)

    def _iterated(self, v: Tensor, target: Tensor, now: Tensor) -> Tensor:
        return _iterated(self.map, self.W, v, self.c2 * target, now, self.c1, self.c2)


def _iterated(map: LinearMap, W: Tensor, v: Tensor, rhs: Tensor, now: Tensor, c1: float, shift: float) -> Tensor:
    near = map.at(now)

    def normal(d: Tensor) -> Tensor:
        return (shift * d).add_(near.adjoint(W, near.image(W, d)), alpha=c1)

    new = conjugate_gradients(normal, torch.add(rhs, near.adjoint(W, v), alpha=c1), now)
    if not map.piecewise:
        return new

    def value(a: Tensor) -> Tensor:  # the objective without its constant
        miss = map.product(W, a) - v
        return c1 * miss.square().flatten(1).sum(1) + (a * (shift * a - 2 * rhs)).flatten(1).sum(1)

    return without_rise(value, new, now)


def conjugate_gradients(
    normal: Callable[[Tensor], Tensor], rhs: Tensor, start: Tensor, block: str = "A", steps: int = STEPS
) -> Tensor:
    """``argmin_x 1/2 <x, H x> - <rhs, x>``, that is ``H x = rhs``, for each sample by itself, from `start`.

    Each step lowers every sample's objective. They end where every residual is below the square root of the machine
    precision relative to `rhs`, or after `steps`.

    Args:
        normal: Applies `H`, symmetric positive definite on each sample, to a tensor in the shape of `rhs`.
        rhs: The right-hand sides, ``(N, ...)``.
        start: The first iterate.
        block: Whose update this is, for errors.
        steps: Most steps.

    Raises:
        DivergenceError: nan or inf.
    """
    x, r = start, rhs - normal(start)
    p, size = r, _dot(r, r)
    goal = torch.finfo(rhs.dtype).eps * _dot(rhs, rhs)
    for _ in range(steps):
        if bool((size <= goal).all()):
            break
        bend = normal(p)
        step = _quotient(size, _dot(p, bend))
        x, r = torch.addcmul(x, step, p), torch.addcmul(r, step, bend, value=-1.0)
        before, size = size, _dot(r, r)
        p = torch.addcmul(r, _quotient(size, before), p)
    if not torch.isfinite(size).all():
        raise DivergenceError(block, "nan or inf in conjugate gradients", "smaller steps or a larger penalty")
    return x


def without_rise(value: Callable[[Tensor], Tensor], new: Tensor, old: Tensor) -> Tensor:
    """`new`, but each sample whose `value` rose is moved back towards `old`, half-way at a time, until it did not.

    Args:
        value: The objective of each sample, ``(N,)``.
        new: Where a model of the objective has its minimum, ``(N, ...)``.
        old: Where the model touches the objective.
    """
    before = value(old)
    most = before + 8 * torch.finfo(old.dtype).eps * before.abs()
    for _ in range(HALVINGS):
        rose = column(value(new) > most, new)
        if not rose.any():
            return new
        new = torch.where(rose, 0.5 * (new + old), new)
    return torch.where(column(value(new) > most, new), old, new)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products sample by sample, in a shape that broadcasts."""
    return column((a * b).flatten(1).sum(1), a)


def column(t: Tensor, like: Tensor) -> Tensor:
    """One number a sample, in a shape that broadcasts over `like`; a scalar stays as it is."""
    return t.view(-1, *[1] * (like.ndim - 1)) if t.ndim else t


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, torch.zeros_like(a))
