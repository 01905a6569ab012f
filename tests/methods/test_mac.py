"""MAC: its two steps against numerical minimisers, descent, the penalty's rule, and processes that share samples."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
import forked
from altmin import MAC, Batch, Elman, Residual, Sign, problem_of, state_of
from altmin.audit import Gradients, no_backprop
from altmin.core.forward import forward
from altmin.core.score import score
from altmin.layerwise.augmented_weights import AugmentedWeights
from altmin.layerwise.last_layer import fit_last
from altmin.maps import Conv2d, Linear
from methods.table import Loop, begun, digits, network
from sweep.case import minimised

FIXED = MAC(mu=1.0, factor=1.0)
EXACT = MAC(mu=0.7, factor=1.0, weight_steps=60, code_steps=60, cg_steps=200, damping=1e-9)


def started(model: nn.Sequential, method: MAC, n: int = 60, loss: str = "cross_entropy", regularizer=None) -> Loop:
    return Loop.of(method, model, loss, n, regularizer=regularizer)


def shaken(loop: Loop) -> Loop:
    """With coordinates away from the forward pass."""
    g = torch.Generator().manual_seed(1)
    for t in loop.state.a:
        t.add_(0.2 * torch.randn(t.shape, generator=g, dtype=t.dtype))
    return loop


def printed(loop: Loop, W, b, a, s, mu: float, weight: float = 0.0) -> Tensor:
    """The class docstring's objective of a dense network, written once more."""
    *inputs, top = [loop.batch.x, *a]
    total = F.cross_entropy(F.linear(top, W[-1], b[-1]), loop.batch.y.argmax(1), reduction="sum")
    total = total + sum(0.5 * weight * w.square().sum() for w in W)
    for below, w, c, own in zip(inputs, W, b, a, strict=False):
        total = total + 0.5 * mu * (own - s(F.linear(below, w, c))).square().sum()
    return total


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(24, 10),
    ).double()


