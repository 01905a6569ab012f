"""The memory's rules (AM-mem): sweeps against the printed column loop, fixed points, and what is remembered."""

from __future__ import annotations

import math

import pytest
import torch

import altmin
from altmin import Backprop, OnlineAM
from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.errors import DivergenceError
from altmin.layerwise.function import LayerFunction
from altmin.maps import Linear
from altmin.online.rules import SGD, Adam, CoActivationMemory, descend
from altmin.online.targets import SquaresTarget
from altmin.regularizers import L1, L2, NoRegularizer, Regularizer
from altmin.solvers.coordinate_descent import column_sweep
from methods.table import Loop
from solvers.test_coordinate_descent import column_loop, problem, randn


@pytest.mark.parametrize("solver", ["bcd", "ridge"])
def test_dead_columns_keep_their_weights(solver):
    W, M, B, *_ = problem(dead=(1, 4))
    new = CoActivationMemory(solver=solver).solve(W, M, B, NoRegularizer(), 1.0, "W_1")
    torch.testing.assert_close(new[:, [1, 4]], W[:, [1, 4]])
    assert ((new - W)[:, [0, 2, 3, 5]].abs() > 1e-4).all()


@pytest.mark.parametrize("weight", [0.0, 0.7])
@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_ridge_is_the_stacked_least_squares_solution(ridge, weight):
    """``1/2 ||C - A W^T||^2 + share weight/2 ||W||^2 + ridge trace/p/2 ||W - W0||^2``."""
    W, M, B, a, c = problem()
    share, p = 3.0, len(M)
    decay = share * weight
    pull = ridge * (M.trace() / p + decay)
    eye = torch.eye(p, dtype=W.dtype)
    left = torch.cat([a, math.sqrt(decay) * eye, pull.sqrt() * eye])
    right = torch.cat([c, torch.zeros(p, 3, dtype=W.dtype), pull.sqrt() * W.T])
    new = CoActivationMemory(solver="ridge", ridge=ridge).solve(W, M, B, L2(weight), share, "W_1")
    torch.testing.assert_close(new, torch.linalg.lstsq(left, right).solution.T, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("regularizer", "share", "expected"),
    [
        (NoRegularizer(), 2.0, lambda W, M, B: column_loop(W, M, B)),
        (L1(0.0), 2.0, lambda W, M, B: column_loop(W, M, B)),
        (L1(0.3), 2.0, lambda W, M, B: column_loop(W, M, B, 0.6)),
        (L2(0.3), 2.0, lambda W, M, B: column_loop(W, M + 0.6 * torch.eye(6).to(M), B)),
    ],
)
def test_bcd_runs_sweeps_of_its_regularizer(regularizer: Regularizer, share, expected):
    W, M, B, *_ = problem()
    new = CoActivationMemory(sweeps=1).solve(W, M, B, regularizer, share, "W_1")
    torch.testing.assert_close(new, expected(W, M, B), rtol=1e-10, atol=1e-10)


def test_bcd_sweeps_until_nothing_changes_or_its_sweeps_are_used_up():
    W, M, B, *_ = problem()
    two = column_sweep(column_sweep(W, M, B), M, B)
    first = (column_sweep(W, M, B) - W).abs().max().item()
    torch.testing.assert_close(CoActivationMemory(sweeps=2, tol=1e-12).solve(W, M, B, NoRegularizer(), 1.0, "W"), two)
    stopped = CoActivationMemory(sweeps=50, tol=1.01 * first).solve(W, M, B, NoRegularizer(), 1.0, "W")
    torch.testing.assert_close(stopped, column_sweep(W, M, B))


@pytest.mark.parametrize("forget", [1.0, 0.8])
@pytest.mark.parametrize("bias", [True, False])
def test_memory_is_the_sum_over_batches(forget: float, bias: bool):
    rule, layer = CoActivationMemory(forget=forget), Layer(Linear(4, 2, bias), Identity())
    function = LayerFunction(layer, randn(9, 2, 4), torch.zeros(2, dtype=torch.float64))
    memory = rule.init([function])
    batches = [(randn(i, 5, 4), randn(i + 20, 5, 2)) for i in range(6)]
    for a, c in batches:
        rule.learn(memory, [SquaresTarget(function, a, c, None, 2.0, 5, 60.0)], NoRegularizer())
    shares = [forget ** (5 - i) for i in range(6)]
    designs = [torch.cat([a, torch.ones(5, bias).double()], 1) for a, _ in batches]
    M = sum(s * a.T @ a for s, a in zip(shares, designs, strict=True))
    B = sum(s * c.T @ a for s, a, (_, c) in zip(shares, designs, batches, strict=True))
    torch.testing.assert_close(memory.M[0], M)
    torch.testing.assert_close(memory.B[0], B)
    assert memory.batches == 6
    assert rule.weight(6, 5) == pytest.approx(5 * sum(shares))


