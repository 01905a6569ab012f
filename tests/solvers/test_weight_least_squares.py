"""Least squares for weights (P3) and intercepts (P7) against `torch.linalg.lstsq`."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.errors import DivergenceError
from altmin.maps import Linear
from altmin.solvers.statistics import Statistics, gram, statistics
from altmin.solvers.weight_least_squares import cholesky, fit_weights, intercept, ridge_weights, woodbury_weights

WEIGHTS = [(1.0, 1.0), (1.0, 1e-3), (1e-4, 1.0), (50.0, 0.3)]


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def problem(n: int, p: int, q: int = 3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Design, targets, intercept and the weights' centre."""
    return randn(n, p, seed=1), randn(n, q, seed=2), randn(q, seed=3), randn(q, p, seed=4)


def batch(a: Tensor, z: Tensor) -> Batch:
    return Batch(a, z)


def linear(a: Tensor, z: Tensor) -> Linear:
    return Linear(a.shape[1], z.shape[1])


def stacked(a: Tensor, v: Tensor, W0: Tensor, c: float, d: float) -> Tensor:
    """``argmin_W c ||V - A W^T||^2 + d ||W - W0||^2`` as one least-squares problem."""
    left = torch.cat([math.sqrt(c) * a, math.sqrt(d) * torch.eye(a.shape[1], dtype=a.dtype)])
    right = torch.cat([math.sqrt(c) * v, math.sqrt(d) * W0.T])
    return torch.linalg.lstsq(left, right, driver="gelsd").solution.T


@pytest.mark.parametrize("n", [40, 6])
@pytest.mark.parametrize(("c", "d"), WEIGHTS)
def test_ridge_weights(n, c, d):
    a, z, b, W0 = problem(n, 8)
    expected = stacked(a, z - b, W0, c, d)
    torch.testing.assert_close(ridge_weights(statistics(linear(a, z), a, z, batch(a, z)), b, W0, c, d), expected)


@pytest.mark.parametrize(("c", "d"), WEIGHTS)
def test_woodbury_weights(c, d):
    a, z, b, W0 = problem(6, 8)
    torch.testing.assert_close(woodbury_weights(a, z - b, W0, c, d), stacked(a, z - b, W0, c, d))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n", [40, 8, 6, 1])
@pytest.mark.parametrize(("c", "d"), WEIGHTS)
def test_fit_weights(n, c, d, known):
    a, z, b, W0 = problem(n, 8)
    options = batch(a, z), a.T @ a if known else None
    W, residual_sum, count = fit_weights(linear(a, z), a, z, b, W0, c, d, *options)
    torch.testing.assert_close(W, stacked(a, z - b, W0, c, d), rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(residual_sum, (z - a @ W.T).sum(0))
    assert count == n


def refit(times: int, a: Tensor, z: Tensor, b: Tensor, W: Tensor) -> Tensor:
    for _ in range(times):
        W = fit_weights(linear(a, z), a, z, b, W, 0.5, 0.0, batch(a, z))[0]
    return W


@pytest.mark.parametrize(("times", "accuracy"), [(1, 1e-6), (5, 1e-11)])
def test_without_ridge_the_fit_is_the_least_squares_one(times, accuracy):
    """To the root of rounding at once, and to rounding when it is repeated."""
    a, z, b, W0 = problem(40, 8)
    expected = torch.linalg.lstsq(a, z - b).solution.T
    torch.testing.assert_close(refit(times, a, z, b, W0), expected, rtol=accuracy, atol=accuracy)


def singular_designs() -> dict[str, Tensor]:
    a = randn(30, 6, seed=5)
    return {
        "copied column": torch.cat([a, a[:, :2]], 1),
        "dead unit": torch.cat([a, torch.zeros(30, 2, dtype=a.dtype)], 1),
        "few samples": a[:4],
        "all dead": torch.zeros_like(a),
    }


@pytest.mark.parametrize("design", ["copied column", "dead unit", "few samples", "all dead"])
def test_without_ridge_a_singular_problem_is_fitted_from_the_present_weights(design):
    """The least-squares solution nearest to `W0`: what the samples do not see stays."""
    a = singular_designs()[design]
    z, b, W0 = randn(len(a), 3, seed=2), randn(3, seed=3), randn(3, a.shape[1], seed=4)
    residual = z - b - a @ W0.T
    expected = W0 + torch.linalg.lstsq(a, residual, driver="gelsd").solution.T
    torch.testing.assert_close(refit(1, a, z, b, W0), expected, rtol=1e-6, atol=1e-6)


def test_without_ridge_few_float32_samples_are_fitted_and_the_rest_stays():
    a, z, b, W0 = (t.float() for t in problem(20, 50))
    W = refit(3, a, z, b, W0)
    assert (z - b - a @ W.T).norm() < 1e-4 * (z - b - a @ W0.T).norm()
    unseen = torch.linalg.svd(a)[2][20:].T
    assert ((W - W0) @ unseen).norm() < 1e-2 * (W - W0).norm()


def test_statistics_add_over_chunks():
    a, z, b, W0 = problem(40, 8)
    map = linear(a, z)
    whole = statistics(map, a, z, batch(a, z))
    one, two = (vars(statistics(map, a[i], z[i], batch(a[i], z[i]))) for i in (slice(0, 7), slice(7, 40)))
    total = Statistics(**{name: one[name] + two[name] for name in vars(whole)})
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(total, name), value)
    torch.testing.assert_close(ridge_weights(total, b, W0, 1.0, 1.0), stacked(a, z - b, W0, 1.0, 1.0))


