"""Quadratic approximation with the step size that backtracking would end at (P4, P6), without trial passes.

The papers minimise a quadratic ``phi`` by steps ``x+ = prox(x - grad/alpha)``, where ``alpha`` is multiplied by a
factor from its start until ``phi(x+) <= phi(x) + <grad, x+ - x> + alpha/2 ||x+ - x||^2``. Since ``phi`` is quadratic,
the test is ``<D, H D> <= alpha ||D||^2`` for the movement ``D`` and the Hessian ``H``: it needs no value of ``phi``,
and for a plain gradient step the ``alpha`` that passes is known at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.errors import DivergenceError
from altmin.precision import exact
from altmin.regularizers import Regularizer
from altmin.solvers.activation_least_squares import column

TRIALS = 1000


@dataclass(frozen=True)
class Backtracking:
    """Where the search for the step size starts and how it grows.

    Attributes:
        scale: What the first trial is multiplied by, >= 1.
        start: First trial; `None` starts at the exact quotient ``<g, H g>/||g||^2``, which passes at once for plain
            gradient steps and is then the exact line search. The papers' code starts at 1.
        factor: What a failed trial is multiplied by, > 1. The papers' code has 2.
        per_sample: Whether each sample's activations have a step size of their own, or all samples one.
    """

    start: float | None = None
    factor: float = 2.0
    scale: float = 1.0
    per_sample: bool = True

    def __post_init__(self):
        if self.start is not None and not self.start > 0:
            raise ValueError(f"`start` must be > 0 or None, got {self.start}")
        if not self.factor > 1:
            raise ValueError(f"`factor` must be > 1, got {self.factor}")

    def first(self, quotient: Tensor) -> Tensor:
        """The first trial of the loop that is at least `quotient`, elementwise: ``start factor^k``, ``k >= 0``."""
        if self.start is None:
            return self.scale * quotient
        start = self.scale * self.start
        floor = torch.finfo(quotient.dtype).tiny
        k = (quotient.clamp_min(floor).log() - math.log(start)) / math.log(self.factor)
        k = (k.ceil() - 1).clamp_min(0)
        trial = start * self.factor**k
        # Rounding of the logarithm may be off by one power either way: step up exactly as the loop would.
        for _ in range(3):
            trial = torch.where(trial < quotient, trial * self.factor, trial)
        return trial

    def at(self, rows: slice, some: Tensor | slice) -> Self:
        """The same search, for `some` of these samples; who looks at step sizes then knows whose they are."""
        return self

    def accept(self, size: Tensor) -> None:
        """Is told each step size that is taken: a scalar, or ``(N,)`` for samples that have their own; does nothing."""


@exact()
def weights_step(
    W: Tensor,
    gram: Tensor,
    pull: Tensor,
    c: float,
    regularizer: Regularizer,
    search: Backtracking,
    *,
    center: Tensor | None = None,
    d: float = 0.0,
    block: str = "W",
) -> Tensor:
    """One step ``W+ = prox_Omega(W - grad/alpha)`` on ``c/2 ||V - A W^T||^2 + d/2 ||W - W0||^2 + Omega(W)`` (P4).

    It is `gradient_step` where the gradient and the curvature come from statistics. The matrices are small: no pass
    over the samples.

    Args:
        W: Present weights, ``(q, p)``.
        gram: ``G = A^T A``, ``(p, p)``.
        pull: ``c V^T A``, ``(q, p)``.
        c: Weight of the squares, > 0.
        regularizer: ``Omega``.
        search: Start and factor of the trials.
        center: ``W0``, ``(q, p)``; needed where ``d > 0``.
        d: Weight of the proximal term, >= 0.
        block: Whose update this is, for errors.

    Raises:
        DivergenceError: No trial passed.
    """
    grad = c * (W @ gram) - pull
    if center is not None:
        grad = grad + d * (W - center)

    def curvature(move: Tensor) -> Tensor:
        return c * (move @ gram).mul_(move).sum() + d * move.square().sum()

    return gradient_step(W, grad, curvature, regularizer, search, block)


def gradient_step(
    W: Tensor,
    grad: Tensor,
    curvature: Callable[[Tensor], Tensor],
    regularizer: Regularizer,
    search: Backtracking,
    block: str = "W",
) -> Tensor:
    """One step ``W+ = prox_Omega(W - grad/alpha)`` on a quadratic ``phi(W)`` plus ``Omega(W)`` (P4).

    ``alpha`` is where the papers' backtracking loop ends: the first trial with ``<D, H D> <= alpha ||D||^2``,
    ``D = W+ - W``.

    Args:
        W: Present weights, ``(q, p)``.
        grad: The gradient of ``phi`` there.
        curvature: ``<D, H D>`` of a movement, a scalar.
        regularizer: ``Omega``.
        search: Start and factor of the trials.
        block: Whose update this is, for errors.

    Raises:
        DivergenceError: No trial passed.
    """
    size = grad.square().sum()
    quotient = torch.where(size > 0, curvature(grad) / size, size)
    alpha = search.first(quotient)
    if regularizer.is_zero:
        search.accept(alpha)
        return torch.where(alpha == 0, W, W - grad / alpha)
    if search.start is not None:
        alpha = search.first(torch.zeros_like(quotient))
    alpha = torch.where(alpha > 0, alpha, torch.ones_like(alpha))
    for _ in range(TRIALS):
        new = regularizer.prox(W - grad / alpha, alpha)
        move = new - W
        if curvature(move) <= alpha * move.square().sum() * (1 + 8 * torch.finfo(W.dtype).eps):
            search.accept(alpha)
            return new
        alpha = alpha * search.factor
    raise DivergenceError(
        block, f"no sufficient decrease after {TRIALS} trials (alpha={float(alpha):.1e})", "a smaller weight"
    )


def activations_step(
    a: Tensor, grad: Tensor, image: Tensor, c1: float, c2: float, search: Backtracking, batch: Batch
) -> tuple[Tensor, Tensor]:
    """One step ``A+ = A - grad/tau`` on ``c1/2 ||V - A W^T||^2 + c2/2 ||A - T||^2`` (P6).

    ``tau`` is where backtracking ends: the first trial with ``c1 ||g W^T||^2 + c2 ||g||^2 <= tau ||g||^2``, for each
    sample or for all together.

    Args:
        a: Present activations, ``(N, ...)``.
        grad: The gradient ``g`` there, the same shape.
        image: ``g W^T``, what the layer above makes of it.
        c1: Weight of the layer above, > 0.
        c2: Weight of the target, >= 0.
        search: Start and factor of the trials, and whether each sample has its own ``tau``.
        batch: Whose samples they are.

    Returns:
        ``A+``, and what the layer above makes of the movement.
    """
    tau = _tau(grad, image, c1, c2, search, batch)
    search.accept(tau)
    step = torch.where(tau > 0, -1.0 / tau, torch.zeros_like(tau))
    return torch.addcmul(a, grad, column(step, a)), image * column(step, image)


def shortened_step(
    a: Tensor,
    grad: Tensor,
    image: Tensor,
    c1: float,
    c2: float,
    low: Tensor,
    high: Tensor,
    search: Backtracking,
    batch: Batch,
) -> tuple[Tensor, Tensor]:
    """One step ``A+ = A - grad/tau`` of each sample that ends within a box by itself (mDLAM, Algorithm 3 as printed).

    ``tau`` is where backtracking ends, as in `activations_step`, among those for which ``low <= A+ <= high``. A sample
    with an entry at the end of its interval that wants to leave it stays where it is.

    Args:
        a: Present activations, ``(N, ...)``.
        grad: The gradient there, the same shape.
        image: ``grad W^T``, what the layer above makes of it.
        c1: Weight of the layer above, > 0.
        c2: Weight of squares of the activations themselves, >= 0.
        low: Lower ends.
        high: Upper ends.
        search: Start and factor of the trials; each sample has its own ``tau``.
        batch: Whose samples they are.

    Returns:
        ``A+``, and what the layer above makes of the movement.
    """
    room = torch.where(grad > 0, a - low, high - a).clamp_min(0.0)
    least = torch.where(grad == 0, 0.0, grad.abs() / room).flatten(1).amax(1)
    tau = torch.maximum(_tau(grad, image, c1, c2, replace(search, per_sample=True), batch), search.first(least))
    search.accept(tau)
    step = torch.where(tau > 0, -1.0 / tau, torch.zeros_like(tau))
    return torch.addcmul(a, grad, column(step, a)).clamp_(low, high), image * column(step, image)


def clipped_step(
    a: Tensor,
    grad: Tensor,
    image: Callable[[Tensor], Tensor],
    c1: float,
    c2: float,
    low: Tensor,
    high: Tensor,
    search: Backtracking,
    batch: Batch,
) -> tuple[Tensor, Tensor]:
    """One step ``A+ = clip(A - grad/tau, low, high)`` on the objective of P6 within a box (mDLAM, equation 6).

    ``tau`` is where backtracking ends, for each sample or for all: the first trial with
    ``c1 ||D W^T||^2 + c2 ||D||^2 <= tau ||D||^2``, ``D = A+ - A``. ``tau = c1 ||W||_2^2 + c2`` always passes, so the
    loop is short.

    Args:
        a: Present activations inside the box, ``(N, ...)``.
        grad: The gradient there, the same shape.
        image: What the layer above makes of a movement, ``D W^T``.
        c1: Weight of the layer above, > 0.
        c2: Weight of squares of the activations themselves, >= 0.
        low: Lower ends.
        high: Upper ends.
        search: Start and factor of the trials, and whether each sample has its own ``tau``.
        batch: Whose samples they are.

    Returns:
        ``A+``, and what the layer above makes of the movement.

    Raises:
        DivergenceError: No trial passed.
    """
    tau = _tau(grad, image(grad), c1, c2, search, batch)
    if search.start is not None:
        tau = search.first(torch.zeros_like(tau))
    tau = torch.where(tau > 0, tau, torch.ones_like(tau))
    slack = 1 + 16 * torch.finfo(a.dtype).eps
    for _ in range(TRIALS):
        # The movement itself, not a difference of two sums: tiny steps keep their digits.
        move = torch.div(grad, column(-tau, a)).clamp_(low - a, high - a)
        moved, size = image(move), _total(move, search.per_sample, batch)
        fails = c1 * _total(moved, search.per_sample, batch) + c2 * size > slack * tau * size
        if not fails.any():
            search.accept(tau)
            return move.add_(a).clamp_(low, high), moved
        tau = torch.where(fails, search.factor * tau, tau)
    raise DivergenceError(
        "A", f"no sufficient decrease after {TRIALS} trials (tau={float(tau.max()):.1e})", "smaller rho"
    )


def _tau(grad: Tensor, image: Tensor, c1: float, c2: float, search: Backtracking, batch: Batch) -> Tensor:
    size, curvature = _total(grad, search.per_sample, batch), _total(image, search.per_sample, batch)
    return search.first(torch.where(size > 0, c1 * curvature / size + c2, torch.zeros_like(size)))


def _total(t: Tensor, per_sample: bool, batch: Batch) -> Tensor:
    """The sum of squares, ``(N,)`` for each sample, or a scalar for all together."""
    squares = torch.linalg.vector_norm(t.flatten(1), dim=1).square_()
    return squares if per_sample else batch.sum(batch.weighed(squares).sum())
