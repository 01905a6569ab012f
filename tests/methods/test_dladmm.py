"""dlADMM: the augmented Lagrangian, the residual, the dual variable, and the schedules of rho."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable

import pytest
import torch

import altmin
from altmin import DLADMM, PenaltyWarning, Sweep
from altmin.sweep import LayerView
from altmin.sweep.schedule import Schedule
from methods.table import Loop, begun, digits, network

CONVERGING = DLADMM(rho=2.5, nu=1.0, schedule="constant")  # softmax cross-entropy: 2H = 1; squared: 2H = 2
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_converges_for_rho_above_two_h(loss: str):
    """The augmented Lagrangian falls from the second iteration on, and the residual goes to zero."""
    loop = Loop.on_digits(CONVERGING, loss, n=600)
    values, residual = [], []
    for _ in range(120):
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


@pytest.mark.slow
def test_squared_steps_fall_like_one_over_k():
    loop = Loop.on_digits(CONVERGING)
    smallest, product = float("inf"), {}
    for k in range(1, 401):
        old = [t.clone() for t in (*loop.state.W, *loop.state.z)]
        new = loop.step()
        step = sum(float((p - q).square().sum()) for p, q in zip([*new.W, *new.z], old, strict=True))
        smallest = min(smallest, step)
        product[k] = k * smallest
    assert product[400] < product[100] < product[25]


@quiet
def test_every_block_update_descends():
    """The augmented Lagrangian over each block in turn, without the dual step, at a penalty far below the bound."""
    loop = Loop.on_digits(DLADMM(rho=0.05, nu=0.3, schedule="constant"))
    loop.step()
    sweep = loop.sweep()
    for view in reversed(sweep.layers):
        for update in (view.step_a, view.solve_z, view.solve_b, view.step_W):
            if update != view.step_a or not view.last:
                before = loop.objective()
                update()
                assert loop.objective() <= before + 1e-10 * abs(before)


@quiet
def test_blocks_go_backward_and_forward_as_published(monkeypatch: pytest.MonkeyPatch):
    """Algorithm 1: ``a, z, b, W`` of each layer from the last to the first, ``W, b, z, a`` back, and the dual step."""
    calls: list[tuple[str, int]] = []

    def noted(name: str) -> Callable[[LayerView], None]:
        verb = getattr(LayerView, name)
        return lambda view: (calls.append((name, view.i)), verb(view))[1]

    for name in ("step_a", "solve_z", "solve_b", "step_W"):
        monkeypatch.setattr(LayerView, name, noted(name))
    ascend = Sweep.ascend_dual
    monkeypatch.setattr(Sweep, "ascend_dual", lambda sweep, rate: (calls.append(("u", 0)), ascend(sweep, rate)))
    Loop.on_digits(DLADMM(), n=20).step()
    backward = [(name, i) for i in (2, 1, 0) for name in ("step_a", "solve_z", "solve_b", "step_W")]
    forward = [(name, i) for i in (0, 1, 2) for name in ("step_W", "solve_b", "solve_z", "step_a")]
    assert calls == [*(c for c in (*backward, *forward) if c != ("step_a", 2)), ("u", 0)]


def paper_run(rho: float, start: float | None, iterations: int) -> tuple[list[float], list[float]]:
    """Augmented Lagrangian and residual, begun as the authors' code: W, b ~ N(0, 0.1^2), Z_L at -1 and +1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PenaltyWarning)
        loop = Loop.on_digits(DLADMM(rho=rho, nu=rho, schedule="constant", start=start, outputs="signs"), n=1000)
        weights, g = loop.state.weights(), torch.Generator().manual_seed(0)
        for group in (weights.W, weights.b):
            for t in group:
                t.copy_(0.1 * torch.randn(t.shape, generator=g, dtype=t.dtype))
        loop.state = begun(loop.method, loop.problem, loop.batch, weights)
    values, residual = [], []
    for _ in range(iterations):
        loop.step()
        values.append(loop.objective())
        residual.append(loop.residuals()["E_3"])
    return values, residual


