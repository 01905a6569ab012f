"""Backtracked steps (P4, P6) against the loop that the papers print, which evaluates its quadratic on the samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.errors import DivergenceError
from altmin.regularizers import L1, L2, NoRegularizer, Regularizer
from altmin.solvers.backtracking import Backtracking, activations_step, clipped_step, weights_step

REGULARIZERS = (NoRegularizer(), L1(0.0), L1(0.5), L1(5.0), L2(0.3), L2(20.0))
SEARCHES = [Backtracking(start, factor) for start in (1e-3, 1.0, 1e3) for factor in (1.5, 2.0, 10.0)]
EXACT = Backtracking()
SEEDS = range(6)

searches = pytest.mark.parametrize("search", SEARCHES, ids=lambda s: f"{s.start:g} times {s.factor:g}")
per_samples = pytest.mark.parametrize("per_sample", [True, False], ids=["each", "all"])
proximal = pytest.mark.parametrize("d", [0.0, 2.0])
regularizers = pytest.mark.parametrize("omega", REGULARIZERS, ids=repr)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def batch(t: Tensor) -> Batch:
    return Batch(t, t)


def printed_loop(
    x: Tensor,
    phi: Callable[[Tensor], Tensor],
    prox: Callable[[Tensor, Tensor], Tensor],
    search: Backtracking,
) -> Tensor:
    """Algorithms 2 and 3 as printed: one `alpha` for each value that `phi` returns, until all decrease enough.

    Args:
        x: Present value.
        phi: The smooth term; a scalar, or ``(N, 1)`` where it is separable over samples.
        prox: The prox of the rest, with its weight as the second argument.
        search: Start and factor.
    """
    x = x.clone().requires_grad_()
    before = phi(x)
    (grad,) = torch.autograd.grad(before.sum(), x)
    x, before = x.detach(), before.detach()
    assert search.start is not None
    alpha = torch.full_like(before, search.start)

    def total(t: Tensor) -> Tensor:
        return t.sum(1, keepdim=True) if before.ndim else t.sum()

    while True:
        new = prox(x - grad / alpha, alpha)
        move = new - x
        fails = phi(new) > before + total(grad * move) + alpha / 2 * total(move**2)
        if not fails.any():
            return new
        alpha = torch.where(fails, search.factor * alpha, alpha)


class Weights:
    """A random instance of ``c/2 ||V - A W^T||^2 + d/2 ||W - W0||^2``."""

    def __init__(self, seed: int, d: float):
        self.c, self.d = math.exp(randn(seed, 1).item()), d
        scale = math.exp(randn(seed + 50, 1).item())
        self.A, self.V = scale * randn(seed + 100, 20, 5), randn(seed + 200, 20, 3)
        self.W, self.center = randn(seed + 300, 3, 5), randn(seed + 400, 3, 5)

    def phi(self, W: Tensor) -> Tensor:
        return self.c / 2 * (self.V - self.A @ W.T).square().sum() + self.d / 2 * (W - self.center).square().sum()

    def step(self, omega: Regularizer, search: Backtracking, W: Tensor | None = None) -> Tensor:
        pull, center = self.c * self.V.T @ self.A, self.center if self.d else None
        start = self.W if W is None else W
        return weights_step(start, self.A.T @ self.A, pull, self.c, omega, search, center=center, d=self.d)


class Activations:
    """A random instance of ``c1/2 ||V - A W^T||^2 + c2/2 ||A - T||^2`` within the box ``low, high``."""

    def __init__(self, seed: int, c2: float = 0.0):
        self.c1, self.c2 = math.exp(randn(seed, 1).item()), c2
        self.W, self.V = math.exp(randn(seed + 50, 1).item()) * randn(seed + 100, 6, 4), randn(seed + 200, 15, 6)
        self.A, self.T = randn(seed + 300, 15, 4), randn(seed + 400, 15, 4)
        self.low, self.high = (
            self.A - 0.4 * randn(seed + 500, 15, 4).abs(),
            self.A + 0.4 * randn(seed + 600, 15, 4).abs(),
        )
        self.low[:5], self.high[5:9] = self.A[:5], self.A[5:9]  # some start at an end

    def rows(self, A: Tensor) -> Tensor:
        linear = (self.V - A @ self.W.T).square().sum(1, keepdim=True)
        return self.c1 / 2 * linear + self.c2 / 2 * (A - self.T).square().sum(1, keepdim=True)

    def phi(self, per_sample: bool) -> Callable[[Tensor], Tensor]:
        return self.rows if per_sample else lambda A: self.rows(A).sum()

    def grad(self) -> Tensor:
        A = self.A.clone().requires_grad_()
        return torch.autograd.grad(self.rows(A).sum(), A)[0]

    def step(self, search: Backtracking, per_sample: bool) -> Tensor:
        g = self.grad()
        search = replace(search, per_sample=per_sample)
        return activations_step(self.A, g, g @ self.W.T, self.c1, self.c2, search, batch(self.A))[0]

    def clip(self, A: Tensor, _: object = None) -> Tensor:
        return torch.minimum(torch.maximum(A, self.low), self.high)

    def clipped_step(self, search: Backtracking, per_sample: bool) -> Tensor:
        box = self.low, self.high
        image = lambda d: d @ self.W.T  # noqa: E731
        weights = self.c1, self.c2
        search = replace(search, per_sample=per_sample)
        return clipped_step(self.A, self.grad(), image, *weights, *box, search, batch(self.A))[0]


@pytest.mark.slow
@proximal
@regularizers
@searches
def test_weights_step_is_the_printed_loop(search, omega, d):
    for seed in SEEDS:
        p = Weights(seed, d)
        for _ in range(3):
            expected = printed_loop(p.W, p.phi, omega.prox, search)
            p.W = p.step(omega, search)
            torch.testing.assert_close(p.W, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.thinned(2)
@per_samples
@pytest.mark.parametrize("c2", [0.0, 1e-3, 3.0])
@searches
def test_activations_step_is_the_printed_loop(search, c2, per_sample):
    for seed in SEEDS:
        p = Activations(seed, c2)
        for _ in range(3):
            expected = printed_loop(p.A, p.phi(per_sample), lambda A, _: A, search)
            p.A = p.step(search, per_sample)
            torch.testing.assert_close(p.A, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.thinned(2)
@per_samples
@pytest.mark.parametrize("c2", [0.0, 2.0])
@searches
def test_clipped_step_is_the_printed_loop_with_the_clip(search, c2, per_sample):
    for seed in SEEDS:
        p = Activations(seed, c2)
        for _ in range(3):
            expected = printed_loop(p.A, p.phi(per_sample), p.clip, search)
            p.A = p.clipped_step(search, per_sample)
            torch.testing.assert_close(p.A, expected, rtol=1e-9, atol=1e-9)


@proximal
def test_without_a_start_the_weights_step_is_the_exact_line_search(d):
    for seed in SEEDS:
        p = Weights(seed, d)
        move = p.step(NoRegularizer(), EXACT) - p.W
        t = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(p.phi(p.W + t * move), t)
        assert move.norm() > 1e-3
        assert abs(slope.item()) <= 1e-10 * (1 + p.phi(p.W).item())


@per_samples
def test_without_a_start_the_activations_step_is_the_exact_line_search(per_sample):
    for seed in SEEDS:
        p = Activations(seed, 0.5)
        move = p.step(EXACT, per_sample) - p.A
        t = torch.ones((15, 1) if per_sample else (), dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(p.rows(p.A + t * move).sum(), t)
        assert move.norm() > 1e-3
        assert (slope.abs() <= 1e-10 * (1 + p.rows(p.A).sum())).all()


@pytest.mark.parametrize("search", [EXACT, *SEARCHES[::4]], ids=repr)
@proximal
@regularizers
def test_weights_step_descends(omega, d, search):
    for seed in SEEDS:
        p = Weights(seed, d)
        new = p.step(omega, search)
        before = p.phi(p.W) + omega(p.W)
        assert p.phi(new) + omega(new) <= before + 1e-13 * before.abs()


@per_samples
@pytest.mark.parametrize("search", [EXACT, *SEARCHES[::4]], ids=repr)
def test_activations_steps_descend_and_stay_in_the_box(search, per_sample):
    for seed in SEEDS:
        free, boxed = Activations(seed, 0.5), Activations(seed)
        new, clipped = free.step(search, per_sample), boxed.clipped_step(search, per_sample)
        for change in (free.rows(new) - free.rows(free.A), boxed.rows(clipped) - boxed.rows(boxed.A)):
            assert ((change if per_sample else change.sum()) <= 1e-12).all()
        assert ((boxed.low <= clipped) & (clipped <= boxed.high)).all()


@pytest.mark.slow
@pytest.mark.parametrize("search", [EXACT, *SEARCHES[::4]], ids=repr)
def test_clipped_step_stays_put_only_where_it_is_optimal(search):
    """A projected gradient step of any length stands still at the minimiser over the box, and only there."""
    p = Activations(3)
    for _ in range(3000):
        p.A = p.clipped_step(EXACT, True)
    torch.testing.assert_close(p.clip(p.A - 1e-2 * p.grad()), p.A, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(p.clipped_step(search, True), p.A, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("search", [EXACT, Backtracking(1.0)], ids=repr)
def test_at_a_zero_gradient_nothing_moves(search):
    A, W, zero = randn(0, 6, 4), randn(1, 3, 4), torch.zeros(6, 4, dtype=torch.float64)
    box = A - 1, A + 1
    gram = torch.eye(4, dtype=torch.float64)
    for omega in (NoRegularizer(), L1(0.0), L2(0.0)):
        assert torch.equal(weights_step(W, gram, W.clone(), 1.0, omega, search), W)
    for per_sample in (True, False):
        image, kind = torch.zeros(6, 3, dtype=torch.float64), replace(search, per_sample=per_sample)
        assert torch.equal(activations_step(A, zero, image, 1.0, 0.5, kind, batch(A))[0], A)
        assert torch.equal(clipped_step(A, zero, lambda d: d @ W.T, 1.0, 0.5, *box, kind, batch(A))[0], A)


def test_a_row_without_gradient_leaves_the_others_their_steps():
    p = Activations(1, 0.0)
    p.V[2] = p.A[2] @ p.W.T
    for new in (p.step(EXACT, True), p.clipped_step(EXACT, True)):
        torch.testing.assert_close(new[2], p.A[2])
        assert ((new - p.A).norm(dim=1) > 1e-4).sum() >= 5
        assert new.isfinite().all()


def test_at_a_dead_layer_the_weights_stay():
    W, zero = randn(1, 3, 4), torch.zeros(4, 4, dtype=torch.float64)
    assert torch.equal(weights_step(W, zero, torch.zeros_like(W), 1.0, NoRegularizer(), EXACT), W)


@pytest.mark.parametrize("start", [1e-3, 1.0, 1e3, 0.7])
@pytest.mark.parametrize("factor", [1.1, 2.0, 10.0])
def test_first_trial_is_the_smallest_power_that_passes(start, factor):
    quotients = torch.cat(
        [torch.logspace(-6, 6, 97, dtype=torch.float64) * 1.0123, torch.zeros(1, dtype=torch.float64)]
    )
    for q, found in zip(quotients.tolist(), Backtracking(start, factor).first(quotients).tolist(), strict=True):
        alpha = start
        while alpha < q:
            alpha *= factor
        assert found == pytest.approx(alpha, rel=1e-9)


def test_scale_multiplies_the_first_trial():
    q = torch.tensor([0.3, 3.0], dtype=torch.float64)
    torch.testing.assert_close(Backtracking(scale=4.0).first(q), 4 * q)
    torch.testing.assert_close(Backtracking(0.5, 2.0, 4.0).first(q), q.new_tensor([2.0, 4.0]))


@pytest.mark.parametrize("omega", [NoRegularizer(), L2(1.0)], ids=repr)
def test_nan_is_not_taken_for_a_zero_gradient(omega):
    W, gram = randn(1, 3, 4), torch.full((4, 4), math.nan, dtype=torch.float64)
    with suppress(DivergenceError):
        assert weights_step(W, gram, W, 1.0, omega, EXACT).isnan().any()


@pytest.mark.parametrize("start", [0.0, -1.0, math.nan])
def test_start_must_be_positive(start):
    with pytest.raises(ValueError, match="`start`"):
        Backtracking(start)


@pytest.mark.parametrize("factor", [1.0, 0.5, math.nan])
def test_factor_must_exceed_one(factor):
    with pytest.raises(ValueError, match="`factor`"):
        Backtracking(factor=factor)