def test_objective_and_residuals_are_the_printed_ones():
    loop = shaken(started(network(20, 15, s=nn.Tanh), MAC(mu=0.3), regularizer="l2:0.4"))
    state = loop.state
    expected = printed(loop, state.W, state.b, state.a, torch.tanh, 0.3, 0.4)
    assert loop.objective() == pytest.approx(float(expected), rel=1e-12)
    miss = state.a[0] - torch.tanh(F.linear(loop.batch.x, state.W[0], state.b[0]))
    assert loop.residuals()["A_1"] == pytest.approx(float(miss.norm()), rel=1e-12)
    assert set(loop.residuals()) == {"A_1", "A_2"}


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
@pytest.mark.parametrize("s", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.LeakyReLU, nn.Hardtanh])
def test_objective_never_rises_for_a_fixed_penalty(loss: str, s: type[nn.Module]):
    loop = started(network(10, 8, s=s), FIXED, 60, loss, "l2:0.05")
    values = [loop.objective()]
    for _ in range(15):
        loop.step()
        values.append(loop.objective())
    assert all(after <= before * (1 + 1e-10) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.5 * values[0]


@pytest.mark.thinned(1)
@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_coordinates_are_stationary_for_the_objective(i: int, loss: str):
    """The last layer's curvature is a bound: it takes more steps."""
    loop = shaken(started(network(20, 15, s=nn.Tanh), replace(EXACT, code_steps=400 if i else 60), 20, loss))
    before = loop.objective()
    others = [t.clone() for t in loop.state.a]
    loop.method.update_a(loop.sweep().layers[i])  # type: ignore[attr-defined]
    assert [torch.equal(p, q) for p, q in zip(others, loop.state.a, strict=True)] == [i != 0, i != 1]
    assert loop.objective() < before
    loop.state.a[i] = loop.state.a[i].requires_grad_()
    objective = loop.method.objective(loop.sweep())
    assert float(torch.autograd.grad(objective, loop.state.a[i])[0].abs().max()) < 1e-5


@pytest.mark.parametrize("i", [0, 1])
def test_hidden_weights_are_stationary_for_the_objective(i: int):
    loop = shaken(started(network(8, 6, s=nn.Tanh), EXACT, 200, regularizer="l2:0.4"))
    before = loop.objective()
    loop.method.update_weights(loop.sweep().layers[i])  # type: ignore[attr-defined]
    W, b = list(loop.state.W), list(loop.state.b)
    W[i], b[i] = (t[i].clone().requires_grad_() for t in (W, b))
    objective = printed(loop, W, b, loop.state.a, torch.tanh, 0.7, 0.4)
    assert all(float(g.abs().max()) < 1e-4 for g in torch.autograd.grad(objective, [W[i], b[i]]))
    assert float(objective.detach()) < before


def test_an_identity_layer_is_fitted_by_one_gauss_newton_step():
    """Without a nonlinearity the W-step is ridge regression, here by least squares with an intercept."""
    method = MAC(cg_steps=1, damping=1e-12)
    loop = started(nn.Sequential(nn.Linear(64, 7), nn.Linear(7, 10)).double(), method, 200)
    loop.batch = replace(loop.batch, x=torch.randn(200, 64, generator=torch.Generator().manual_seed(0)).double())
    loop = shaken(loop.restarted(loop.batch))
    method.update_weights(loop.sweep().layers[0])
    W, b = loop.state.W[0], loop.state.b[0]
    design = torch.cat([loop.batch.x, torch.ones(200, 1, dtype=torch.float64)], 1)
    fitted = torch.linalg.lstsq(design, loop.state.a[0]).solution
    torch.testing.assert_close(torch.cat([W, b[:, None]], 1), fitted.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_last_layer_is_stationary_and_never_worse(loss: str):
    loop = shaken(started(network(12), FIXED, 200, loss, "l2:0.5"))
    start, places = loop.state.clone(), [loop.state.W[-1].data_ptr(), loop.state.b[-1].data_ptr()]
    fit_last(loop.sweep(), loop.state.a[-1], 500)
    assert [loop.state.W[-1].data_ptr(), loop.state.b[-1].data_ptr()] == places
    assert not loop.state.W[-1].requires_grad
    assert loop.state.W[-1].grad is None

    def value(t: Tensor) -> Tensor:
        W, b = t[:, :-1], t[:, -1]
        return loop.problem.loss(F.linear(loop.state.a[-1], W, b), loop.batch.y) + 0.25 * W.square().sum()

    found = torch.cat([loop.state.W[-1], loop.state.b[-1][:, None]], 1)
    lowest = float(value(minimised(value, found)))
    assert float(value(found)) - lowest < 1e-6 * lowest, "where L-BFGS ends to its last step says rounding"
    before = loop.objective(start)
    for steps in (1, 2, 5):
        state = start.clone()
        fit_last(loop.sweep(state), state.a[-1], steps)
        assert loop.objective(state) < before
        assert torch.equal(state.W[0], start.W[0])


def test_last_layer_never_ends_worse(monkeypatch: pytest.MonkeyPatch):
    """Where the optimiser ends above its start, the start comes back, to the bit."""
    loop = shaken(started(network(12), FIXED, 60))
    before = [loop.state.W[-1].clone(), loop.state.b[-1].clone()]

    def astray(optimizer: torch.optim.LBFGS, closure: object) -> None:
        for p in optimizer.param_groups[0]["params"]:
            p.mul_(-3.0)

    monkeypatch.setattr(torch.optim.LBFGS, "step", astray)
    fit_last(loop.sweep(), loop.state.a[-1], 3)
    assert torch.equal(before[0], loop.state.W[-1])
    assert torch.equal(before[1], loop.state.b[-1])


@pytest.mark.parametrize("map", [Linear(5, 6), Linear(5, 6, False), Conv2d(4, 6, (3, 3), groups=2)], ids=str)
def test_units_split_what_they_join_and_are_adjoint(map: Linear | Conv2d, generator: torch.Generator):
    units = AugmentedWeights(map)
    W = torch.randn(map.shape, generator=generator, dtype=torch.float64)
    b = torch.randn(6, generator=generator, dtype=torch.float64) if map.bias else torch.zeros(6, dtype=torch.float64)
    a = torch.randn((3, 5) if isinstance(map, Linear) else (3, 4, 7, 7), generator=generator, dtype=torch.float64)
    theta = units.join(W, b)
    assert all(torch.equal(p, q) for p, q in zip(units.split(theta), (W, b), strict=True))
    z = units(theta, a)
    torch.testing.assert_close(z, map(W, b, a))
    r = torch.randn(z.shape, generator=generator, dtype=torch.float64)
    assert float((z * r).sum()) == pytest.approx(float((theta * units.gradient(r, a)).sum()))


@pytest.mark.parametrize("map", [Linear(5, 6), Linear(5, 6, False), Conv2d(4, 6, (3, 3), groups=2)], ids=str)
def test_units_are_solved_exactly_in_few_steps(map: Linear | Conv2d, generator: torch.Generator):
    """``theta G = rhs`` with `G` from `AugmentedWeights.__call__`, to which the preconditioner is equal: one step."""
    units, batch = AugmentedWeights(map), Batch(torch.zeros(0), torch.zeros(0))
    a = 3.0 + torch.randn((30, 5) if isinstance(map, Linear) else (3, 4, 7, 7), generator=generator).double()
    theta = units.join(torch.randn(map.shape, generator=generator).double(), torch.ones(6).double())

    def normal(d: Tensor) -> Tensor:
        return units.gradient(units(d, a), a)

    root = torch.linalg.cholesky(units.gram(a, batch))
    torch.testing.assert_close(units.solve(normal, normal(theta), root, "W", 1), theta, rtol=0, atol=1e-8)


def test_a_unit_is_fitted_by_itself():
    """Another unit's coordinates change nothing in this one's weights."""
    loop = shaken(started(network(8, 6, s=nn.Tanh), MAC()))
    other = loop.twin()
    other.state.a[0][:, 3] += 1.0
    for each in (loop, other):
        MAC().update_weights(each.sweep().layers[0])
    one, two = loop.state.W[0], other.state.W[0]
    torch.testing.assert_close(one[:3], two[:3], rtol=0, atol=1e-9)
    assert not torch.allclose(one[3], two[3])


def test_penalty_grows_where_the_objective_stalls():
    """Before the next iteration; what is recorded is the penalty of the iteration itself."""
    loop = Loop.on_digits(MAC(mu=0.5, factor=3.0, tol=0.2, mu_max=10.0), hidden=(12,))
    mu, stalled, grew = 0.5, False, []
    for _ in range(30):
        before = loop.objective()
        loop.step()
        expected = min(3.0 * mu, 10.0) if stalled else mu
        recorded = loop.method.scalars(loop.state)["mu"]
        assert recorded == pytest.approx(expected)
        terms, sizes = loop.method.evaluate(loop.sweep())
        assert float(terms["activation"]) == pytest.approx(0.5 * recorded * float(sizes["A_1"]) ** 2)
        if stalled:  # the objective at the new penalty, before the iteration
            assert loop.state.memory.objective > before or mu == 10.0
        else:
            assert loop.state.memory.objective == pytest.approx(before, rel=1e-12)
        stalled = loop.state.memory.objective - loop.objective() < 0.2 * loop.state.memory.objective
        mu = recorded
        grew.append(stalled)
    assert any(grew)
    assert not all(grew)
    assert loop.method.scalars(loop.state) == {"mu": 10.0}


def test_objective_before_an_iteration_is_remembered_at_its_penalty():
    loop = Loop.on_digits(MAC(mu=0.5, factor=3.0, tol=10.0, mu_max=4.0), hidden=(12,))
    loop.step()
    twin = loop.twin()
    twin.state.memory.mu = 1.5
    expected = twin.objective()
    loop.step()
    assert loop.state.memory.mu == 1.5
    assert loop.state.memory.objective == pytest.approx(expected, rel=1e-12)


@pytest.mark.slow
def test_a_growing_penalty_closes_the_gap():
    loop = Loop.on_digits(MAC(mu=0.01, tol=0.1, mu_max=1e4))
    gaps = [score(loop.problem, loop.step(), loop.batch, classes=True).gap or 0.0 for _ in range(60)]
    assert 0.0 < gaps[-1] < 0.1 * max(gaps)


def test_gap_is_zero_where_coordinates_are_the_forward_pass():
    loop = Loop.on_digits(MAC())
    assert score(loop.problem, loop.state, loop.batch, classes=True).gap == 0.0


def test_finish_fits_the_last_layer_at_the_forward_pass():
    loop = Loop.on_digits(MAC(), regularizer="l2:0.5")
    for _ in range(3):
        loop.step()
    before, done = loop.state.weights(), loop.twin().state
    MAC(refit=False).finish(loop.sweep())
    assert all(torch.equal(p, q) for p, q in zip(loop.state.W, before.W, strict=True))
    loop.method.finish(loop.sweep(done))
    assert all(torch.equal(p, q) for p, q in zip(done.W[:-1], before.W[:-1], strict=True))
    top = forward(loop.problem, before, loop.batch.x)[1][-1]
    W, b = done.W[-1].requires_grad_(), done.b[-1].requires_grad_()
    value = loop.problem.loss(F.linear(top, W, b), loop.batch.y) + 0.25 * W.square().sum()
    assert all(float(g.abs().max()) < 1e-2 for g in torch.autograd.grad(value, [W, b]))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_digits(loss: str):
    history = altmin.fit(network(20, 15), MAC(), digits(300), loss=loss, epochs=40)
    assert history["train_accuracy"][-1] > 0.9


def test_objective_of_a_convolutional_network_with_max_pooling_never_rises():
    loop = started(convolutional(), FIXED)
    values = loop.run(20)
    assert all(after <= before * (1 + 1e-10) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.1 * values[0]


@pytest.mark.slow
def test_a_convolutional_network_with_max_pooling_trains():
    history = altmin.fit(convolutional(), MAC(mu=10.0), digits(200), epochs=20)
    assert history["train_accuracy"][-1] > 0.9


def test_gradients_stay_within_a_layer():
    assert MAC.gradients is Gradients.LAYER
    loop, free = started(convolutional(), MAC()), started(convolutional(), MAC())
    with no_backprop():
        for _ in range(2):
            loop.step()
        loop.method.finish(loop.sweep())
    for _ in range(2):
        free.step()
    free.method.finish(free.sweep())
    assert all(torch.equal(p, q) for p, q in zip(loop.state.W, free.state.W, strict=True))


def _share(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    loop = Loop.on_digits(MAC(mu=0.1, tol=0.3), regularizer="l2:0.1")
    half = slice(0, 130) if rank == 0 else slice(130, 300)
    batch = Batch(loop.batch.x[half], loop.batch.y[half], group=dist.group.WORLD)
    loop = Loop(loop.method, loop.problem, batch, begun(loop.method, loop.problem, batch, state_of(network(20, 15))))
    for _ in range(5):
        loop.step()
    found = {"W": [*loop.state.weights().W], "b": [*loop.state.weights().b], "objective": loop.objective()}
    loop.method.finish(loop.sweep())
    if rank == 1:
        torch.save({**found, "last": loop.state.W[-1]}, out)
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_two_processes_equal_one(tmp_path: Path):
    out = str(tmp_path / "out.pt")
    forked.run(_share, str(tmp_path / "store"), out, processes=2)
    shared = torch.load(out)
    loop = Loop.on_digits(MAC(mu=0.1, tol=0.3), regularizer="l2:0.1")
    for _ in range(5):
        loop.step()
    for one, two in zip((*loop.state.W, *loop.state.b), (*shared["W"], *shared["b"]), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-8)
    assert shared["objective"] == pytest.approx(loop.objective(), rel=1e-9)
    loop.method.finish(loop.sweep())
    torch.testing.assert_close(loop.state.W[-1], shared["last"], rtol=1e-4, atol=1e-4)


def test_refuses_what_it_does_not_support():
    data = digits(20)
    with pytest.raises(TypeError, match=r"Sign \(layer 1\) has none"):
        altmin.fit(nn.Sequential(nn.Linear(64, 8), Sign(), nn.Linear(8, 10)).double(), MAC(), data, epochs=1)
    with pytest.raises(TypeError, match="none and l2, got L1"):
        altmin.fit(network(8), MAC(), data, epochs=1, regularizer="l1:0.1")
    block = Residual(nn.ReLU(), nn.Linear(8, 8))
    for model, part in (
        (nn.Sequential(nn.Linear(64, 8), block, nn.ReLU(), nn.Linear(8, 10)), "residual connections"),
        (nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10)), "batch normalisation"),
        (nn.Sequential(nn.Linear(64, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 10)), "dropout"),
        (nn.Sequential(Elman(8, 8), nn.Linear(8, 10)), "Elman"),
    ):
        with pytest.raises(TypeError, match=f"MAC does not support {part}"):
            MAC().check(problem_of(model))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mu": 0.0}, "`mu` must be > 0"),
        ({"factor": 0.5}, "`factor` must be >= 1"),
        ({"mu": 2.0, "mu_max": 1.0}, r"`mu_max` must be >= `mu` \(2\), got 1"),
        ({"weight_steps": 0}, "`weight_steps` must be >= 1"),
        ({"damping": 0.0}, "`damping` must be > 0"),
    ],
)
def test_bad_numbers_are_named(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        MAC(**options)


def test_progress_is_the_state_that_the_rule_reads():
    """A stalled objective is known from the state alone: the method itself remembers nothing."""
    for before, mu in ((1.001, 10.0), (1.5, 1.0)):
        loop = Loop.on_digits(MAC(mu=1.0, tol=0.01))
        loop.state.memory.objective = before * loop.objective()
        MAC(mu=1.0, tol=0.01).update_mu(loop.sweep())
        assert loop.state.memory.mu == mu
