"""iPDLAM and DLAM: inertia, orders, mini-batches, the penalty's growth, and Table 1."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import altmin
from altmin import DLAM, IPDLAM, Batch, DivergenceError, State
from methods.table import Loop, digits, network


def pair(one: IPDLAM, two: IPDLAM, steps: int = 4) -> tuple[State[Any], State[Any]]:
    loops = Loop.on_digits(one, "squared"), Loop.on_digits(two, "squared")
    for _ in range(steps):
        loops[0].step()
        loops[1].step()
    return loops[0].state, loops[1].state


def same(one: State[Any], two: State[Any]) -> bool:
    pairs = zip([*one.W, *one.b, *one.z, *one.a], [*two.W, *two.b, *two.z, *two.a], strict=True)
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-11) for a, b in pairs)


def test_increase_and_reverse_give_identical_iterates():
    assert same(*pair(IPDLAM(order="increase"), IPDLAM(order="reverse")))


def test_nested_order_differs():
    assert not same(*pair(IPDLAM(order="increase"), IPDLAM(order="nested")))


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_each_inertial_factor_acts_from_the_second_step_on(name: str):
    plain, inert = IPDLAM(alpha=0.0, beta=0.0, gamma=0.0), replace(IPDLAM(0.0, 0.0, 0.0), **{name: 0.5})
    assert same(*pair(plain, inert, steps=1))
    assert not same(*pair(plain, inert, steps=2))


def test_inertia_without_proximal_term_does_nothing():
    assert same(*pair(DLAM(), IPDLAM(delta=0.0)))


def test_second_step_extrapolates_by_hand():
    """The intercept of the last layer, from its formula with the iterates written out."""
    loop = Loop.on_digits(IPDLAM(alpha=0.0, beta=0.5, gamma=0.0), "squared", hidden=())
    x, first, second, third = loop.batch.x, loop.state.clone(), loop.step().clone(), loop.step()
    hat = second.b[0] + 0.5 * (second.b[0] - first.b[0])
    residual = (third.z[0] - x @ third.W[0].T).sum(0)
    torch.testing.assert_close(third.b[0], (residual + hat) / (len(x) + 1))


def test_penalty_grows_once_an_epoch_to_its_limit():
    loop = Loop.on_digits(IPDLAM(rho=0.5, theta=1.5, rho_max=1.0), "squared")
    found = []
    for _ in range(3):
        for i, rows in enumerate(torch.arange(300).split(100)):
            loop.step(loop.batch.select(rows, ends_epoch=i == 2))
            found.append(loop.method.scalars(loop.state)["rho"])
    assert found == [0.5] * 3 + [0.75] * 3 + [1.0] * 3


@pytest.mark.parametrize("order", ["increase", "reverse", "nested"])
def test_recorded_penalty_is_that_of_the_iteration(order: str):
    """The iterate is that of a constant penalty of the recorded size, and the objective is counted with it."""
    grows = IPDLAM(rho=0.5, theta=1.5, rho_max=5.0, order=order)
    loop = Loop.on_digits(grows, "squared").scattered()
    for k in range(4):
        before = loop.state.clone()
        loop.step()
        rho = loop.method.scalars(loop.state)["rho"]
        assert rho == pytest.approx(0.5 * 1.5**k)
        constant = Loop(IPDLAM(rho=rho, order=order), loop.problem, loop.batch, before)
        assert same(constant.step(), loop.state)
        assert constant.objective() == pytest.approx(loop.objective(), rel=1e-12)
        terms, sizes = loop.method.evaluate(loop.sweep())
        assert float(terms["linear"]) == pytest.approx(0.5 * rho * sum(float(sizes[f"E_{i}"]) ** 2 for i in (1, 2, 3)))


@pytest.mark.slow
def test_linear_network_is_ridge_regression():
    """One layer, squared loss, huge penalty: the fixed point is least squares."""
    loop = Loop.on_digits(DLAM(rho=1.0, rho_max=1.0), "squared", hidden=())
    for _ in range(3000):
        loop.step()
    x, y = loop.batch.x, loop.batch.y
    design = torch.cat([x, torch.ones(len(x), 1).to(x)], 1)
    fit = design @ torch.linalg.lstsq(design, y, driver="gelsd").solution
    torch.testing.assert_close(x @ loop.state.W[0].T + loop.state.b[0], fit, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_l2_fixed_point_is_ridge_in_closed_form():
    """At a fixed point of one layer ``Z`` is between ``Y`` and the fit, and ``rho (fit - Z) A + w W = 0``."""
    weight = 0.7
    loop = Loop.on_digits(IPDLAM(rho=1.0), "squared", hidden=(), regularizer=f"l2:{weight}")
    for _ in range(2000):
        loop.step()
    x, y = loop.batch.x, loop.batch.y
    centred, targets = x - x.mean(0), y - y.mean(0)
    # min 1/2||Z - Y||^2 + 1/2||Z - XW - b||^2 + w/2||W||^2 over Z leaves 1/4||Y - XW - b||^2 + w/2||W||^2.
    normal = centred.T @ centred + 2 * weight * torch.eye(64).to(x)
    torch.testing.assert_close(loop.state.W[0], torch.linalg.solve(normal, centred.T @ targets).T, rtol=0, atol=1e-4)


def test_batches_of_one_epoch_update_only_their_rows():
    loop = Loop.on_digits(IPDLAM(), "squared")
    before = [t.clone() for t in loop.state.z + loop.state.a]
    rows = torch.arange(50, 110)
    state = loop.step(loop.batch.select(rows, ends_epoch=False))
    others = torch.ones(300, dtype=torch.bool)
    others[rows] = False
    for old, new in zip(before, [*state.z, *state.a], strict=True):
        assert torch.equal(old[others], new[others])
    # From a forward pass the hidden Z stay where they are in the first step.
    for old, new in zip(before[2:], [*state.z, *state.a][2:], strict=True):
        assert not torch.equal(old[rows], new[rows])


def test_a_batch_of_all_rows_equals_the_full_batch():
    full, rows = Loop.on_digits(IPDLAM(), "squared"), Loop.on_digits(IPDLAM(), "squared")
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    for _ in range(4):
        full.step()
        rows.step(rows.batch.select(order, ends_epoch=True))
    assert same(full.state, rows.state)


def test_small_batches_use_the_smaller_side_and_agree():
    """A batch of 30 rows and 64 inputs goes through Woodbury; statistics would give the same."""
    from altmin.solvers.weight_least_squares import ridge_weights, statistics

    loop = Loop.on_digits(IPDLAM(), "squared", hidden=())
    batch = loop.batch.select(slice(0, 30), ends_epoch=False)
    start, state = loop.state.clone(), loop.step(batch)
    stats = statistics(loop.problem.layers[0].map, batch.x, state.z[0][:30], Batch(batch.x, batch.y))
    torch.testing.assert_close(state.W[0], ridge_weights(stats, start.b[0], start.W[0], 1.0, 1.0))


def train(factor: float, epochs: int, n: int = 1000) -> altmin.History:
    x, y = digits(n)
    model = network(64, 64)
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01, generator=torch.Generator().manual_seed(0))
            nn.init.constant_(layer.bias, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", altmin.InertiaWarning)
        method = IPDLAM(alpha=factor, beta=factor, gamma=factor)
    return altmin.fit(model, method, (x, y), loss="squared", epochs=epochs)


@pytest.mark.slow
def test_inertia_of_a_half_beats_none():
    """Table 1 and Figure 1: a smaller objective after as many iterations, started as the paper."""
    assert train(0.5, 60)["objective"][-1] < 0.8 * train(0.0, 60)["objective"][-1]


@pytest.mark.slow
def test_inertia_of_eleven_tenths_blows_up():
    """Table 1: nan at 1.1."""
    try:
        objective = train(1.1, 200)["objective"]
    except DivergenceError:
        return
    assert objective[-1] > 1e3 * min(objective)


def test_descent_of_the_lyapunov_function_for_fixed_penalty():
    """Without inertia the objective and the proximal terms fall together."""
    loop = Loop.on_digits(IPDLAM(0.0, 0.0, 0.0, delta=0.5), "squared")
    for _ in range(30):
        before, old = loop.objective(), loop.state.clone()
        new = loop.step()
        pairs = zip([*new.z, *new.W, *new.b, *new.a], [*old.z, *old.W, *old.b, *old.a], strict=True)
        moved = sum(float((a - b).square().sum()) for a, b in pairs)
        assert loop.objective() + 0.25 * moved <= before + 1e-9 * before


def test_problem_without_bias_keeps_the_intercept_at_zero():
    model = nn.Sequential(nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 10)).double()
    loop = Loop.of(IPDLAM(), model, "squared", 200)
    start, state = loop.state.clone(), loop.step()
    assert torch.equal(state.b[0], torch.zeros(8).double())
    assert not torch.equal(state.b[1], start.b[1])


def test_penalty_of_a_long_run_stays_finite():
    assert IPDLAM().rho_at(100_000) == 1.0
    assert IPDLAM(rho=0.01, rho_max=7.0).rho_at(100_000) == 7.0
    assert IPDLAM(rho=2.0).rho_at(100_000) == 2.0
    assert IPDLAM(rho=2.0, theta=1.0, rho_max=7.0).rho_at(100_000) == 2.0


def test_first_outputs_are_the_loss_prox_at_the_forward_pass():
    """Step 5 from a forward pass: ``argmin 1/2 ||z - y||^2 + rho (1 + delta)/2 ||z - z_0||^2``."""
    loop = Loop.on_digits(IPDLAM(rho=0.3, delta=0.5), "squared")
    z, y = loop.state.z[2].clone(), loop.batch.y
    torch.testing.assert_close(loop.step().z[2], (y + 0.45 * z) / 1.45)
