"""Codes inside a recurrence by autograd on their stated objective, and exact recovery of a known matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.layerwise.function import Block
from altmin.maps import Recurrent
from altmin.online import recurrent_codes as recurrence
from altmin.online.codes import Codes
from altmin.online.recurrent_codes import find_codes, unfolded

N, T, P, Q = 30, 6, 3, 4


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def block_of(scale: float = 1.0) -> tuple[Block, Recurrent, Tensor]:
    """A recurrent layer and sequences."""
    map = Recurrent(P, Q)
    return Block(Layer(map, Identity()), scale * randn(*map.shape, seed=1), randn(Q, seed=2)), map, randn(N, T, P)


def objective(block: Block, x: Tensor, o: Tensor, c: Tensor, c0: Tensor, ahead: Tensor | None, t: int, p: float):
    """What the docstring says that one code lowers, per sample."""
    total = (o[:, t] - torch.tanh(c)).square().sum(1) + p * (c - c0).square().sum(1)
    if ahead is None:
        return total
    step = torch.cat([x[:, t + 1], torch.tanh(c)], 1) @ block.W.T + block.b
    return total + (ahead - step).square().sum(1)


def states(block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """Arguments and values of the recurrence, step by step."""
    h, c = torch.zeros(len(x), Q).double(), []
    for t in range(x.shape[1]):
        c.append(torch.cat([x[:, t], h], 1) @ block.W.T + block.b)
        h = torch.tanh(c[-1])
    return torch.stack(c, 1), torch.tanh(torch.stack(c, 1))


def test_the_map_is_the_recurrence():
    block, map, x = block_of()
    c, h = states(block, x)
    torch.testing.assert_close(map.arguments(block.W, block.b, x), c)
    torch.testing.assert_close(map(block.W, block.b, x), h)
    torch.testing.assert_close(map(block.W, block.b, x.flatten(1)), h)


@pytest.mark.parametrize("proximity", [1.0, 0.3])
def test_inner_gradients_are_autograds_of_the_stated_objective(proximity: float, monkeypatch: pytest.MonkeyPatch):
    block, map, x = block_of()
    outputs, c0 = torch.tanh(randn(N, T, Q, seed=5)), states(block, x)[0]
    seen: list[tuple[int, Tensor]] = []

    def spy(start, gradient, steps, lr, momentum):
        t = T - 1 - len(seen)
        c = (start + 0.3 * randn(N, Q, seed=40 + t)).requires_grad_()
        ahead = seen[-1][1] if seen else None
        torch.testing.assert_close(start, c0[:, t])
        total = objective(block, x, outputs, c, c0[:, t], ahead, t, proximity).sum()
        torch.testing.assert_close(gradient(c.detach()), torch.autograd.grad(total, c)[0])
        seen.append((t, c.detach()))
        return c.detach()

    monkeypatch.setattr(recurrence, "nesterov", spy)
    codes = find_codes(block, map, x, outputs, Codes(proximity=proximity))
    assert [t for t, _ in seen] == [5, 4, 3, 2, 1, 0]
    for t, c in seen:
        assert torch.equal(codes[:, t], c)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_codes_lower_their_objective(scale: float):
    """Each code against the updated one after it, from the forward value; whatever the weights' size."""
    block, map, x = block_of(scale)
    outputs, c0 = torch.tanh(randn(N, T, Q, seed=5)), states(block, x)[0]
    codes = find_codes(block, map, x, outputs, Codes(steps=5, lr=1.0))
    for t in range(T):
        ahead = codes[:, t + 1] if t + 1 < T else None
        before = objective(block, x, outputs, c0[:, t], c0[:, t], ahead, t, 1.0).sum()
        after = objective(block, x, outputs, codes[:, t], c0[:, t], ahead, t, 1.0).sum()
        assert after < before


def test_codes_of_the_networks_own_outputs_stay():
    block, map, x = block_of()
    c, h = states(block, x)
    torch.testing.assert_close(find_codes(block, map, x, h, Codes()), c)


def test_unfolded_rows_pose_the_least_squares_that_recover_the_matrix():
    """From codes that the recurrence itself has made, the regression gives its weights back."""
    block, map, x = block_of()
    _, h = states(block, x)
    linear, rows, targets = unfolded(block, map, x, h, Codes(steps=0))
    assert (rows.shape, targets.shape) == ((N * T, P + Q), (N * T, Q))
    design = torch.cat([rows, torch.ones(N * T, 1).double()], 1)
    found = torch.linalg.lstsq(design, targets).solution.T
    torch.testing.assert_close(found, torch.cat([block.W, block.b[:, None]], 1), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(linear(rows).z, targets)


def test_unfolded_rows_are_every_step_of_every_sequence():
    block, map, x = block_of()
    _, rows, targets = unfolded(block, map, x, torch.tanh(randn(N, T, Q, seed=5)), Codes())
    rows, targets = rows.view(N, T, P + Q), targets.view(N, T, Q)
    torch.testing.assert_close(rows[:, :, :P], x)
    assert not rows[:, 0, P:].any()
    torch.testing.assert_close(rows[:, 1:, P:], torch.tanh(targets[:, :-1]))


def test_unfolded_gradients_sum_over_steps():
    """With codes held, the block's weight gradient is autograd's of the squares over all steps."""
    block, map, x = block_of()
    linear, rows, targets = unfolded(block, map, x, torch.tanh(randn(N, T, Q, seed=5)), Codes())
    W, b = block.W.clone().requires_grad_(), block.b.clone().requires_grad_()
    squares = 0.5 * (rows @ W.T + b - targets).square().sum()
    out = linear(rows)
    for found, expected in zip(out.to_params(out.z - targets), torch.autograd.grad(squares, (W, b)), strict=True):
        torch.testing.assert_close(found, expected)
