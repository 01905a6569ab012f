"""Activations by least squares (P5): densely below a linear layer, by conjugate gradients below any other map."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.maps import Linear, LinearMap
from altmin.solvers.ridge import cholesky, pieces

STEPS = 100
HALVINGS = 30


def solve_activations(
    map: LinearMap,
    W: Tensor,
    v: Tensor,
    target: Tensor,
    now: Tensor,
    c1: float,
    c2: float,
    a0: Tensor | None = None,
    d: float = 0.0,
) -> Tensor:
    """``argmin_A c1 ||V - A W^T||^2 + c2 ||A - T||^2 + d ||A - A0||^2`` (P5), the shape of `now`.

    Behind max pooling the problem is not convex: the largest number of each window is held where it is at `now`, and a
    sample whose true objective rose goes back half-way until it does not.

    Args:
        map: The layer above; ``A W^T`` stands for its value without the intercept.
        W: Its weights.
        v: ``V``, what it is to give, without the intercept.
        target: ``T``.
        now: The present activations, where conjugate gradients start.
        c1: Weight of the layer above, > 0.
        c2: Weight of `target`, > 0.
        a0: Centre of the proximal term; needed where ``d > 0``.
        d: Weight of the proximal term, >= 0.

    Raises:
        DivergenceError: nan or inf.
    """
    rhs = c2 * target
    if a0 is not None:
        rhs.add_(a0, alpha=d)
    if isinstance(map, Linear):
        return _dense(map, W, rhs.add_(map.adjoint(W, v, now), alpha=c1), c1, c2 + d)
    parts = [_iterated(map, W, v[part], rhs[part], now[part], c1, c2 + d) for part in pieces(map, now)]
    return torch.cat(parts)


def _dense(map: Linear, W: Tensor, rhs: Tensor, c1: float, shift: float) -> Tensor:
    normal = c1 * (W.T @ W)
    normal.diagonal().add_(shift)
    return rhs @ torch.cholesky_inverse(cholesky(normal, "A"))


def _iterated(map: LinearMap, W: Tensor, v: Tensor, rhs: Tensor, now: Tensor, c1: float, shift: float) -> Tensor:
    near = map.at(now)

    def normal(d: Tensor) -> Tensor:
        return (shift * d).add_(near.adjoint(W, near.image(W, d, now), now), alpha=c1)

    new = conjugate_gradients(normal, torch.add(rhs, near.adjoint(W, v, now), alpha=c1), now)
    if not map.piecewise:
        return new

    def value(a: Tensor) -> Tensor:  # the objective without its constant
        miss = map.image(W, a, a) - v
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
        if not torch.isfinite(size).all():
            raise DivergenceError(block, "nan or inf in conjugate gradients", "smaller steps or a larger penalty")
        if bool((size <= goal).all()):
            break
        bend = normal(p)
        step = _quotient(size, _dot(p, bend))
        x, r = torch.addcmul(x, step, p), torch.addcmul(r, step, bend, value=-1.0)
        before, size = size, _dot(r, r)
        p = torch.addcmul(r, _quotient(size, before), p)
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
        rose = _column(value(new) > most, new)
        if not rose.any():
            return new
        new = torch.where(rose, 0.5 * (new + old), new)
    return torch.where(_column(value(new) > most, new), old, new)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products sample by sample, in a shape that broadcasts."""
    return _column((a * b).flatten(1).sum(1), a)


def _column(t: Tensor, like: Tensor) -> Tensor:
    return t.view(-1, *[1] * (like.ndim - 1))


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b, torch.zeros_like(a))
