"""Sharing of what is wanted of a layer: each against a dense solve, a numerical minimiser or its definition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from altmin import Batch, activations
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.residual_sharing import InputMove, activation_move, inverse_of, output_move
from altmin.losses import CrossEntropy, Hinge, Loss, SquaredLoss
from altmin.maps import Conv2d, Linear, LinearMap

N, IMAGE = 6, (2, 5, 4)
MAPS: dict[str, LinearMap] = {
    "narrow": Linear(5, 3),
    "wide": Linear(5, 9),
    "conv of two groups": Conv2d(2, 4, (2, 2), (2, 1), groups=2),
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(name: str) -> tuple[LinearMap, Tensor, Tensor]:
    """A map, its weights and an input."""
    map = MAPS[name]
    return map, randn(*map.shape), randn(N, *((5,) if name in ("narrow", "wide") else IMAGE), seed=1)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("connections", [0, 1, 2])
def test_input_move_is_stationary(name: str, connections: int):
    """The derivative of what it minimises, by autograd, is zero there and not at zero."""
    map, W, a = case(name)
    residual = randn(*map(W, randn(map.outputs), a).shape, seed=2)
    others = [randn(*a.shape, seed=3 + j) for j in range(connections)]

    def gradient(at: Tensor) -> Tensor:
        D = at.clone().requires_grad_()
        value = (residual - map.image(W, D, a)).square().sum() + D.square().sum()
        value = value + sum((other - D).square().sum() for other in others)
        return torch.autograd.grad(value, D)[0]

    assert gradient(torch.zeros_like(a)).abs().max() > 0.1
    assert gradient(InputMove(map, W, connections)(residual, a, others)).abs().max() < 1e-6


@pytest.mark.parametrize("name", MAPS)
def test_the_weights_step_is_the_ridge_regression_of_the_residual(name: str):
    """Against the stacked least-squares problem: rows of the design, and of the ridge's root."""
    map, _, a = case(name)
    units, whole = AugmentedWeights(map), Batch(a, a)
    E = randn(*map(randn(*map.shape), randn(map.outputs), a).shape, seed=2)
    gram, cross = units.gram(a, whole), units.gradient(E, a)
    found = units.times_inverse(cross, inverse_of(gram, 0.3, "W")).view(*map.shape[:-1], -1)
    design = map.rows(a)
    design = torch.cat([design, torch.ones_like(design[..., :1])], -1)
    p = design.shape[-1]
    root = (0.3 * gram.diagonal(dim1=-2, dim2=-1).mean(-1)).sqrt()[..., None, None] * torch.eye(p).double()
    stacked = torch.cat([design, root.expand(*design.shape[:-2], p, p)], -2)
    targets = map.targets(E)
    wanted = torch.cat([targets, targets.new_zeros(*targets.shape[:-2], p, targets.shape[-1])], -2)
    torch.testing.assert_close(found, torch.linalg.lstsq(stacked, wanted).solution.mT)


def test_inverse_of_dead_units_is_finite():
    assert inverse_of(torch.zeros(3, 3), 0.5, "W").isfinite().all()


def test_activation_move_goes_to_the_target_on_the_active_side_and_stays_on_the_other():
    z = torch.tensor([2.0, 2.0, -1.0, -1.0], dtype=torch.float64)
    move = torch.tensor([0.5, -0.5, 0.5, -0.5], dtype=torch.float64)
    found = activation_move(activations.ReLU(), z, z.clamp_min(0) + move, 3.0)
    torch.testing.assert_close(found, torch.tensor([0.5, -0.5, 0.0, 0.0], dtype=torch.float64))


def test_activation_move_wakes_a_unit_that_is_near():
    """P1 crosses where ``z > -(sqrt(1 + 1/r) - 1) a``: for ``r = 3`` that is ``-0.155 a``."""
    z, a = torch.tensor([-0.15, -0.16], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    found = activation_move(activations.ReLU(), z, a, 3.0)
    torch.testing.assert_close(found, torch.tensor([1.15, 0.0], dtype=torch.float64))


def test_activation_move_of_a_smooth_activation_is_what_its_slope_gives_for_near_targets():
    """To first order ``(1 + r) s' d / (s'^2 + r)``."""
    z, d, r = randn(50), 1e-6 * randn(50, seed=1), 3.0
    slope = 1 - z.tanh().square()
    found = activation_move(activations.Tanh(), z, z.tanh() + d, r)
    torch.testing.assert_close(found, (1 + r) * slope * d / (slope.square() + r), rtol=1e-4, atol=1e-9)


def outputs(loss: Loss) -> tuple[Tensor, Batch]:
    y = loss.encode(torch.arange(N) % 3, 3, torch.float64)
    return randn(N, 3), Batch(randn(N, 2), y)


@pytest.mark.parametrize("loss", [SquaredLoss(), CrossEntropy(), Hinge()])
@pytest.mark.parametrize("most", [0.3, 1.0, 2.5, 1000.0])
def test_output_move_is_the_proximal_one_some_times(loss: Loss, most: float):
    """As often doubled as the loss falls: the next doubling would raise it, or is not allowed."""
    z, batch = outputs(loss)
    prox, found = loss.prox(z, 1.0, batch.y) - z, output_move(loss, z, batch, most)
    t = float((found * prox).sum() / prox.square().sum())
    torch.testing.assert_close(found, t * prox)
    assert t <= most * (1 + 1e-12)
    assert loss(z + found, batch.y) < loss(z, batch.y)
    longer = min(2 * t, most)
    assert t == pytest.approx(most) or loss(z + longer * prox, batch.y) >= loss(z + found, batch.y)


def test_output_move_of_the_squared_loss_ends_at_the_targets():
    """Its prox goes half-way: twice that is the minimiser, and more would raise the loss."""
    z, batch = outputs(SquaredLoss())
    torch.testing.assert_close(output_move(SquaredLoss(), z, batch, 100.0), batch.y - z)
