"""Codes inside a recurrence by autograd on their stated objective, and exact recovery of a known matrix."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from torch import Tensor

from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.layerwise.function import LayerFunction
from altmin.maps import Recurrent
from altmin.online import recurrent_codes as recurrence
from altmin.online.codes import Codes
from altmin.online.recurrent_codes import find_codes, unfolded

N, T, P, Q = 30, 6, 3, 4


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer_of(scale: float = 1.0) -> tuple[LayerFunction, Recurrent, Tensor]:
    """A recurrent layer and sequences."""
    map = Recurrent(P, Q)
    return (
        LayerFunction(
            Layer(cast(Any, map), Identity()),  # it is called, as a linear map is
            scale * randn(*map.shape, seed=1),
            randn(Q, seed=2),
        ),
        map,
        randn(N, T, P),
    )


def objective(
    function: LayerFunction, x: Tensor, o: Tensor, c: Tensor, c0: Tensor, ahead: Tensor | None, t: int, p: float
):
    """What the docstring says that one code lowers, per sample."""
    total = (o[:, t] - torch.tanh(c)).square().sum(1) + p * (c - c0).square().sum(1)
    if ahead is None:
        return total
    step = torch.cat([x[:, t + 1], torch.tanh(c)], 1) @ function.W.T + function.b
    return total + (ahead - step).square().sum(1)


def states(function: LayerFunction, x: Tensor) -> tuple[Tensor, Tensor]:
    """Arguments and values of the recurrence, step by step."""
    h, c = torch.zeros(len(x), Q).double(), []
    for t in range(x.shape[1]):
        c.append(torch.cat([x[:, t], h], 1) @ function.W.T + function.b)
        h = torch.tanh(c[-1])
    return torch.stack(c, 1), torch.tanh(torch.stack(c, 1))


def test_the_map_is_the_recurrence():
    function, map, x = layer_of()
    c, h = states(function, x)
    torch.testing.assert_close(map.arguments(function.W, function.b, x), c)
    torch.testing.assert_close(map(function.W, function.b, x), h)
    torch.testing.assert_close(map(function.W, function.b, x.flatten(1)), h)


@pytest.mark.parametrize("proximity", [1.0, 0.3])
def test_inner_gradients_are_autograds_of_the_stated_objective(proximity: float, monkeypatch: pytest.MonkeyPatch):
    function, map, x = layer_of()
    outputs, c0 = torch.tanh(randn(N, T, Q, seed=5)), states(function, x)[0]
    seen: list[tuple[int, Tensor]] = []

    def spy(start, gradient, steps, lr, momentum):
        t = T - 1 - len(seen)
        c = (start + 0.3 * randn(N, Q, seed=40 + t)).requires_grad_()
        ahead = seen[-1][1] if seen else None
        torch.testing.assert_close(start, c0[:, t])
        total = objective(function, x, outputs, c, c0[:, t], ahead, t, proximity).sum()
        torch.testing.assert_close(gradient(c.detach()), torch.autograd.grad(total, c)[0])
        seen.append((t, c.detach()))
        return c.detach()

    monkeypatch.setattr(recurrence, "nesterov", spy)
    codes = find_codes(function, map, x, outputs, Codes(proximity=proximity))
    assert [t for t, _ in seen] == [5, 4, 3, 2, 1, 0]
    for t, c in seen:
        assert torch.equal(codes[:, t], c)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_codes_lower_their_objective(scale: float):
    """Each code against the updated one after it, from the forward value; whatever the weights' size."""
    function, map, x = layer_of(scale)
    outputs, c0 = torch.tanh(randn(N, T, Q, seed=5)), states(function, x)[0]
    codes = find_codes(function, map, x, outputs, Codes(steps=5, lr=1.0))
    for t in range(T):
        ahead = codes[:, t + 1] if t + 1 < T else None
        before = objective(function, x, outputs, c0[:, t], c0[:, t], ahead, t, 1.0).sum()
        after = objective(function, x, outputs, codes[:, t], c0[:, t], ahead, t, 1.0).sum()
        assert after < before


