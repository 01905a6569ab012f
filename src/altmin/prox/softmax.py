"""The prox of softmax cross-entropy (P2), ``argmin_z log sum exp z - <y, z> + r/2 ||z - v||^2``, a row at a time.

Both solvers work in float64 whatever the dtype of `v`: at the papers' ``r = 1e-6`` the probabilities differ from `y`
by less than float32 resolves. Rows that have converged leave the iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from altmin.errors import DivergenceError

PART = 2**16  # numbers that are solved for at once: with a dozen temporaries they stay in cache
NEWTON_STEPS = 200
HALVINGS = 60
FISTA_STEPS = 500
CROWDED = 0.7  # the share of columns at work below which the others are left behind
CERTAIN = 1e-12  # below this decrement Newton converges, and the decrease is lost in the objective's rounding


def softmax_prox_newton(
    v: Tensor, r: float, y: Tensor, start: Tensor | None = None, tol: float | None = None
) -> Tensor:
    """``argmin_z log sum exp z - <y, z> + r/2 ||z - v||^2`` by damped Newton, a row at a time (P2).

    The Hessian ``diag(p) - p p^T + r I`` is inverted by Sherman-Morrison; its denominator is formed as
    ``r sum p/(p + r)``, which keeps its digits for small `r`. A row stops when its Newton decrement is at most
    ``tol sqrt(r)``, which puts `z` within `tol` of the minimiser, or when rounding stops its progress.

    Args:
        v: Centres, ``(N, q)``.
        r: Weight of the proximal term, > 0.
        y: Targets, ``(N, q)``, rows that sum to one.
        start: First iterate, ``(N, q)``; `v` where it is not given.
        tol: Accuracy of `z`; 1e-9 in float64 and 1e-6 otherwise where it is not given.

    Raises:
        DivergenceError: `v` holds nan or inf, or a row needs more than 200 steps.

    Examples:
        >>> v, y = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> z = softmax_prox_newton(v, 1.0, y)  # stationary: softmax(z) - y + z - v = 0
        >>> bool(((torch.softmax(z, 1) - y + z - v).abs() < 1e-5).all())
        True
    """
    return _by_rows(_newton, v, y, r, start, tol)


def softmax_prox_fista(
    v: Tensor,
    r: float,
    y: Tensor,
    start: Tensor | None = None,
    tol: float | None = None,
    iterations: int = FISTA_STEPS,
) -> Tensor:
    """``argmin_z log sum exp z - <y, z> + r/2 ||z - v||^2`` by FISTA, a row at a time, as the papers do (P2).

    The step is 2, the inverse of the loss's Lipschitz constant; so many iterations, or until no entry moves by
    more than `tol`. For small `r` this is slow, and may end before it has converged: that is what the papers ran.

    Args:
        v: Centres, ``(N, q)``.
        r: Weight of the proximal term, > 0.
        y: Targets, ``(N, q)``, rows that sum to one.
        start: First iterate, ``(N, q)``; `v` where it is not given.
        tol: Largest movement of an entry that counts as converged; 1e-9 in float64 and 1e-6 otherwise by default.
        iterations: The most; 500 in the authors' code.

    Raises:
        DivergenceError: `v` holds nan or inf.

    Examples:
        >>> v, y = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
        >>> bool(((softmax_prox_fista(v, 1.0, y) - softmax_prox_newton(v, 1.0, y)).abs() < 1e-5).all())
        True
    """
    return _by_rows(partial(_fista, iterations=iterations), v, y, r, start, tol)


Columns = Callable[[Tensor, Tensor, Tensor, float, float], Tensor]


class _Point(NamedTuple):
    """Iterates, one a column, with what their exponentials give.

    Attributes:
        z: The iterates, ``(q, N)``.
        p: ``softmax(z)``, the same shape.
        value: The objectives, ``(N,)``.
    """

    z: Tensor
    p: Tensor
    value: Tensor

    @classmethod
    def at(cls, z: Tensor, v: Tensor, y: Tensor, r: float) -> _Point:
        """The point `z`; ``log sum exp z - <y, z>`` is formed from differences to the largest entry."""
        top = z.amax(0)
        p = (z - top).exp_()
        total = p.sum(0)
        loss = total.log() + (top - (y * z).sum(0))
        return cls(z, p.div_(total), loss.add_((z - v).square_().sum(0), alpha=0.5 * r))

    def where(self, choice: Tensor, other: _Point) -> _Point:
        """This point in the chosen columns, the other one elsewhere."""
        z, p, value = (torch.where(choice, own, its) for own, its in zip(self, other, strict=True))
        return _Point(z, p, value)

    def of(self, columns: Tensor) -> _Point:
        """These columns."""
        z, p, value = (t.index_select(-1, columns) for t in self)
        return _Point(z, p, value)


def _by_rows(solve: Columns, v: Tensor, y: Tensor, r: float, start: Tensor | None, tol: float | None) -> Tensor:
    if not (torch.isfinite(v).all() and (start is None or torch.isfinite(start).all())):
        raise DivergenceError("Z_L", "nan or inf in the last layer's input", "smaller steps or a larger penalty")
    tol = tol or (1e-9 if v.dtype == torch.float64 else 1e-6)
    rows = max(1, PART // v.shape[1])
    parts = zip(*(t.split(rows) for t in (v if start is None else start, v, y)), strict=True)
    found = [solve(_columns(z), _columns(v), _columns(y), r, tol) for z, v, y in parts]
    return torch.cat([z.T.to(v.dtype) for z in found])


def _columns(t: Tensor) -> Tensor:
    """The rows as columns, in float64: sums over a few classes then are sums of long contiguous rows."""
    return t.T.to(torch.float64, memory_format=torch.contiguous_format)


def _newton(z: Tensor, v: Tensor, y: Tensor, r: float, tol: float) -> Tensor:
    found = z.clone()
    left, going = torch.arange(z.shape[1], device=z.device), torch.ones_like(z[0], dtype=torch.bool)
    now = _Point.at(z, v, y, r)
    for _ in range(NEWTON_STEPS):
        direction, decrement = _newton_direction(now, v, y, r)
        idle = torch.where(going, decrement, 0.0)  # columns that have ended take whole steps, and ask for no halvings
        now, moved = _backtrack(now, v, y, r, direction, idle)
        going, before = going & (decrement > tol**2 * r) & moved, going
        ended = (before & ~going).nonzero()[:, 0]
        found.index_copy_(1, left[ended], now.z.index_select(1, ended))
        if (count := int(going.sum())) == 0:
            return found
        if count < CROWDED * len(left):  # leaving columns behind costs more than a few idle ones
            some = going.nonzero()[:, 0]
            left, going = left[some], going[some]
            now, v, y = now.of(some), v.index_select(1, some), y.index_select(1, some)
    raise DivergenceError("Z_L", f"{len(left)} rows of the loss prox left after {NEWTON_STEPS} steps", "a larger rho")


def _newton_direction(now: _Point, v: Tensor, y: Tensor, r: float) -> tuple[Tensor, Tensor]:
    """The Newton direction and the squared decrement ``g^T H^{-1} g`` of each column."""
    g = (now.p - y).add_(now.z - v, alpha=r)
    inverse = (now.p + r).reciprocal_()
    weighted, scaled = now.p * inverse, g * inverse
    coupling = (now.p * scaled).sum(0) / (r * weighted.sum(0))
    direction = scaled.add_(weighted.mul_(coupling)).neg_()
    return direction, (g.mul_(direction)).sum(0).neg_()


def _backtrack(
    now: _Point, v: Tensor, y: Tensor, r: float, direction: Tensor, decrement: Tensor
) -> tuple[_Point, Tensor]:
    """Halve the step until Armijo's condition holds, a column at a time; columns without descent stay and say so."""
    t = torch.ones_like(now.value)
    new, enough = now, now.value < now.value
    for _ in range(HALVINGS):
        new = _Point.at(torch.addcmul(now.z, direction, t), v, y, r)
        enough = (new.value <= now.value - 1e-4 * t * decrement) | (decrement <= CERTAIN)
        if enough.all():
            return new, enough
        t = torch.where(enough, t, 0.5 * t)
    return new.where(enough, now), enough


def _fista(z: Tensor, v: Tensor, y: Tensor, r: float, tol: float, iterations: int) -> Tensor:
    z = z.clone()
    left = torch.arange(z.shape[1], device=z.device)
    ahead, t = z.clone(), 1.0
    for _ in range(iterations):
        gradient = torch.softmax(ahead, 0) - y[:, left]
        new = (ahead - 2.0 * gradient + 2.0 * r * v[:, left]) / (1.0 + 2.0 * r)
        t, t_before = 0.5 * (1.0 + (1.0 + 4.0 * t * t) ** 0.5), t
        ahead = new + (t_before - 1.0) / t * (new - z[:, left])
        moving = (new - z[:, left]).abs().amax(0) > tol
        z[:, left] = new
        left, ahead = left[moving], ahead[:, moving]
        if len(left) == 0:
            break
    return z
