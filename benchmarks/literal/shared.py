"""What several of the papers print."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TRIALS = 1000
FISTA_STEPS = 500


def relu_prox(a: Tensor, v: Tensor, r: float) -> Tensor:
    """``argmin_z (relu(z) - a)^2 + r (z - v)^2``: the better of two candidates."""
    positive, negative = torch.relu((a + r * v) / (1 + r)), torch.clamp(v, max=0.0)

    def value(z: Tensor) -> Tensor:
        return (torch.relu(z) - a) ** 2 + r * (z - v) ** 2

    return torch.where(value(positive) < value(negative), positive, negative)


def softmax_prox(v: Tensor, y: Tensor, r: float, start: Tensor, tol: float = 1e-6) -> Tensor:
    """``argmin_z sum (log sum exp z - <y, z>) + r/2 ||z - v||^2`` by FISTA, at most 500 iterations."""
    z, ahead, t = start, start, 1.0
    for _ in range(FISTA_STEPS):
        gradient = torch.softmax(ahead, 1) - y + r * (ahead - v)
        new = ahead - gradient / (0.5 + r)
        after = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ahead = new + (t - 1) / after * (new - z)
        done, z, t = bool((new - z).abs().max() <= tol), new, after
        if done:
            break
    return z


def backtracked(
    x: Tensor,
    grad: Tensor,
    phi: Callable[[Tensor], Tensor],
    start: float,
    factor: float,
    clip: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    """``clip(x - grad/alpha)``, `alpha` multiplied until ``phi(x+) <= phi(x) + <grad, x+ - x> + alpha/2 ||x+ - x||^2``.

    Args:
        x: Where the step starts.
        grad: The gradient of `phi` there.
        phi: The objective: a number, or one for each row of `x`, which then has its own `alpha`.
        start: First `alpha`.
        factor: What it is multiplied by.
        clip: Projection on a box.
    """
    before = phi(x)
    alpha = torch.full_like(before, start)
    for _ in range(TRIALS):
        column = alpha[:, None] if alpha.ndim else alpha
        new = clip(x - grad / column)
        move = new - x
        bound = before + total(grad * move, before) + 0.5 * alpha * total(move * move, before)
        fails = phi(new) > bound
        if not fails.any():
            return new
        alpha = torch.where(fails, factor * alpha, alpha)
    raise ArithmeticError(f"no sufficient decrease after {TRIALS} trials (alpha={float(alpha.max()):.1e})")


def total(t: Tensor, like: Tensor) -> Tensor:
    """The sum over the entries of each row where `like` has a number for each, else over all."""
    return t.sum(1) if like.ndim else t.sum()
