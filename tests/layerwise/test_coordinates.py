"""Inputs far from unit scale: which they are, and what methods make of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import AMRidge, Method
from altmin.layerwise.coordinates import Coordinates, Scale
from altmin.methods.registry import METHODS
from methods.table import digits, network


def with_ones(a: Tensor) -> Tensor:
    return torch.cat([a, torch.ones_like(a[:, :1])], 1)


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(
    ("change", "large", "small", "shifted"),
    [
        (lambda x: x, False, False, False),
        (lambda x: 4 * x, False, False, False),
        (lambda x: 6 * x, True, False, False),
        (lambda x: 0.04 * x, False, False, False),
        (lambda x: 0.02 * x, False, True, False),
        (lambda x: 0 * x, False, False, False),
        (lambda x: 0.5 * x + 2.0, False, False, False),
        (lambda x: 0.5 * x + 3.0, False, False, True),
        (lambda x: torch.ones_like(x), False, False, False),
    ],
)
def test_what_is_far_from_unit_scale(change: Callable[[Tensor], Tensor], large: bool, small: bool, shifted: bool):
    found = Scale.of(change(randn(0, 500, 4)))
    assert (found.large, found.small, found.shifted) == (large, small, shifted)
    assert found.far == (large or small or shifted)


def test_coordinates_are_those_of_standardised_inputs():
    """Value, gradient, Gram matrix and inverse are those of ``[(a - mean)/scale, 1]``."""
    a, theta, r = 300 * randn(0, 50, 4) + 1e3 * randn(1, 4), randn(2, 3, 5), randn(3, 50, 3)
    design = with_ones(a)
    found = Coordinates.of(design.T @ design / 50, intercept=True)
    spread = (a - a.mean(0)).square().mean().sqrt()
    standard = with_ones((a - a.mean(0)) / spread)
    assert not found.given
    torch.testing.assert_close(design @ found.movement(theta).T, standard @ theta.T)
    torch.testing.assert_close(found.gradient(r.T @ design), r.T @ standard)
    gram = standard.T @ standard / 50
    torch.testing.assert_close(found.gram(design.T @ design / 50), gram)
    torch.testing.assert_close(
        design @ found.inverse(torch.linalg.inv(gram)) @ design.T, standard @ torch.linalg.inv(gram) @ standard.T
    )
    weights = found.decay(torch.tensor([2.0, 2.0, 2.0, 2.0, 0.0], dtype=torch.float64))
    pulled = found.movement(theta)[:, :-1].square().sum()
    torch.testing.assert_close((weights * theta.square()).sum(), 2 * pulled)


@pytest.mark.parametrize("intercept", [True, False])
def test_unit_scale_and_layers_without_an_intercept_are_left_to_the_bit(intercept: bool):
    a = randn(0, 50, 4) * (1.0 if intercept else 1e4)
    G, design = randn(1, 3, 5), with_ones(a)
    found = Coordinates.of(design.T @ design / 50, intercept)
    assert found.given
    assert all(change(G) is G for change in (found.gradient, found.movement, found.gram, found.inverse, found.decay))


def outputs(model: nn.Sequential, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model(x)


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (1e3, 0.0), (1.0, 50.0), (200.0, -3e3)])
@pytest.mark.parametrize("method", [AMRidge(), METHODS["am-newton"].method], ids=["am-ridge", "am-newton"])
def test_a_run_does_not_depend_on_the_inputs_scale_and_offset(method: Method, scale: float, offset: float):
    """From the same function, the same functions: standardised inputs, and others with weights that make up for it."""
    x, y = digits(200)
    mean = x.mean(0)
    spread = (x - mean).square().mean().sqrt()
    x = (x - mean) / spread
    given = scale * x + offset
    one, other = network(12), network(12)
    weight, bias, *_ = other.parameters()
    with torch.no_grad():
        weight.div_(scale)
        bias.sub_(weight.sum(1) * offset)
    start = outputs(one, x)
    altmin.fit(one, method, (x, y), epochs=5, batch_size=200)
    with pytest.warns(altmin.ScaleWarning):
        altmin.fit(other, method, (given, y), epochs=5, batch_size=200)
    torch.testing.assert_close(outputs(other, given), outputs(one, x), rtol=1e-6, atol=1e-6)
    assert (outputs(one, x) - start).abs().max() > 0.1


@pytest.mark.parametrize("weight", [30, 3e3, 3e5])
@pytest.mark.parametrize("method", [AMRidge(), METHODS["am-newton"].method], ids=["am-ridge", "am-newton"])
def test_the_heaviest_l2_takes_the_weights_to_zero(method: Method, weight: float):
    """A decay that is no part of the ridge regression overshoots as soon as it outweighs the damping."""
    model, data = network(20, 20, dtype=torch.float32), digits(300, torch.float32)
    history = altmin.fit(model, method, data, epochs=20, batch_size=100, regularizer=f"l2:{weight}")
    start = 0.5 * weight * sum(float(W.square().sum()) for W in network(20, 20).state_dict().values() if W.ndim == 2)
    assert history["terms"][-1]["regularizer"] < 0.02 * start
    assert history["train_loss"][-1] < 2.5
