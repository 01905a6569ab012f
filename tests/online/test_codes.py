"""Code steps: the momentum of `torch.optim.SGD`, and the crossing of step functions by their prox."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from altmin import Codes, Mu, OnlineAM
from altmin.activations import DropoutBefore, Sign, Step
from altmin.online.code_steps import crossing, nesterov
from methods.table import Loop


def problem() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    H = torch.randn(4, 4, generator=g, dtype=torch.float64)
    one, two = torch.randn(2, 5, 4, generator=g, dtype=torch.float64)
    return H @ H.T, one, two


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


# The codes' objective as it is stated, and the weight of its l1 norm

SAMPLES, WIDTH, MU = 8, 5, 0.6
stated = pytest.mark.parametrize("scaling", ["samples", "entries", "gradients"])
proximities = pytest.mark.parametrize("proximity", [0.25, 1.0, 2.0])


class Task:
    """A network 4-5-5-3 with tanh and squared loss, the codes that `OnlineAM` finds in one step, and their origin."""

    def __init__(self, codes: Codes, lr: float):
        g = torch.Generator().manual_seed(0)
        layers = [nn.Linear(4, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 3)]
        model = nn.Sequential(*layers).double()
        with torch.no_grad():
            for p in model.parameters():
                p.copy_(0.5 * torch.randn(p.shape, generator=g, dtype=p.dtype))
        x, self.y = (torch.randn(SAMPLES, k, generator=g, dtype=torch.float64) for k in (4, 3))
        self.above = [model[1:3], model[3:]]
        first = model[0](x).detach()
        self.forward = [first, self.above[0](first).detach()]
        self.codes, self.lr = codes, lr
        self.weights = [p.detach().clone() for p in model.parameters()]
        memory = Loop.on(OnlineAM(codes=codes, mu=Mu(start=MU)), model, x, self.y, "squared").step().memory
        self.found = memory.codes
        torch.testing.assert_close(memory.forward, self.forward)

    def smooth(self, i: int, c: Tensor) -> Tensor:
        """``E + proximity D``, with the averages of the scaling; the loss is ``1/2 ||z - y||^2`` a sample."""
        up, moved = self.above[i](c), (c - self.forward[i]).square()
        if i == 1:
            loss = 0.5 * (up - self.y).square().sum() / MU
            loss = loss / SAMPLES if self.codes.scaling == "entries" else loss
        else:
            squares = (up - self.found[1]).square()
            loss = {"samples": squares.sum(), "entries": squares.mean(), "gradients": 0.5 * squares.sum()}[
                self.codes.scaling
            ]
        near = {"samples": moved.sum(), "entries": moved.mean(), "gradients": 0.5 * moved.sum()}[self.codes.scaling]
        return loss + self.codes.proximity * near

    def value(self, i: int, c: Tensor) -> Tensor:
        """The whole objective: `smooth`, and ``(sparsity/mu) S``."""
        size = c.abs().mean() if self.codes.scaling == "entries" else c.abs().sum()
        return self.smooth(i, c) + self.codes.sparsity / MU * size

    def slope(self, i: int, c: Tensor) -> Tensor:
        """The derivative of `smooth`."""
        c = c.detach().clone().requires_grad_()
        return torch.autograd.grad(self.smooth(i, c), c)[0]

    def weight(self) -> float:
        """That of one code's absolute value in the objective."""
        return self.codes.sparsity / MU / (SAMPLES * WIDTH if self.codes.scaling == "entries" else 1)


def task(scaling: str, proximity: float, sparsity: float, steps: int, size: float = 1.0) -> Task:
    """Step sizes of the order of the inverse curvature, whatever the scaling."""
    lr = size * {"samples": 1.0, "entries": 0.1 * SAMPLES * WIDTH, "gradients": 0.2}[scaling]
    momentum = 0.5 if steps > 1 else 0.0
    settings = {"steps": steps, "lr": lr, "momentum": momentum, "proximity": proximity, "sparsity": sparsity}
    return Task(Codes(scaling=scaling, **settings), lr)  # type: ignore[arg-type]


@pytest.mark.slow
@stated
@proximities
def test_sparse_codes_minimise_the_stated_objective(scaling: str, proximity: float):
    """By the objective's derivative where a code is not zero, and its bound where it is: no code of the library's."""
    at = task(scaling, proximity, 0.4, 1500, 0.5)
    zeros = 0
    for i, c in enumerate(at.found):
        g, weight, zero = at.slope(i, c), at.weight(), c.abs() < 1e-9
        assert (g[zero].abs() <= weight * (1 + 1e-6)).all()
        torch.testing.assert_close(g[~zero], -weight * torch.sign(c[~zero]), rtol=1e-6, atol=1e-6 * weight)
        zeros += int(zero.sum())
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for scale in (1e-3, 1e-2, 1e-1):
                near = c + scale * torch.randn(c.shape, generator=generator, dtype=c.dtype)
                assert at.value(i, c) < at.value(i, near)
    assert 5 < zeros < 2 * SAMPLES * WIDTH - 5


@stated
@proximities
def test_one_sparse_step_ends_in_the_threshold_of_the_stated_objective(scaling: str, proximity: float):
    """The step size is told by the codes without sparsity; the threshold is that times ``sparsity/mu``, averaged."""
    plain, sparse = task(scaling, proximity, 0.0, 1), task(scaling, proximity, 0.1, 1)
    i = 1  # its objective does not depend on other codes
    step = plain.forward[i] - plain.found[i]
    g = plain.slope(i, plain.forward[i])
    lr = float((step * g).sum() / (g * g).sum())
    torch.testing.assert_close(step, lr * g)
    expected = plain.found[i].sign() * (plain.found[i].abs() - lr * sparse.weight()).clamp_min(0.0)
    torch.testing.assert_close(sparse.found[i], expected)
    assert (expected - plain.found[i]).abs().max() > 1e-3


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

    found, grid = crossing(s, c, g, step, cost), torch.linspace(-12, 12, 2401, dtype=torch.float64)
    best = value(grid.view(-1, 1, 1).expand(-1, *c.shape)).amin(0)
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
