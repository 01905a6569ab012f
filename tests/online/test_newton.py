"""Newton steps of the weights: against closed forms, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from altmin.online.newton import Curvature, Leading, Newton
from torch import Tensor

from altmin import DivergenceError
from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.layerwise.function import Block
from altmin.maps import Conv2d, Linear
from altmin.online.rules import Local
from altmin.regularizers import NoRegularizer


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(p: int = 5, q: int = 3, bias: bool = True) -> Block:
    b = randn(2, q) if bias else torch.zeros(q, dtype=torch.float64)
    return Block(Layer(Linear(p, q, bias), Identity()), randn(1, q, p), b)


def gradients(block: Block, a: Tensor, c: Tensor) -> list[Tensor]:
    """Of ``||C - W a||^2 / N``."""
    out = block(a)
    return out.to_params((out.z - c) * (2.0 / len(a)))


def step(rule: Newton, memories: list[Curvature], block: Block, a: Tensor, c: Tensor) -> None:
    rule.step(memories, [Local(block, a, gradients(block, a, c), 0.0)], NoRegularizer())


def fitted(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares with an intercept."""
    design = torch.cat([a, torch.ones_like(a[:, :1])], 1)
    theta = torch.linalg.lstsq(design, c).solution.T
    return theta[:, :-1], theta[:, -1]