@pytest.mark.parametrize(("proximity", "lr", "scale"), [(1.0, 1.0, 1.0), (0.3, 0.7, 1.0), (2.5, 1.0, 4.0)])
def test_one_step_is_the_gradient_over_the_bound_of_its_growth(proximity: float, lr: float, scale: float):
    """Each of the three squares bends by at most 2, by 2 ``||V||^2`` and by 2 `proximity` where tanh is steepest."""
    function, map, x = layer_of(scale)
    outputs, c0 = torch.tanh(randn(N, T, Q, seed=5)), states(function, x)[0]
    codes = find_codes(function, map, x, outputs, Codes(steps=1, lr=lr, momentum=0.0, proximity=proximity))
    bound = 2 + 2 * proximity + 2 * torch.linalg.svdvals(function.W[:, P:])[0] ** 2
    for t in range(T):
        ahead = codes[:, t + 1] if t + 1 < T else None
        c = c0[:, t].clone().requires_grad_()
        total = objective(function, x, outputs, c, c0[:, t], ahead, t, proximity).sum()
        torch.testing.assert_close(codes[:, t], c0[:, t] - lr / bound * torch.autograd.grad(total, c)[0])


@pytest.mark.parametrize("scaling", ["samples", "entries", "gradients"])
def test_inner_codes_ignore_scaling_and_sparsity(scaling: str):
    """As the documentation of `Codes` says."""
    function, map, x = layer_of()
    outputs = torch.tanh(randn(N, T, Q, seed=5))
    found = find_codes(function, map, x, outputs, Codes(scaling=scaling, sparsity=3.0))
    assert torch.equal(found, find_codes(function, map, x, outputs, Codes()))


def test_codes_of_the_networks_own_outputs_stay():
    function, map, x = layer_of()
    c, h = states(function, x)
    torch.testing.assert_close(find_codes(function, map, x, h, Codes()), c)


def test_unfolded_rows_pose_the_least_squares_that_recover_the_matrix():
    """From codes that the recurrence itself has made, the regression gives its weights back."""
    function, map, x = layer_of()
    _, h = states(function, x)
    linear, rows, targets = unfolded(function, map, x, h, Codes(steps=0))
    assert (rows.shape, targets.shape) == ((N * T, P + Q), (N * T, Q))
    design = torch.cat([rows, torch.ones(N * T, 1).double()], 1)
    found = torch.linalg.lstsq(design, targets).solution.T
    torch.testing.assert_close(found, torch.cat([function.W, function.b[:, None]], 1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(linear(rows).z, targets)


def test_unfolded_rows_are_every_step_of_every_sequence():
    function, map, x = layer_of()
    _, rows, targets = unfolded(function, map, x, torch.tanh(randn(N, T, Q, seed=5)), Codes())
    rows, targets = rows.view(N, T, P + Q), targets.view(N, T, Q)
    torch.testing.assert_close(rows[:, :, :P], x)
    assert not rows[:, 0, P:].any()
    torch.testing.assert_close(rows[:, 1:, P:], torch.tanh(targets[:, :-1]))


def test_unfolded_gradients_sum_over_steps():
    """With codes held, the function's weight gradient is autograd's of the squares over all steps."""
    function, map, x = layer_of()
    linear, rows, targets = unfolded(function, map, x, torch.tanh(randn(N, T, Q, seed=5)), Codes())
    W, b = function.W.clone().requires_grad_(), function.b.clone().requires_grad_()
    squares = 0.5 * (rows @ W.T + b - targets).square().sum()
    out = linear(rows)
    for found, expected in zip(out.to_params(out.z - targets), torch.autograd.grad(squares, (W, b)), strict=True):
        torch.testing.assert_close(found, expected)
