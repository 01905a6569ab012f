"""dlADMM: the augmented Lagrangian, the residual, the dual variable, and the schedules of rho."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import replace

import pytest
import torch
from altmin.core.objective import linear_residual

import altmin
from altmin import DLADMM, PenaltyWarning
from methods.table import Loop, digits, network

CONVERGING = DLADMM(rho=2.5, nu=1.0, schedule="constant")  # softmax cross-entropy: 2H = 1; squared: 2H = 2
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_converges_for_rho_above_two_h(loss: str):
    """The augmented Lagrangian falls from the second iteration on, and the residual goes to zero, on all digits."""
    loop = Loop.on_digits(CONVERGING, loss, n=1797)
    values, residual = [], []
    for _ in range(300):
        loop.step()
        values.append(loop.objective())
        residual.append(loop.residuals()["E_3"])
    assert all(after <= before * (1 + 1e-10) for before, after in itertools.pairwise(values))
    assert residual[-1] < 1e-2 * max(residual)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_dual_variable_is_the_negative_gradient_after_every_iteration(loss: str):
    loop = Loop.on_digits(CONVERGING, loss)
    for _ in range(5):
        state = loop.step()
        gradient = loop.problem.loss.grad(state.z[-1], loop.batch.y)
        assert state.u is not None
        torch.testing.assert_close(state.u, -gradient, rtol=0, atol=1e-7)


def test_squared_steps_fall_like_one_over_k():
    loop = Loop.on_digits(CONVERGING)
    smallest, product = float("inf"), {}
    for k in range(1, 801):
        old = loop.state.W + tuple(z.clone() for z in loop.state.z)  # a step writes into Z
        new = loop.step()
        step = sum(float((p - q).square().sum()) for p, q in zip(new.W + new.z, old, strict=True))
        smallest = min(smallest, step)
        product[k] = k * smallest
    assert product[800] < product[200] < product[50]


@quiet
def test_every_block_update_descends():
    """The augmented Lagrangian over each block in turn, without the dual step, at a penalty far below the bound."""
    loop = Loop.on_digits(DLADMM(rho=0.05, nu=0.3, schedule="constant"))
    loop.step()
    m, p, b = loop.method, loop.problem, loop.batch
    assert isinstance(m, DLADMM)
    state = loop.state
    for i, update in [(1, m.update_a), (2, m.update_z), (2, m.update_b), (2, m.update_W), (0, m.update_a)] + [
        (i, f) for i in (1, 0) for f in (m.update_z, m.update_b, m.update_W)
    ]:
        before = float(m.objective(p, state, b))
        new = update(p, state, b, i)
        assert float(m.objective(p, new, b)) <= before + 1e-10 * abs(before)
        state = new


def paper_run(rho: float, start: float | None, iterations: int) -> tuple[list[float], list[float]]:
    """Augmented Lagrangian and residual, begun as the authors' code: W, b ~ N(0, 0.1^2), Z_L at -1 and +1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PenaltyWarning)
        loop = Loop.on_digits(DLADMM(rho=rho, nu=rho, schedule="constant", start=start), n=1000)
        model, g = loop.state, torch.Generator().manual_seed(0)
        W = tuple(0.1 * torch.randn(w.shape, generator=g, dtype=w.dtype) for w in model.W)
        b = tuple(0.1 * torch.randn(t.shape, generator=g, dtype=t.dtype) for t in model.b)
        loop.state = loop.method.init(loop.problem, replace(model, W=W, b=b), loop.batch)
    loop.state = replace(loop.state, z=(*loop.state.z[:-1], 2 * loop.batch.y - 1))
    values, residual = [], []
    for _ in range(iterations):
        loop.step()
        values.append(loop.objective())
        residual.append(loop.residuals()["E_3"])
    return values, residual


def rises(values: list[float]) -> float:
    """The share of iterations in which `values` rose."""
    return sum(after > before for before, after in itertools.pairwise(values)) / (len(values) - 1)


def test_tiny_rho_diverges_with_the_authors_step_sizes():
    """Figure 3 (rho = nu = 1e-6): trials that restart at 1 freeze A, and the augmented Lagrangian rises."""
    values, residual = paper_run(1e-6, start=1.0, iterations=60)
    assert rises(values) > 0.8
    assert values[-1] > 2 * values[0]
    assert residual[-1] > 0.2 * residual[0]