def test_a_whole_step_on_a_fresh_memory_is_least_squares():
    """Half the Hessian is ``M``, so that the whole Newton step has `lr` 1/2."""
    rule, block, a, c = (
        Newton(lr=0.5, momentum=0.0, damping=1e-12, forget=0.0),
        linear(),
        randn(3, 40, 5),
        randn(4, 40, 3),
    )
    step(rule, rule.make([block]), block, a, c)
    W, b = fitted(a, c)
    torch.testing.assert_close(block.W, W, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(block.b, b, rtol=1e-8, atol=1e-8)


def test_steps_are_the_printed_formula():
    rule, block = Newton(lr=0.2, momentum=0.8, damping=0.5, forget=0.6, refresh=3, rank=0), linear()
    memories, theta, V, M, weight = rule.make([block]), torch.cat([block.W, block.b[:, None]], 1), 0.0, 0.0, 0.0
    inverse = None
    for k in range(8):
        a, c = randn(10 + k, 20, 5), randn(30 + k, 20, 3)
        step(rule, memories, block, a, c)
        design = torch.cat([a, torch.ones_like(a[:, :1])], 1)
        if k in (0, 1, 2, 3, 6):
            weight = 0.6 * weight + 1.0
            M = M + (design.T @ design / 20 - M) / weight
            inverse = torch.linalg.inv(M + (0.5 * M.diagonal().mean() + 1e-10) * torch.eye(6, dtype=torch.float64))
        V = 0.8 * V + 2.0 / 20 * (theta @ design.T - c.T) @ design @ inverse
        theta = theta - 0.2 * V
        torch.testing.assert_close(torch.cat([block.W, block.b[:, None]], 1), theta, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("refresh", [1, 4, 10])
def test_the_first_batches_are_all_remembered(refresh: int):
    due = [k for k in range(25) if Newton(refresh=refresh).due(k)]
    assert due == sorted({*range(refresh), *range(0, 25, refresh)})


def test_a_whole_step_of_a_convolution_is_least_squares_over_all_positions():
    map = Conv2d(2, 3, (2, 2))
    block = Block(Layer(map, Identity()), randn(1, *map.shape), randn(2, 3))
    rule, a, c = (
        Newton(lr=0.5, momentum=0.0, damping=1e-12, forget=0.0, rank=0),
        randn(3, 9, 2, 5, 5),
        randn(4, 9, 3, 4, 4),
    )
    step(rule, rule.make([block]), block, a, c)
    rows = torch.nn.functional.unfold(a, 2).mT.flatten(0, 1)
    W, b = fitted(rows, c.flatten(2).mT.flatten(0, 1))
    torch.testing.assert_close(block.W.view(3, -1), W, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(block.b, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("rank", [0, 2])
def test_inputs_that_have_outgrown_the_memory_count_less(rank: int):
    """Inputs 4 times as large: mean squares 16 times, of which the memory answers for 2."""
    rule, block, a = Newton(momentum=0.0, refresh=2, rank=rank), linear(bias=False), randn(3, 40, 5)
    memories = rule.make([block])
    for _ in range(3):
        step(rule, memories, block, a, randn(4, 40, 3))
    inverse, (memory,) = memories[0].inverse, memories
    grads, before, plain = gradients(block, 4 * a, randn(4, 40, 3)), block.W.clone(), torch.zeros(1, 3, 5).double()
    assert inverse is not None
    inverse.add(plain, grads[0][None])
    step(rule, memories, block, 4 * a, randn(4, 40, 3))
    assert memory.steps == 4
    torch.testing.assert_close(block.W, before - rule.lr * 2 / 16 * plain[0])


def test_without_an_intercept_it_stays_zero():
    rule, block, a = Newton(), linear(bias=False), randn(3, 40, 5)
    (memory,) = memories = rule.make([block])
    step(rule, memories, block, a, randn(4, 40, 3))
    assert not block.b.any()
    assert memory.M is not None
    assert memory.M.shape == (5, 5)


@pytest.mark.parametrize("rank", [0, 3])
def test_groups_of_channels_have_their_own_memory(rank: int):
    """A convolution of two groups steps as its two halves do."""
    whole = Conv2d(4, 6, (2, 2), groups=2)
    half, rule = replace(whole, inputs=2, outputs=3, groups=1), Newton(momentum=0.0, rank=rank)
    W, b, a, c = randn(1, *whole.shape), randn(2, 6), randn(3, 7, 4, 5, 5), randn(4, 7, 6, 4, 4)
    block = Block(Layer(whole, Identity()), W.clone(), b.clone())
    step(rule, rule.make([block]), block, a, c)
    for i in range(2):
        part = Block(Layer(half, Identity()), W[i].clone(), b[3 * i : 3 * i + 3].clone())
        rows, outs = slice(2 * i, 2 * i + 2), slice(3 * i, 3 * i + 3)
        step(rule, rule.make([part]), part, a[:, rows], c[:, outs])
        torch.testing.assert_close(block.W[i], part.W)
        torch.testing.assert_close(block.b[outs], part.b)


def test_dead_inputs_do_no_harm_and_nan_is_named():
    rule, block = Newton(), linear()
    memories = rule.make([block])
    dead = torch.zeros(10, 5, dtype=torch.float64)
    step(rule, memories, block, dead, randn(4, 10, 3))
    assert torch.isfinite(block.W).all()
    with pytest.raises(DivergenceError, match="memory"):
        step(rule, memories, block, dead * torch.nan, randn(4, 10, 3))


def test_leading_eigenvectors_stand_for_the_memory():
    """Where the others are zero the low rank is the whole, and with a gap it is nearly."""
    basis = torch.linalg.qr(randn(1, 12, 12)).Q
    G, d = randn(2, 1, 4, 12), torch.full((1, 1), 0.3, dtype=torch.float64)
    for rest, tolerance in ((0.0, 1e-10), (1e-4, 1e-3)):
        m = torch.tensor([9.0, 5.0, 3.0, *[rest] * 9], dtype=torch.float64)
        M = basis * m @ basis.T
        found = torch.zeros_like(G)
        Leading.of(M, d, 3).add(found, G)
        torch.testing.assert_close(
            found, G @ torch.linalg.inv(M + 0.3 * torch.eye(12, dtype=M.dtype)), rtol=tolerance, atol=tolerance
        )


def test_leading_eigenvectors_follow_the_memory():
    """Power steps from the former ones lead to those of a matrix that is not near."""
    a, d, errors = randn(1, 200, 12), torch.full((1, 1), 0.1), []
    basis, factors = torch.linalg.qr(randn(2, 12, 12)).Q, Leading.of(a.T @ a / 200, d, 4)
    moved, lead = basis * torch.logspace(1, -4, 12, dtype=torch.float64) @ basis.T, basis[:, :2]
    for _ in range(10):
        factors = Leading.of(moved, d, 4, factors)
        errors.append(float((lead - factors.Q @ (factors.Q.T @ lead)).norm()))
    assert errors[-1] < 1e-6 < errors[0]


def test_what_is_due_is_added_once():
    rule, block = Newton(refresh=4, rank=0), linear()
    memories = rule.make([block])
    for k in range(6):
        step(rule, memories, block, randn(k, 20, 5), randn(50 + k, 20, 3))
    assert memories[0].steps == 6
    assert memories[0].added == pytest.approx(sum(rule.forget**i for i in range(5)))  # steps 0 to 4