def test_nan_in_the_memory_is_reported():
    W, M, B, *_ = problem()
    M[0, 0] = math.nan
    with pytest.raises(DivergenceError, match="W_2"):
        CoActivationMemory(solver="ridge").solve(W, M, B, NoRegularizer(), 1.0, "W_2")


@pytest.mark.parametrize("rule", [Adam(0.01), SGD(0.2, 0.9)], ids=repr)
def test_the_strides_of_gradients_and_parameters_do_not_matter(rule: Adam | SGD):
    """PyTorch's fused kernels on the CPU read the memory as it lies."""
    g, found = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), []
    for grad in (g, g.T.contiguous().T):
        for zeros in (torch.zeros(4, 6), torch.zeros(6, 4).T):
            p = zeros.double()
            optimizer = rule.optimizer([p])
            descend(optimizer, [grad])
            descend(optimizer, [grad])
            found.append(p)
    for other in found[1:]:
        torch.testing.assert_close(found[0], other)


def test_gradient_rules_are_pytorchs():
    for rule, kind in ((Adam(0.01), torch.optim.Adam), (SGD(0.2, 0.9), torch.optim.SGD)):
        optimizer = rule.optimizer([torch.zeros(2, requires_grad=True)])
        assert type(optimizer) is kind
        assert optimizer.param_groups[0]["lr"] == rule.lr
    assert optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize(
    "bad", [{"forget": 0.0}, {"forget": 1.1}, {"solver": "lu"}, {"sweeps": 0}, {"tol": 0.0}, {"ridge": -1.0}]
)
def test_memory_refuses(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        CoActivationMemory(**bad)


# The ball of Theorem 3.2, and its falling steps


@pytest.mark.parametrize("radius", [0.05, 1e9])
def test_layers_stay_in_the_ball_around_their_start(radius: float):
    """Equation 8 in one step: the gradient step, and the nearest point of the ball, weights and intercept together."""
    free, held = (
        Loop.on_digits(OnlineAM(rule=SGD(5.0, radius=r), last=SGD(5.0, radius=r)), n=60) for r in (None, radius)
    )
    start = held.state.clone()
    free.step()
    held.step()
    for i, (W0, b0) in enumerate(zip(start.W, start.b, strict=True)):
        move = torch.cat([(free.state.W[i] - W0).flatten(), free.state.b[i] - b0])
        size = float(move.norm())
        assert size > 0.05
        share = min(1.0, radius / size)
        torch.testing.assert_close(held.state.W[i], W0 + share * (free.state.W[i] - W0))
        torch.testing.assert_close(held.state.b[i], b0 + share * (free.state.b[i] - b0))
    for _ in range(5):
        held.step()
        for W, b, W0, b0 in zip(held.state.W, held.state.b, start.W, start.b, strict=True):
            assert float(((W - W0).square().sum() + (b - b0).square().sum()).sqrt()) <= radius * (1 + 1e-9)


def test_the_balls_centre_is_saved():
    method = OnlineAM(rule=SGD(5.0, radius=0.1), last=SGD(5.0, radius=0.1))
    loop, fresh = (Loop.on_digits(method, n=60) for _ in range(2))
    loop.step()
    fresh.state.load_state_dict(loop.state.clone().state_dict())
    loop.step()
    fresh.step()
    for one, two in zip(loop.state.W, fresh.state.W, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("kind", ["online", "backprop"])
def test_steps_fall_as_one_over_their_number(kind: str):
    online = kind == "online"
    method = OnlineAM(SGD(0.4), SGD(0.4), decay="1/t") if online else Backprop("sgd", lr=0.4, decay="1/t")
    loop, seen = Loop.on_digits(method, n=40), []
    for _ in range(4):
        memory = loop.step().memory
        seen.append((memory.rules[0] if online else memory).optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.4, 0.2, 0.4 / 3, 0.1])


def test_a_radius_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`radius` must be > 0"):
        SGD(radius=0.0)
    with pytest.raises(ValueError, match="`feedback`: a `radius` holds layers of the network alone"):
        altmin.DTP(feedback=SGD(radius=1.0))
