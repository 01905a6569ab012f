"""The prox of softmax cross-entropy (P2), ``argmin_z log sum exp z - <y, z> + r/2 ||z - v||^2``, a row at a time.

Both solvers work in float64 whatever the dtype of `v`: at the papers' ``r = 1e-6`` the probabilities differ from `y`
by less than float32 resolves. Rows that have converged leave the iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from altmin.errors import DivergenceError

PART = 2**16  # numbers that are solved for at once: with a dozen temporaries they stay in cache
NEWTON_STEPS = 200
HALVINGS = 60
FISTA_STEPS = 500
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


Rows = Callable[[Tensor, Tensor, Tensor, float, float], Tensor]


def _by_rows(solve: Rows, v: Tensor, y: Tensor, r: float, start: Tensor | None, tol: float | None) -> Tensor:
    if not (torch.isfinite(v).all() and (start is None or torch.isfinite(start).all())):
        raise DivergenceError("Z_L", "nan or inf in the last layer's input", "smaller steps or a larger penalty")
    tol = tol or (1e-9 if v.dtype == torch.float64 else 1e-6)
    rows = max(1, PART // v.shape[1])
    parts = zip(*(t.split(rows) for t in (v if start is None else start, v, y)), strict=True)
    return torch.cat([solve(z.double(), v.double(), y.double(), r, tol).to(v.dtype) for z, v, y in parts])


def _value(z: Tensor, v: Tensor, y: Tensor, r: float) -> Tensor:
    """Row objectives, with ``log sum exp z - <y, z>`` formed as ``log sum exp (z - <y, z>)`` to keep its digits."""
    return torch.logsumexp(z - (y * z).sum(1, keepdim=True), 1) + 0.5 * r * (z - v).square().sum(1)


def _newton(z: Tensor, v: Tensor, y: Tensor, r: float, tol: float) -> Tensor:
    z = z.clone()
    rows = torch.arange(len(z), device=z.device)
    for _ in range(NEWTON_STEPS):
        zr, vr, yr = z[rows], v[rows], y[rows]
        direction, decrement = _newton_direction(zr, vr, yr, r)
        new, moved = _backtrack(zr, vr, yr, r, direction, decrement)
        z[rows] = new
        rows = rows[(decrement > tol**2 * r) & moved]
        if len(rows) == 0:
            return z
    raise DivergenceError("Z_L", f"{len(rows)} rows of the loss prox left after {NEWTON_STEPS} steps", "a larger rho")


def _newton_direction(z: Tensor, v: Tensor, y: Tensor, r: float) -> tuple[Tensor, Tensor]:
    """The Newton direction and the squared decrement ``g^T H^{-1} g`` of each row."""
    p = torch.softmax(z, 1)
    g = p - y + r * (z - v)
    inverse = 1.0 / (p + r)
    scaled = g * inverse
    coupling = (p * scaled).sum(1, keepdim=True) / (r * (p * inverse).sum(1, keepdim=True))
    direction = -(scaled + coupling * p * inverse)
    return direction, -(g * direction).sum(1)


def _backtrack(
    z: Tensor, v: Tensor, y: Tensor, r: float, direction: Tensor, decrement: Tensor
) -> tuple[Tensor, Tensor]:
    """Halve the step until Armijo's condition holds, a row at a time; rows without descent stay and say so."""
    before = _value(z, v, y, r)
    t, new, enough = torch.ones_like(before), z, before < before
    for _ in range(HALVINGS):
        new = z + t[:, None] * direction
        enough = (_value(new, v, y, r) <= before - 1e-4 * t * decrement) | (decrement <= CERTAIN)
        if enough.all():
            return new, enough
        t = torch.where(enough, t, 0.5 * t)
    return torch.where(enough[:, None], new, z), enough


def _fista(z: Tensor, v: Tensor, y: Tensor, r: float, tol: float, iterations: int) -> Tensor:
    z = z.clone()
    rows = torch.arange(len(z), device=z.device)
    ahead, t = z.clone(), 1.0
    for _ in range(iterations):
        gradient = torch.softmax(ahead, 1) - y[rows]
        new = (ahead - 2.0 * gradient + 2.0 * r * v[rows]) / (1.0 + 2.0 * r)
        t, t_before = 0.5 * (1.0 + (1.0 + 4.0 * t * t) ** 0.5), t
        ahead = new + (t_before - 1.0) / t * (new - z[rows])
        moving = (new - z[rows]).abs().amax(1) > tol
        z[rows] = new
        rows, ahead = rows[moving], ahead[moving]
        if len(rows) == 0:
            break
    return z