def rises(values: list[float]) -> float:
    """The share of iterations in which `values` rose."""
    return sum(after > before for before, after in itertools.pairwise(values)) / (len(values) - 1)


@quiet
@pytest.mark.parametrize("loss", ["cross_entropy", "squared", "hinge"])
def test_outputs_start_at_one_for_a_samples_class_and_at_minus_one_for_others(loss: str):
    """The authors' code; all else is of a forward pass as ever, and the dual variable zero."""
    method = DLADMM(outputs="signs")
    loop, plain = Loop.on_digits(method, loss, n=50), Loop.on_digits(DLADMM(), loss, n=50)
    wanted = torch.full((50, 10), -1.0, dtype=torch.float64)
    wanted[range(50), digits(50)[1]] = 1.0
    assert torch.equal(loop.state.z[-1], wanted)
    for one, other in zip([*loop.state.z[:-1], *loop.state.a], [*plain.state.z[:-1], *plain.state.a], strict=True):
        assert torch.equal(one, other)
    assert loop.state.u is not None
    assert not loop.state.u.any()
    before = float(loop.residuals()["E_3"])
    loop.step()
    assert float(loop.residuals()["E_3"]) != before
    assert not torch.equal(loop.state.z[-1], loop.batch.y)


@quiet
def test_signs_of_real_targets_are_refused():
    x, y = digits(40)
    with pytest.raises(ValueError, match=r"`outputs`: class labels alone have signs"):
        altmin.fit(network(5), DLADMM(outputs="signs"), (x, y[:, None] / 7 * x.new_ones(10)), loss="squared", epochs=1)


@pytest.mark.slow
def test_tiny_rho_diverges_with_the_authors_step_sizes():
    """Figure 3 (rho = nu = 1e-6): trials that restart at 1 freeze A, and the augmented Lagrangian rises."""
    values, residual = paper_run(1e-6, start=1.0, iterations=60)
    assert rises(values) > 0.8
    assert values[-1] > 2 * values[0]
    assert residual[-1] > 0.2 * residual[0]


@pytest.mark.slow
def test_tiny_rho_converges_with_exact_step_sizes():
    """rho > 2H is sufficient, not necessary: Figure 3 shows the step sizes' doing, not the penalty's."""
    values, residual = paper_run(1e-6, start=None, iterations=60)
    assert rises(values) < 0.2
    assert residual[-1] < 1e-3 * residual[0]


@pytest.mark.slow
def test_rho_of_one_converges_from_the_papers_start():
    """Figure 2: rho = 1 does, though 2H = 1 is not below it."""
    _, residual = paper_run(1.0, start=None, iterations=200)
    assert residual[-1] < 1e-3 * residual[0]


def test_rho_below_the_bound_warns_once():
    for rho, expected in ((1e-6, 1), (1.0, 1), (1.01, 0)):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            loop = Loop.on_digits(DLADMM(rho=rho, schedule="constant"))
            loop.step()
            loop.step()
        assert [w.category for w in seen] == [PenaltyWarning] * expected


@quiet
def test_steps_schedule_multiplies_by_ten_every_hundred_iterations():
    loop = Loop.on_digits(DLADMM(rho=1e-4, schedule="steps", rho_max=5e-3), hidden=(), n=10)
    rho = [loop.method.scalars(loop.step())["rho"] for _ in range(301)]
    assert rho[:100] == [1e-4] * 100
    assert rho[100:200] == pytest.approx([1e-3] * 100)
    assert rho[200:] == pytest.approx([5e-3] * 101)


