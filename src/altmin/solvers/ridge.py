"""Exact least squares for weights (P3), activations (P5) and intercepts (P7), from sufficient statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.problem import Batch


@dataclass(frozen=True)
class Statistics:
    """All that a layer's weights and intercept need of the samples; it adds over chunks and over processes.

    Attributes:
        gram: ``A^T A``, ``(p, p)``.
        cross: ``Z^T A``, ``(q, p)``.
        a_sum: ``sum_i A_i``, ``(p,)``.
        z_sum: ``sum_i Z_i``, ``(q,)``.
        count: ``N``.
    """

    gram: Tensor
    cross: Tensor
    a_sum: Tensor
    z_sum: Tensor
    count: int

    def targets(self, b: Tensor) -> Tensor:
        """``(Z - b)^T A``: the right-hand side of the weights, ``(q, p)``."""
        return self.cross - torch.outer(b, self.a_sum)

    def mean_residual(self, W: Tensor) -> Tensor:
        """``sum_i (Z_i - W A_i)``, ``(q,)``: what the intercept has to explain."""
        return self.z_sum - W @ self.a_sum


def gram(a: Tensor, batch: Batch) -> Tensor:
    """``A^T A`` over all processes."""
    return batch.sum(a.T @ a)


def statistics(a: Tensor, z: Tensor, batch: Batch, known_gram: Tensor | None = None) -> Statistics:
    """The sufficient statistics of ``Z ~ A W^T + b`` over all processes.

    Args:
        a: Design, ``(N', p)``.
        z: Targets, ``(N', q)``.
        batch: Whose samples they are.
        known_gram: ``A^T A`` where it is known already.
    """
    g = gram(a, batch) if known_gram is None else known_gram
    return Statistics(g, batch.sum(z.T @ a), batch.sum(a.sum(0)), batch.sum(z.sum(0)), batch.count)


def cholesky(matrix: Tensor, block: str) -> Tensor:
    """The lower Cholesky factor of a positive semidefinite matrix, with a ridge at rounding level where it needs one.

    Args:
        matrix: ``(n, n)``, symmetric positive semidefinite up to rounding.
        block: Whose update this is, for the error.

    Raises:
        DivergenceError: The matrix holds nan or inf, or is not positive semidefinite.
    """
    if not torch.isfinite(matrix).all():
        raise DivergenceError(block, "nan or inf in the normal matrix", "smaller steps or a larger penalty")
    factor, failed = torch.linalg.cholesky_ex(matrix)
    eps = torch.finfo(matrix.dtype).eps
    jitter = eps * matrix.diagonal().mean()
    for _ in range(2 - round(0.5 * math.log10(eps))):  # up to about the root of the machine precision
        if not failed:
            return factor
        factor, failed = torch.linalg.cholesky_ex(matrix + jitter * torch.eye(len(matrix)).to(matrix))
        jitter = 10 * jitter
    if not failed:
        return factor
    raise DivergenceError(block, f"normal matrix not positive definite (ridge {jitter:.1e})", "a larger `delta`")


def ridge_weights(s: Statistics, b: Tensor, W0: Tensor, c: float, d: float, block: str = "W") -> Tensor:
    """``argmin_W c ||Z - b - A W^T||^2 + d ||W - W0||^2`` (P3), ``(q, p)``.

    It is ``W0 + (c V^T A - c W0 G)(c G + d I)^{-1}``, ``V = Z - b``. For ``d = 0``, where `G` may be singular, `d` is
    the square root of the machine precision times the mean diagonal entry: rounding then moves the directions that the
    samples leave open by no more than that, and since the ridge is centred at `W0`, repeated updates lose nothing.

    Args:
        s: Statistics of the layer.
        b: Intercept, ``(q,)``.
        W0: Centre of the proximal term, ``(q, p)``.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, >= 0.
        block: Whose update this is, for errors.

    Raises:
        DivergenceError: See `cholesky`.
    """
    rhs = c * (s.targets(b) - W0 @ s.gram)
    normal = c * s.gram
    floor = torch.finfo(W0.dtype).eps ** 0.5 * normal.diagonal().mean() if d == 0 else d
    normal.diagonal().add_(floor).clamp_min_(torch.finfo(W0.dtype).tiny)  # where all activations are zero
    return W0 + torch.cholesky_solve(rhs.T, cholesky(normal, block)).T


def woodbury_weights(a: Tensor, v: Tensor, W0: Tensor, c: float, d: float, block: str = "W") -> Tensor:
    """The minimiser of `ridge_weights` with the ``N x N`` matrix factored: for fewer samples than inputs.

    ``W = W0 + c R^T (c A A^T + d I)^{-1} A``, ``R = V - A W0^T``, ``d > 0``.

    Args:
        a: Design, ``(N, p)``, ``N < p``; all samples on this process.
        v: Targets ``Z - b``, ``(N, q)``.
        W0: Centre of the proximal term, ``(q, p)``.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, > 0.
        block: Whose update this is, for errors.
    """
    normal = c * (a @ a.T)
    normal.diagonal().add_(d)
    residual = v - a @ W0.T
    return W0 + c * (torch.cholesky_solve(residual, cholesky(normal, block)).T @ a)


def fit_weights(
    a: Tensor,
    z: Tensor,
    b: Tensor,
    W0: Tensor,
    c: float,
    d: float,
    batch: Batch,
    known_gram: Tensor | None = None,
    block: str = "W",
) -> Tensor:
    """``argmin_W c ||Z - b - A W^T||^2 + d ||W - W0||^2`` (P3) with the smaller side factored.

    Args:
        a: Design, ``(N, p)``.
        z: Targets, ``(N, q)``.
        b: Intercept, ``(q,)``.
        W0: Centre of the proximal term, ``(q, p)``.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, >= 0.
        batch: Whose samples they are.
        known_gram: ``A^T A`` where it is known already.
        block: Whose update this is, for errors.
    """
    if known_gram is None and d > 0 and batch.group is None and len(a) < a.shape[1]:
        return woodbury_weights(a, z - b, W0, c, d, block)
    return ridge_weights(statistics(a, z, batch, known_gram), b, W0, c, d, block)


def intercept(residual_sum: Tensor, count: int, c: float = 1.0, d: float = 0.0, b0: Tensor | None = None) -> Tensor:
    """``argmin_b c/2 sum_i ||V_i - b||^2 + d/2 ||b - b0||^2 = (c sum_i V_i + d b0)/(c N + d)`` (P7).

    Args:
        residual_sum: ``sum_i V_i``, ``(q,)``, over all processes.
        count: ``N``.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, >= 0.
        b0: Its centre, ``(q,)``; needed where ``d > 0``.
    """
    pull = residual_sum.new_zeros(()) if b0 is None else d * b0
    return (c * residual_sum + pull) / (c * count + d)


def ridge_activations(
    pull: Tensor, W: Tensor, target: Tensor, c1: float, c2: float, a0: Tensor | None = None, d: float = 0.0
) -> Tensor:
    """``argmin_A c1 ||V - A W^T||^2 + c2 ||A - T||^2 + d ||A - A0||^2`` (P5), ``(N, p)``.

    Args:
        pull: ``V W``, ``(N, p)``: the adjoint of the layer above applied to its target.
        W: Weights of the layer above, ``(q, p)``.
        target: ``T``, ``(N, p)``.
        c1: Weight of the layer above, > 0.
        c2: Weight of `target`, > 0.
        a0: Centre of the proximal term, ``(N, p)``; needed where ``d > 0``.
        d: Weight of the proximal term, >= 0.
    """
    rhs = torch.add(c2 * target, pull, alpha=c1)
    if a0 is not None:
        rhs.add_(a0, alpha=d)
    normal = c1 * (W.T @ W)
    normal.diagonal().add_(c2 + d)
    return rhs @ torch.cholesky_inverse(cholesky(normal, "A"))
