"""The prox of softmax cross-entropy: Newton by optimality for every penalty that the papers use, FISTA against it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.losses import one_hot
from altmin.prox.softmax import softmax_prox_fista, softmax_prox_newton

WEIGHTS = (1e-6, 1e-4, 1e-2, 1.0, 100.0)
SCALES = (0.0, 1.0, 10.0, 50.0)


def problem(scale: float, n: int = 60, q: int = 10, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Centres with entries up to `scale` in size, and one-hot targets."""
    g = torch.Generator().manual_seed(seed)
    v = scale * (2 * torch.rand(n, q, generator=g, dtype=torch.float64) - 1)
    return v, one_hot(torch.randint(q, (n,), generator=g), q, torch.float64)


def distance(z: Tensor, v: Tensor, y: Tensor, r: float) -> Tensor:
    """How far each row is from its minimiser, to first order: ``||H^{-1} g||`` with the Hessian written out."""
    p = torch.softmax(z, 1)
    g = p - y + r * (z - v)
    H = torch.diag_embed(p) - p[:, :, None] * p[:, None, :] + r * torch.eye(z.shape[1]).to(z)
    return torch.linalg.solve(H, g).norm(dim=1)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("r", WEIGHTS)
def test_newton_finds_the_minimiser(r, scale):
    v, y = problem(scale)
    assert distance(softmax_prox_newton(v, r, y), v, y, r).max() < 1e-8


@pytest.mark.parametrize("start", ["zero", "target", "solution", "far", "opposite"])
@pytest.mark.parametrize("r", WEIGHTS)
def test_newton_finds_it_from_anywhere(r, start):
    v, y = problem(10.0)
    starts = {
        "zero": torch.zeros_like(v),
        "target": 20 * y,
        "solution": softmax_prox_newton(v, r, y),
        "far": v + 300 * torch.sin(torch.arange(v.numel())).view_as(v),
        "opposite": -100 * y,
    }
    before = starts[start].clone()
    assert distance(softmax_prox_newton(v, r, y, starts[start]), v, y, r).max() < 1e-8
    assert torch.equal(starts[start], before)


@pytest.mark.parametrize("r", WEIGHTS)
def test_one_row_far_away_does_not_spoil_the_others(r):
    v, y = problem(2.0)
    start = softmax_prox_newton(v, r, y)
    start[7] = -500 * y[7]
    assert distance(softmax_prox_newton(v, r, y, start), v, y, r).max() < 1e-8


@pytest.mark.parametrize("r", WEIGHTS)
def test_rows_are_independent(r):
    v, y = problem(10.0, n=8)
    alone = torch.cat([softmax_prox_newton(v[i : i + 1], r, y[i : i + 1]) for i in range(len(v))])
    torch.testing.assert_close(softmax_prox_newton(v, r, y), alone, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("r", WEIGHTS)
def test_float32_is_accurate_and_stays(r, scale):
    v, y = (t.float() for t in problem(scale))
    z = softmax_prox_newton(v, r, y)
    assert z.dtype == torch.float32
    exact = softmax_prox_newton(v.double(), r, y.double())
    assert (z.double() - exact).abs().max() <= 2e-6 * (1 + exact.abs().max())


def test_a_shift_of_the_centre_shifts_the_solution():
    """The loss does not see a constant added to a row."""
    v, y = problem(5.0)
    moved = softmax_prox_newton(v + 100.0, 1e-4, y)
    torch.testing.assert_close(moved, softmax_prox_newton(v, 1e-4, y) + 100.0, rtol=1e-8, atol=1e-7)


def test_targets_may_be_probabilities():
    v, y = problem(3.0)
    y = 0.9 * y + 0.01
    assert distance(softmax_prox_newton(v, 1e-2, y), v, y, 1e-2).max() < 1e-8


@pytest.mark.parametrize("r", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_fista_agrees_with_newton(r, scale):
    v, y = problem(scale)
    torch.testing.assert_close(softmax_prox_fista(v, r, y), softmax_prox_newton(v, r, y), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("r", [1e-6, 1e-2])
def test_fista_never_ends_above_its_start(r):
    v, y = problem(10.0)

    def energy(z: Tensor) -> Tensor:
        return torch.logsumexp(z, 1) - (y * z).sum(1) + 0.5 * r * (z - v).square().sum(1)

    assert (energy(softmax_prox_fista(v, r, y)) <= energy(v)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("solve", [softmax_prox_newton, softmax_prox_fista])
def test_nan_and_inf_are_reported(solve, bad):
    v, y = problem(1.0, n=3)
    v[1, 2] = bad
    with pytest.raises(DivergenceError, match="Z_L"):
        solve(v, 1.0, y)


@pytest.mark.parametrize("solve", [softmax_prox_newton, softmax_prox_fista])
def test_a_bad_start_is_no_solution(solve):
    """A start of nan must not be handed back as a minimiser."""
    v, y = problem(1.0, n=3)
    with pytest.raises(DivergenceError):
        solve(v, 1.0, y, torch.full_like(v, math.nan))


def test_no_rows():
    v, y = problem(1.0, n=0)
    assert softmax_prox_newton(v, 1.0, y).shape == (0, 10)