def test_statistics_by_their_definitions():
    a, z, b, W = problem(20, 5)
    map = linear(a, z)
    s = statistics(map, a, z, batch(a, z))
    torch.testing.assert_close(s.gram, sum(torch.outer(row, row) for row in a))
    torch.testing.assert_close(gram(map, a, batch(a, z)), s.gram)
    assert s.count == 20
    torch.testing.assert_close(s.targets(b), sum(torch.outer(zi - b, ai) for zi, ai in zip(z, a, strict=True)))
    torch.testing.assert_close(s.mean_residual(W), sum(zi - W @ ai for zi, ai in zip(z, a, strict=True)))


@pytest.mark.parametrize("with_known", [True, False])
def test_inputs_are_left_alone(with_known):
    a, z, b, W0 = problem(20, 5)
    known = a.T @ a
    before = [t.clone() for t in (a, z, b, W0, known)]
    fit_weights(linear(a, z), a, z, b, W0, 1.0, 0.5, batch(a, z), known if with_known else None)
    for t, t_before in zip((a, z, b, W0, known), before, strict=True):
        assert torch.equal(t, t_before)


@pytest.mark.parametrize(("c", "d"), [*WEIGHTS, (2.0, 0.0)])
def test_intercept_is_stationary(c, d):
    V, b0 = randn(12, 4), randn(4, seed=1)
    b = intercept(V.sum(0), len(V), c, d, b0).requires_grad_()
    objective = c / 2 * (V - b).square().sum() + d / 2 * (b - b0).square().sum()
    torch.testing.assert_close(torch.autograd.grad(objective, b)[0], torch.zeros_like(b0), rtol=0, atol=1e-9 * (c + d))


def test_intercept_without_proximal_term_is_the_mean():
    V = randn(12, 4)
    torch.testing.assert_close(intercept(V.sum(0), 12), V.mean(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cholesky_factors(dtype):
    a = randn(9, 5).to(dtype)
    matrix = a.T @ a
    factor = cholesky(matrix, "W")
    torch.testing.assert_close(factor @ factor.T, matrix)
    assert torch.equal(factor, factor.tril())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cholesky_of_a_singular_matrix_is_off_by_rounding(dtype):
    a = randn(4, 12).to(dtype)
    matrix = a.T @ a
    factor = cholesky(matrix, "W")
    assert (factor @ factor.T - matrix).abs().max() <= 1e3 * torch.finfo(dtype).eps * matrix.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0, -0.1])
def test_cholesky_refuses_what_is_not_positive_semidefinite(bad, dtype):
    matrix = torch.diag(torch.tensor([1.0, 2.0, bad, 1.0], dtype=dtype))
    with pytest.raises(DivergenceError, match="W_3"):
        cholesky(matrix, "W_3")
