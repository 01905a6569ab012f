"""Least squares with sparse weights by column-wise coordinate descent on sufficient statistics.

All of it lowers ``1/2 <W M, W> - <B, W> + sparsity ||W||_1`` with ``M = sum a^T a``, ``(..., p, p)``, and
``B = sum c^T a``, ``(..., q, p)``, from given weights ``(..., q, p)``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.solvers.statistics import Statistics
from altmin.solvers.weight_least_squares import cholesky

BLOCK = 128  # columns that move before the others' part of the gradient is made anew
SWEEPS = 100  # the most of `sparse_weights`
GUARD = 1e-10  # added to a diagonal entry that a dead unit leaves at zero


def descend_columns(W: Tensor, M: Tensor, B: Tensor, sparsity: float, free: int, sweeps: int, tol: float) -> Tensor:
    """Towards ``argmin_W 1/2 <W M, W> - <B, W> + sparsity ||W||_1`` by sweeps over the columns, from `W`.

    Args:
        W: Where it begins; not changed.
        M: See the module.
        B: See the module.
        sparsity: Weight of the l1 norm, >= 0.
        free: How many of the last columns the l1 norm leaves alone.
        sweeps: Most sweeps.
        tol: Largest change of a weight at which they stop.
    """
    for _ in range(sweeps):
        new = soft_column_sweep(W, M, B, sparsity, free) if sparsity else column_sweep(W, M, B)
        change, W = (new - W).abs().amax(), new
        if change <= tol:
            break
    return W


def sparse_weights(s: Statistics, b: Tensor, W: Tensor, W0: Tensor, c: float, d: float, sparsity: float) -> Tensor:
    """``argmin_V c/2 ||Z - b - A V^T||^2 + d/2 ||V - W0||^2 + sparsity ||V||_1`` by sweeps over the columns, from `W`.

    They end where no weight changes by more than the square root of the machine precision times the largest one, or
    after a hundred: the objective is then not at its minimum, but has fallen with every sweep.

    Args:
        s: Statistics of the layer.
        b: Intercept, ``(q,)``.
        W: Where it begins, ``(q, p)``.
        W0: Centre of the proximal term, the same shape.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, >= 0.
        sparsity: Weight of the l1 norm, >= 0.
    """
    M = c * s.gram
    diagonal(M).add_(d)
    tol = torch.finfo(W.dtype).eps ** 0.5 * float(W.abs().amax())
    return descend_columns(W, M, c * s.targets(b) + d * W0, sparsity, 0, SWEEPS, tol)


def column_sweep(W: Tensor, M: Tensor, B: Tensor) -> Tensor:
    """One sweep of ``w_j += (B_j - W M_j)/(M_jj + 1e-10)`` over the columns, a block of them at a time.

    The movement ``D`` of a block's columns solves ``D T = B_J - W M_J`` with ``T`` the upper triangle of ``M_JJ``: what
    columns of the block do to each other stays within the triangle, and all else is one product.
    """
    W = W.clone()
    for j in range(0, M.shape[-1], BLOCK):
        J = slice(j, j + BLOCK)
        gradient = B[..., J] - W @ M[..., J, :].mT  # M is symmetric, and its rows lie together in memory
        upper = torch.triu(M[..., J, J])
        diagonal(upper).add_(GUARD)
        W[..., J] += torch.linalg.solve_triangular(upper, gradient, upper=True, left=False)
    return W


def soft_column_sweep(W: Tensor, M: Tensor, B: Tensor, sparsity: float, free: int = 0) -> Tensor:
    """One sweep with the soft threshold ``sparsity/(M_jj + 1e-10)`` on each column but the last `free`: in turn."""
    W = W.clone()
    sizes = diagonal(M) + GUARD
    columns = M.shape[-1]
    for j in range(columns):
        scale = sizes[..., j, None]
        w = W[..., j] + (B[..., j] - (W @ M[..., j, None])[..., 0]) / scale
        W[..., j] = w if j >= columns - free else w - w.clamp(-sparsity / scale, sparsity / scale)
    return W


def centred_ridge(W: Tensor, M: Tensor, B: Tensor, ridge: float, block: str) -> Tensor:
    """``argmin_V 1/2 <V M, V> - <B, V> + ridge m/2 ||V - W||^2`` with `m` the mean of the diagonal of ``M``.

    Args:
        W: The centre.
        M: See the module.
        B: See the module.
        ridge: Relative weight, > 0.
        block: Whose update this is, for errors.

    Raises:
        DivergenceError: ``M`` is not finite.
    """
    normal = M.clone()
    diagonal(normal).add_(ridge * diagonal(M).mean(-1, keepdim=True) + GUARD)
    if not torch.isfinite(normal).all():
        raise DivergenceError(block, "nan or inf in the memory", "smaller code steps")
    return W + torch.cholesky_solve((B - W @ M).mT, cholesky(normal, block)).mT


def diagonal(M: Tensor) -> Tensor:
    """The diagonals of a stack of matrices, ``(..., p)``, a view."""
    return M.diagonal(dim1=-2, dim2=-1)
