"""Newton steps of the weights: against closed forms, in float64."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from altmin import DivergenceError
from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.layerwise.function import LayerFunction
from altmin.maps import Conv2d, Linear
from altmin.online.rules import Newton
from altmin.online.rules.inverse import Leading
from altmin.online.rules.newton import Curvatures
from altmin.online.targets import LayerGradient
from altmin.regularizers import L2, NoRegularizer, Regularizer


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def linear(p: int = 5, q: int = 3, bias: bool = True) -> LayerFunction:
    b = randn(2, q) if bias else torch.zeros(q, dtype=torch.float64)
    return LayerFunction(Layer(Linear(p, q, bias), Identity()), randn(1, q, p), b)


def gradients(function: LayerFunction, a: Tensor, c: Tensor) -> list[Tensor]:
    """Of ``||C - W a||^2 / N``."""
    out = function(a)
    return out.to_params((out.z - c) * (2.0 / len(a)))


def step(
    rule: Newton,
    memory: Curvatures,
    function: LayerFunction,
    a: Tensor,
    c: Tensor,
    omega: Regularizer = NoRegularizer(),  # noqa: B008, it is frozen
    omega_weight: float = 0.0,
) -> None:
    rule.step(memory, [LayerGradient(function, a, gradients(function, a, c), omega_weight)], omega)


def fitted(a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares with an intercept."""
    design = torch.cat([a, torch.ones_like(a[:, :1])], 1)
    theta = torch.linalg.lstsq(design, c).solution.T
    return theta[:, :-1], theta[:, -1]


def test_a_whole_step_on_a_fresh_memory_is_least_squares():
    """Half the Hessian is ``M``, so that the whole Newton step has `lr` 1/2."""
    rule, function, a, c = (
        Newton(lr=0.5, momentum=0.0, damping=1e-12, forget=0.0),
        linear(),
        randn(3, 40, 5),
        randn(4, 40, 3),
    )
    step(rule, rule.init([function]), function, a, c)
    W, b = fitted(a, c)
    torch.testing.assert_close(function.W, W, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(function.b, b, rtol=1e-8, atol=1e-8)


SIZES = {"alike": [1.0] * 10, "growing": [1.0, 1.5, 2.0, 4.0, 0.5, 6.0, 6.0, 1.0, 9.0, 30.0]}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("l2", "share"), [(0.0, 0.7), (0.9, 0.4), (0.3, 2.0)])
def test_steps_are_the_printed_formula(sizes: str, l2: float, share: float):
    """The l2 term weighs its share beside the batch's squares, spares the intercept, and is part of the damping.

    Gradients of inputs that are more than twice as large in the mean square as what was remembered count by as much
    less; what was remembered is weighed as the memory weighs it.
    """
    rule, function = Newton(lr=0.2, momentum=0.8, damping=0.5, forget=0.6, refresh=3, rank=0), linear()
    memory, theta, V, M, weight = rule.init([function]), torch.cat([function.W, function.b[:, None]], 1), 0.0, 0.0, 0.0
    inverse, known, held = None, 0.0, []
    for k, size in enumerate(SIZES[sizes]):
        a, c = size * randn(10 + k, 20, 5), randn(30 + k, 20, 3)
        step(rule, memory, function, a, c, L2(l2), share)
        design = torch.cat([a, torch.ones_like(a[:, :1])], 1)
        if k in (0, 1, 2, 3, 6, 9):
            weight = 0.6 * weight + 1.0
            M = M + (design.T @ design / 20 - M) / weight
            known = known + (a.square().sum() / 20 - known) / weight
            damping = 0.5 * M.diagonal().mean() + 1e-10 + share * l2
            inverse = torch.linalg.inv(M + damping * torch.eye(6, dtype=torch.float64))
        shrink = torch.cat([theta[:, :-1], torch.zeros_like(theta[:, -1:])], 1)
        held.append(min(1.0, float(2 * known / (a.square().sum() / 20))))
        G = 2.0 / 20 * (theta @ design.T - c.T) @ design + share * l2 * shrink
        V = 0.8 * V + held[-1] * G @ inverse
        theta = theta - 0.2 * V
        torch.testing.assert_close(torch.cat([function.W, function.b[:, None]], 1), theta, rtol=1e-8, atol=1e-8)
    assert (min(held) < 0.9) == (sizes == "growing")


@pytest.mark.parametrize("refresh", [1, 4, 10])
def test_the_first_batches_are_all_remembered(refresh: int):
    due = [k for k in range(25) if Newton(refresh=refresh).due(k)]
    assert due == sorted({*range(refresh), *range(0, 25, refresh)})


