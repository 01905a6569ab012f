"""Column-wise coordinate descent: sweeps against the printed column loop, fixed points, and least squares."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.maps import Linear
from altmin.solvers.coordinate_descent import column_sweep, soft_column_sweep, sparse_weights
from altmin.solvers.statistics import statistics


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(
    p: int = 6, q: int = 3, n: int = 30, dead: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Weights, the memory ``M``, ``B``, and the samples ``a``, ``c`` that it is made of; `dead` units are zero."""
    a, c = randn(1, n, p), randn(2, n, q)
    a[:, list(dead)] = 0.0
    return randn(3, q, p), a.T @ a, c.T @ a, a, c


def column_loop(W: Tensor, M: Tensor, B: Tensor, sparsity: float = 0.0) -> Tensor:
    """``w_j += (B_j - W M_j)/(M_jj + 1e-10)`` for one column after the other, soft-thresholded."""
    W = W.clone()
    for j in range(W.shape[1]):
        size = M[j, j] + 1e-10
        w = W[:, j] + (B[:, j] - W @ M[:, j]) / size
        W[:, j] = torch.sign(w) * torch.clamp(w.abs() - sparsity / size, min=0.0)
    return W


@pytest.mark.parametrize("dead", [(), (0,), (2, 5)])
@pytest.mark.parametrize("p", [1, 6, 20])
def test_sweep_is_the_column_loop(p, dead):
    W, M, B, *_ = problem(p, dead=tuple(j for j in dead if j < p - 1))
    for _ in range(3):
        expected = column_loop(W, M, B)
        W = column_sweep(W, M, B)
        torch.testing.assert_close(W, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dead", [(), (0,), (2, 5)])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 10.0])
def test_soft_sweep_is_the_column_loop(sparsity, dead):
    W, M, B, *_ = problem(dead=dead)
    for _ in range(3):
        expected = column_loop(W, M, B, sparsity)
        W = soft_column_sweep(W, M, B, sparsity)
        torch.testing.assert_close(W, expected, rtol=1e-10, atol=1e-10)


def test_sweeps_leave_their_inputs_alone():
    W, M, B, *_ = problem()
    before = [t.clone() for t in (W, M, B)]
    column_sweep(W, M, B)
    soft_column_sweep(W, M, B, 0.5)
    assert all(torch.equal(*pair) for pair in zip((W, M, B), before, strict=True))


def test_repeated_sweeps_solve_least_squares():
    W, M, B, a, c = problem()
    for _ in range(300):
        W = column_sweep(W, M, B)
    torch.testing.assert_close(W, torch.linalg.lstsq(a, c).solution.T, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sparsity", [0.1, 3.0, 8.0])
def test_repeated_soft_sweeps_minimise_the_l1_problem(sparsity):
    """``B - W M`` is ``sparsity sign(W)`` where a weight is not zero, and no larger than `sparsity` where it is."""
    W, M, B, *_ = problem()
    for _ in range(500):
        W = soft_column_sweep(W, M, B, sparsity)
    pull = B - W @ M
    assert (pull.abs() <= sparsity + 1e-8).all()
    active = W != 0
    assert 0 < active.sum() < W.numel() or sparsity < 1
    torch.testing.assert_close(pull[active], sparsity * torch.sign(W[active]), rtol=1e-8, atol=1e-7)


def test_a_sparse_dead_column_vanishes():
    W, M, B, *_ = problem(dead=(1,))
    assert (soft_column_sweep(W, M, B, 0.1)[:, 1] == 0).all()


@pytest.mark.parametrize(("c", "d"), [(1.0, 0.0), (0.7, 2.5)])
@pytest.mark.parametrize("sparsity", [0.0, 3.0, 1e6])
def test_sparse_weights_fulfil_the_conditions_of_the_minimum(c: float, d: float, sparsity: float):
    """The derivative of the squares is ``-sparsity sign(w)`` where a weight is none, and no larger where it is zero."""
    W, _, _, a, z = problem(p=5, q=3, n=40)
    b, W0 = randn(7, 3), randn(8, 3, 5)
    s = statistics(Linear(5, 3, True), a, z, Batch(a, z))
    found = sparse_weights(s, b, W, W0, c, d, sparsity).requires_grad_()
    (0.5 * c * (z - b - a @ found.T).square().sum() + 0.5 * d * (found - W0).square().sum()).backward()
    assert found.grad is not None
    slope, zero = found.grad, found.detach() == 0
    assert (slope[zero].abs() <= sparsity + 1e-6).all()
    torch.testing.assert_close(slope[~zero], -sparsity * found.detach()[~zero].sign(), rtol=0, atol=2e-6)
    assert bool(zero.any()) == (sparsity > 0)
    assert bool(zero.all()) == (sparsity == 1e6)