@quiet
def test_recorded_penalty_is_that_of_the_iteration():
    """The hundred-first iterate is that of a constant penalty of the recorded size, and so is its objective."""
    loop = Loop.on_digits(DLADMM(rho=0.02, nu=None, schedule="steps", rho_max=9.0), hidden=(8,), n=100)
    for _ in range(99):
        loop.step()
    for expected in (0.02, 0.2):
        before = loop.state.clone()
        loop.step()
        rho = loop.method.scalars(loop.state)["rho"]
        assert rho == pytest.approx(expected)
        constant = Loop(DLADMM(rho=rho, nu=None, schedule="constant"), loop.problem, loop.batch, before)
        before.memory.rho = rho
        constant.step()
        for one, two in zip([*loop.state.W, *loop.state.z], [*before.W, *before.z], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)
        assert constant.objective() == pytest.approx(loop.objective(), rel=1e-12)
        terms, sizes = loop.method.evaluate(loop.sweep())
        squares = sum(float(sizes[name]) ** 2 for name in ("E_1", "E_2"))
        assert float(terms["linear"]) == pytest.approx(0.5 * rho * squares)


@quiet
@pytest.mark.parametrize(("rho", "rho_max", "last"), [(1e-3, None, 0.1), (0.5, None, 0.5), (0.5, 3.0, 3.0)])
def test_penalty_grows_to_its_limit(rho: float, rho_max: float | None, last: float):
    """To 0.1 where none is given, and not at all where it is larger than that already."""
    limit, schedule = DLADMM(rho=rho, rho_max=rho_max).limit, Schedule(rho)
    for k in range(100, 600, 100):
        schedule.count(k, limit)
        if k == 100 and rho < last / 10:
            assert schedule.rho == pytest.approx(10 * rho)
    assert schedule.rho == last


@quiet
def test_adaptive_schedule_acts_after_three_rises_in_a_row():
    loop = Loop.on_digits(DLADMM(rho=1e-4, schedule="adaptive"), hidden=(8,), n=100)
    memory = loop.step().memory
    rho = []
    for _ in range(3):
        memory.loss = -1.0  # any loss is a rise from here
        loop.method.update_rho(loop.sweep())  # type: ignore[attr-defined]
        rho.append(memory.rho)
    assert rho == pytest.approx([1e-4, 1e-4, 1e-3])
    assert memory.scale == 10.0
    assert memory.rises == 0
    assert loop.method.search(loop.sweep()).first(torch.tensor(2.0)) == 20.0


@quiet
def test_adaptive_schedule_watches_the_networks_loss_and_forgets_a_rise_that_a_fall_follows():
    loop = Loop.on_digits(DLADMM(rho=1e-4, schedule="adaptive"), hidden=(8,), n=100)
    memory = loop.step().memory
    rises = []
    for before in (-1.0, -1.0, 1e9, -1.0, -1.0):
        memory.loss = before
        loop.method.update_rho(loop.sweep())  # type: ignore[attr-defined]
        rises.append(memory.rises)
        W, b, x = loop.state.W, loop.state.b, loop.batch.x
        out = torch.relu(x @ W[0].T + b[0]) @ W[1].T + b[1]
        assert memory.loss == pytest.approx(-float((torch.log_softmax(out, 1) * loop.batch.y).sum()), rel=1e-12)
    assert rises == [1, 2, 0, 1, 2]
    assert memory.rho == 1e-4


@quiet
def test_constant_schedule_keeps_rho_and_nu_follows_where_asked():
    loop = Loop.on_digits(DLADMM(rho=1e-4, nu=None, schedule="constant"), hidden=(8,), n=100)
    for _ in range(4):
        loop.step()
    assert loop.state.memory.rho == 1e-4
    terms, _ = loop.method.evaluate(loop.sweep())
    E, D = loop.residuals()["E_1"], loop.residuals()["D_1"]
    E2 = loop.residuals()["E_2"]
    assert float(terms["linear"]) == pytest.approx(0.5e-4 * (E**2 + E2**2))
    assert float(terms["activation"]) == pytest.approx(0.5e-4 * D**2)


@pytest.mark.slow
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
    state = loop.step()
    state.u = torch.linspace(-1, 2, 3000, dtype=torch.float64).reshape(300, 10)
    last = loop.sweep().layers[2]
    last.solve_b()
    torch.testing.assert_close(state.u.sum(0), -0.05 * last.residual().sum(0), rtol=0, atol=1e-8)