def test_a_whole_step_of_a_convolution_is_least_squares_over_all_positions():
    map = Conv2d(2, 3, (2, 2))
    function = LayerFunction(Layer(map, Identity()), randn(1, *map.shape), randn(2, 3))
    rule, a, c = (
        Newton(lr=0.5, momentum=0.0, damping=1e-12, forget=0.0, rank=0),
        randn(3, 9, 2, 5, 5),
        randn(4, 9, 3, 4, 4),
    )
    step(rule, rule.init([function]), function, a, c)
    rows = torch.nn.functional.unfold(a, 2).mT.flatten(0, 1)
    W, b = fitted(rows, c.flatten(2).mT.flatten(0, 1))
    torch.testing.assert_close(function.W.view(3, -1), W, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(function.b, b, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("rank", [0, 2])
def test_inputs_that_have_outgrown_the_memory_count_less(rank: int):
    """Inputs 4 times as large: mean squares 16 times, of which the memory answers for 2."""
    rule, function, a = Newton(momentum=0.0, refresh=2, rank=rank), linear(bias=False), randn(3, 40, 5)
    memory = rule.init([function])
    for _ in range(3):
        step(rule, memory, function, a, randn(4, 40, 3))
    inverse, (own,) = memory.layers[0].inverse, memory.layers
    grads, before, plain = (
        gradients(function, 4 * a, randn(4, 40, 3)),
        function.W.clone(),
        torch.zeros(1, 3, 5).double(),
    )
    inverse.add(plain, grads[0][None])
    step(rule, memory, function, 4 * a, randn(4, 40, 3))
    assert own.steps == 4
    torch.testing.assert_close(function.W, before - rule.lr * 2 / 16 * plain[0])


def test_without_an_intercept_it_stays_zero():
    rule, function, a = Newton(), linear(bias=False), randn(3, 40, 5)
    memory = rule.init([function])
    step(rule, memory, function, a, randn(4, 40, 3))
    assert not function.b.any()
    assert memory.layers[0].M.shape == (5, 5)


@pytest.mark.parametrize("rank", [0, 3])
def test_groups_of_channels_have_their_own_memory(rank: int):
    """A convolution of two groups steps as its two halves do."""
    whole = Conv2d(4, 6, (2, 2), groups=2)
    half, rule = replace(whole, inputs=2, outputs=3, groups=1), Newton(momentum=0.0, rank=rank)
    W, b, a, c = randn(1, *whole.shape), randn(2, 6), randn(3, 7, 4, 5, 5), randn(4, 7, 6, 4, 4)
    function = LayerFunction(Layer(whole, Identity()), W.clone(), b.clone())
    step(rule, rule.init([function]), function, a, c)
    for i in range(2):
        part = LayerFunction(Layer(half, Identity()), W[i].clone(), b[3 * i : 3 * i + 3].clone())
        rows, outs = slice(2 * i, 2 * i + 2), slice(3 * i, 3 * i + 3)
        step(rule, rule.init([part]), part, a[:, rows], c[:, outs])
        torch.testing.assert_close(function.W[i], part.W)
        torch.testing.assert_close(function.b[outs], part.b)


def test_dead_inputs_do_no_harm_and_nan_is_named():
    rule, function = Newton(), linear()
    memory = rule.init([function])
    dead = torch.zeros(10, 5, dtype=torch.float64)
    step(rule, memory, function, dead, randn(4, 10, 3))
    assert torch.isfinite(function.W).all()
    with pytest.raises(DivergenceError, match="memory"):
        step(rule, memory, function, dead * torch.nan, randn(4, 10, 3))


def leading(M: Tensor, d: Tensor, rank: int) -> Leading:
    found = Leading.empty(M, rank)
    found.update(M, d, first=True)
    return found


def test_leading_eigenvectors_stand_for_the_memory():
    """Where the others are zero the low rank is the whole, and with a gap it is nearly."""
    basis = torch.linalg.qr(randn(1, 12, 12)).Q
    G, d = randn(2, 1, 4, 12), torch.full((1, 1), 0.3, dtype=torch.float64)
    for rest, tolerance in ((0.0, 1e-10), (1e-4, 1e-3)):
        m = torch.tensor([9.0, 5.0, 3.0, *[rest] * 9], dtype=torch.float64)
        M = basis * m @ basis.T
        found = torch.zeros_like(G)
        leading(M, d, 3).add(found, G)
        torch.testing.assert_close(
            found, G @ torch.linalg.inv(M + 0.3 * torch.eye(12, dtype=M.dtype)), rtol=tolerance, atol=tolerance
        )


def test_leading_eigenvectors_follow_the_memory():
    """Power steps from the former ones lead to those of a matrix that is not near."""
    a, d, errors = randn(1, 200, 12), torch.full((1, 1), 0.1), []
    basis, factors = torch.linalg.qr(randn(2, 12, 12)).Q, leading(a.T @ a / 200, d, 4)
    moved, lead = basis * torch.logspace(1, -4, 12, dtype=torch.float64) @ basis.T, basis[:, :2]
    for _ in range(10):
        factors.update(moved, d, first=False)
        errors.append(float((lead - factors.Q @ (factors.Q.T @ lead)).norm()))
    assert errors[-1] < 1e-6 < errors[0]


def test_what_is_due_is_added_once():
    rule, function = Newton(refresh=4, rank=0), linear()
    memory = rule.init([function])
    for k in range(6):
        step(rule, memory, function, randn(k, 20, 5), randn(50 + k, 20, 3))
    assert memory.layers[0].steps == 6
    assert memory.layers[0].added == pytest.approx(sum(rule.forget**i for i in range(5)))  # steps 0 to 4
