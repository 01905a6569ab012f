"""Code steps: the momentum of `torch.optim.SGD`, and the crossing of step functions by their prox."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from altmin.activations import DropoutBefore, Sign, Step
from altmin.online.codes import crossing, nesterov


def problem() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    H = torch.randn(4, 4, generator=g, dtype=torch.float64)
    return H @ H.T, *torch.randn(2, 5, 4, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("steps", range(7))
@pytest.mark.parametrize("lr", [0.01, 0.1])
def test_nesterov_is_pytorchs_sgd(steps, lr):
    H, target, start = problem()
    c = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([c], lr=lr, momentum=0.9, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * ((c - target) @ H * (c - target)).sum() + c.cos().sum()).backward()
        optimizer.step()
    found = nesterov(start, lambda c: (c - target) @ H - c.sin(), steps, lr)
    torch.testing.assert_close(found, c.detach(), rtol=1e-12, atol=1e-12)


def test_the_start_is_left_alone_and_the_step_may_be_a_tensor():
    H, target, start = problem()
    before = start.clone()
    found = nesterov(start, lambda c: (c - target) @ H, 5, torch.tensor(0.05, dtype=torch.float64))
    torch.testing.assert_close(found, nesterov(start, lambda c: (c - target) @ H, 5, 0.05))
    assert torch.equal(start, before)


def test_many_sparse_steps_minimise_the_l1_problem():
    """At the minimiser the gradient is ``-sparsity sign(c)`` where a code is not zero, and no larger where it is."""
    H, target, start = problem()
    sparsity, lr = 2.0, 0.5 / torch.linalg.matrix_norm(H, 2).item()
    c = nesterov(start, lambda c: (c - target) @ H, 5000, lr, sparsity=sparsity)
    g = (c - target) @ H
    zero = c.abs() < 1e-9
    assert 0 < zero.sum() < c.numel()
    assert (g[zero].abs() <= sparsity + 1e-6).all()
    torch.testing.assert_close(g[~zero], -sparsity * torch.sign(c[~zero]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2])
def test_sparse_steps_end_in_the_soft_threshold(steps: int):
    """Not in the point that momentum has moved on to."""
    H, target, start = problem()
    lr, sparsity, seen = 0.05, 3.0, []

    def gradient(c: Tensor) -> Tensor:
        seen.append(c)
        return (c - target) @ H

    found = nesterov(start, gradient, steps, lr, sparsity=sparsity)
    below = seen[-1] - lr * ((seen[-1] - target) @ H)
    torch.testing.assert_close(found, below.sign() * (below.abs() - lr * sparsity).clamp_min(0.0))


FLIPS = {"sign": Sign(), "step": Step(), "masked sign": DropoutBefore(0.3, Sign())}


def codes_and_derivatives() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    c, derivative = torch.randn(2, 8, 6, generator=g, dtype=torch.float64)
    return 3 * c, 0.01 * derivative


@pytest.mark.parametrize("name", FLIPS)
@pytest.mark.parametrize(("step", "cost"), [(1.0, 0.5), (0.3, 1.0), (3.0, 0.05)])
def test_crossing_is_the_least_value_on_a_grid(name, step, cost):
    """``(s(z) - a)^2 + cost (z - c)^2/u^2``, `u` the unit's size, at the target that the derivative asks for."""
    s, (c, g) = FLIPS[name], codes_and_derivatives()
    s = s.sample(c, torch.Generator().manual_seed(1))
    a = s(c) - step * g / g.square().mean().sqrt()

    def value(z: Tensor) -> Tensor:
        return (s(z) - a).square() + cost * (z - c).square() / c.square().mean(0)

    found, best = crossing(s, c, g, step, cost), torch.full_like(c, float("inf"))
    for z in torch.linspace(-12, 12, 2401, dtype=torch.float64):
        best = torch.minimum(best, value(torch.full_like(c, z)))
    assert (value(found) <= torch.minimum(best, value(c)) + 1e-9).all()
    moved = found != c
    assert moved.any() == (step >= 1)
    assert (s(found) != s(c))[moved].all()


def test_codes_that_cross_land_a_margin_behind_the_jump():
    c, g = codes_and_derivatives()
    near, far = crossing(Sign(), c, g, 1.0, 0.5), crossing(Sign(), c, g, 1.0, 0.5, 0.3)
    unit = c.square().mean(0).sqrt().expand_as(c)
    crossed = near != c
    torch.testing.assert_close(far[crossed], (near - 0.3 * unit * c.sign())[crossed])
    assert torch.equal(far[~crossed], c[~crossed])


def test_crossing_does_not_depend_on_the_size_of_codes_and_derivatives():
    c, g = codes_and_derivatives()
    found = crossing(Sign(), c, g, 1.0, 0.5)
    torch.testing.assert_close(crossing(Sign(), 50 * c, 1e-4 * g, 1.0, 0.5), 50 * found)
    by_unit = torch.linspace(1.0, 9.0, c.shape[1], dtype=c.dtype)
    torch.testing.assert_close(crossing(Sign(), by_unit * c, g, 1.0, 0.5), by_unit * found)
    zero = torch.zeros_like(g)
    torch.testing.assert_close(crossing(Sign(), c, zero, 1.0, 0.5), c)