def test_tiny_rho_converges_with_exact_step_sizes():
    """rho > 2H is sufficient, not necessary: Figure 3 shows the step sizes' doing, not the penalty's."""
    values, residual = paper_run(1e-6, start=None, iterations=60)
    assert rises(values) < 0.2
    assert residual[-1] < 1e-3 * residual[0]


def test_rho_of_one_converges_from_the_papers_start():
    """Figure 2: rho = 1 does, though 2H = 1 is not below it."""
    _, residual = paper_run(1.0, start=None, iterations=200)
    assert residual[-1] < 1e-3 * residual[0]


def test_rho_below_the_bound_warns_once():
    for rho, expected in ((1e-6, 1), (1.0, 1), (1.01, 0)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            loop = Loop.on_digits(DLADMM(rho=rho, schedule="constant"))
            loop.step(), loop.step()
        assert [w.category for w in seen] == [PenaltyWarning] * expected


@quiet
def test_steps_schedule_multiplies_by_ten_every_hundred_iterations():
    loop = Loop.on_digits(DLADMM(rho=1e-4, schedule="steps", rho_max=5e-3), hidden=(8,), n=100)
    seen = [loop.step().extra.rho for _ in range(301)]
    assert seen[98] == 1e-4
    assert seen[99:199] == pytest.approx([1e-3] * 100)
    assert seen[300] == pytest.approx(5e-3)


@quiet
def test_adaptive_schedule_acts_after_three_rises_in_a_row():
    loop = Loop.on_digits(DLADMM(rho=1e-4, schedule="adaptive"), hidden=(8,), n=100)
    state = loop.step()
    for _ in range(3):
        state = replace(state, extra=replace(state.extra, loss=-1.0))  # any loss is a rise from here
        memory = loop.method.update_rho(loop.problem, state, loop.batch)  # type: ignore[attr-defined]
        state = replace(state, extra=memory)
    assert memory.rho == pytest.approx(1e-3)
    assert memory.scale == 10.0
    assert memory.rises == 0
    assert loop.method.search(state).first(torch.tensor(2.0)) == 20.0  # type: ignore[attr-defined]


@quiet
def test_constant_schedule_keeps_rho_and_nu_follows_where_asked():
    loop = Loop.on_digits(DLADMM(rho=1e-4, nu=None, schedule="constant"), hidden=(8,), n=100)
    for _ in range(4):
        loop.step()
    assert loop.state.extra.rho == 1e-4
    parts, _ = loop.method.evaluate(loop.problem, loop.state, loop.batch)
    E, D = loop.residuals()["E_1"], loop.residuals()["D_1"]
    E2 = loop.residuals()["E_2"]
    assert float(parts["linear"]) == pytest.approx(0.5e-4 * (E**2 + E2**2))
    assert float(parts["activation"]) == pytest.approx(0.5e-4 * D**2)


@quiet
def test_tiny_rho_in_float32_follows_float64():
    """``U/rho`` loses its digits at rho = 1e-6; the weights must not."""
    x, y = digits(300)
    accuracy = {}
    for dtype in (torch.float32, torch.float64):
        model = network(20, 15, dtype=dtype)
        history = altmin.fit(model, DLADMM(schedule="constant"), (x.to(dtype), y), epochs=30)
        accuracy[dtype] = history["train_accuracy"][-1]
    assert abs(accuracy[torch.float32] - accuracy[torch.float64]) < 0.02


@quiet
def test_last_intercept_is_stationary_with_the_dual_variable():
    """``sum_i (U_i + rho E_i) = 0`` after the update of ``b_L``, for a dual variable that matters."""
    loop = Loop.on_digits(DLADMM(rho=0.05, nu=0.3, schedule="constant"))
    state = replace(loop.step(), u=torch.linspace(-1, 2, 3000, dtype=torch.float64).reshape(300, 10))
    state = loop.method.update_b(loop.problem, state, loop.batch, 2)  # type: ignore[attr-defined]
    E = linear_residual(loop.problem, state, loop.batch, 2)
    torch.testing.assert_close(state.u.sum(0), -0.05 * E.sum(0), rtol=0, atol=1e-8)
