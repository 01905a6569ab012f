"""Exact least squares for weights (P3) and intercepts (P7), from sufficient statistics."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.errors import DivergenceError
from altmin.maps import LinearMap
from altmin.precision import exact, or_exact
from altmin.solvers.statistics import Statistics, statistics


def cholesky(matrix: Tensor, block: str) -> Tensor:
    """The lower Cholesky factor of a positive semidefinite matrix, with a ridge at rounding level where it needs one.

    Args:
        matrix: ``(..., n, n)``, symmetric positive semidefinite up to rounding.
        block: Whose update this is, for the error.

    Raises:
        DivergenceError: The matrix holds nan or inf, or is not positive semidefinite.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    finite = torch.isfinite(matrix).all()
    if finite & ~failed.any():  # the only look at what a device has computed
        return factor
    if not finite:
        raise DivergenceError(block, "nan or inf in the normal matrix", "smaller steps or a larger penalty")
    eps = torch.finfo(matrix.dtype).eps
    jitter = eps * matrix.diagonal(dim1=-2, dim2=-1).mean()
    identity = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    for _ in range(2 - round(0.5 * math.log10(eps))):  # up to about the root of the machine precision
        factor, failed = torch.linalg.cholesky_ex(matrix + jitter * identity)
        jitter = 10 * jitter
        if not failed.any():
            return factor
    raise DivergenceError(block, f"normal matrix not positive definite (ridge {jitter:.1e})", "a larger `delta`")


@exact()
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
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    floor = torch.finfo(W0.dtype).eps ** 0.5 * diagonal.mean(-1, keepdim=True) if d == 0 else d
    diagonal.add_(floor).clamp_min_(torch.finfo(W0.dtype).tiny)  # where all activations are zero
    return W0 + torch.cholesky_solve(rhs.mT, cholesky(normal, block)).mT


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
    map: LinearMap,
    a: Tensor,
    z: Tensor,
    b: Tensor | None,
    W0: Tensor,
    c: float,
    d: float,
    batch: Batch,
    known_gram: Tensor | None = None,
    block: str = "W",
) -> tuple[Tensor, Tensor, float]:
    """``argmin_W c ||Z - b - A W^T||^2 + d ||W - W0||^2`` (P3) with the smaller side factored.

    Where `b` is `None`, the minimum is over the intercept too. Where the factorisation fails with products in bfloat16,
    all is done once more in float32.

    Args:
        map: Makes the design of `a` and the targets of `z`.
        a: Inputs of the layer, ``(N, ...)``.
        z: What it has to explain, ``(N, ...)``.
        b: Intercept, ``(q,)``; `None` solves for it too.
        W0: Centre of the proximal term, the shape of the weights.
        c: Weight of the squares, > 0.
        d: Weight of the proximal term, >= 0.
        batch: Whose samples they are.
        known_gram: ``A^T A`` where it is known already.
        block: Whose update this is, for errors.

    Returns:
        The weights, and for the intercept (P7) ``sum_i (Z_i - W A_i)`` and the number of rows.
    """
    few = d > 0 and batch.group is None and not map.unfolds and len(a) < a.shape[1]

    def fit(gram: Tensor | None) -> tuple[Tensor, Tensor, float]:
        if few and gram is None and b is not None:
            W = woodbury_weights(batch.weighed(a, power=0.5), batch.weighed(z - b, power=0.5), W0, c, d, block)
            return W, batch.weighed(z).sum(0) - W @ batch.weighed(a).sum(0), batch.count
        s = statistics(map, a, z, batch, gram)
        fitted, at = (s, b) if b is not None else (s.centred(), torch.zeros_like(s.z_sum))
        W = ridge_weights(fitted, at, W0, c, d, block)
        return W, s.mean_residual(W), s.count

    return or_exact(lambda: fit(known_gram), lambda: fit(None))


def intercept(residual_sum: Tensor, count: float, c: float = 1.0, d: float = 0.0, b0: Tensor | None = None) -> Tensor:
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
