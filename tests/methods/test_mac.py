"""MAC: its two steps against numerical minimisers, descent, the penalty's rule, and processes that share samples."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import Batch, Problem, State
from altmin.audit import Gradients, no_backprop
from altmin.core.state import forward
from altmin.layerwise.augmented_weights import Units
from altmin.layerwise.last_layer import fit_last
from altmin.maps import Conv2d, Linear
from altmin.methods.mac import MAC
from altmin.nn import Elman, Residual, Sign
from altmin.train.score import score
from methods.table import Loop, digits, network

FIXED = MAC(mu=1.0, factor=1.0)
EXACT = MAC(mu=0.7, factor=1.0, weight_steps=60, code_steps=60, cg_steps=200, damping=1e-9)


def started(model: nn.Sequential, method: MAC, n: int = 60, loss: str = "cross_entropy", regularizer=None) -> Loop:
    problem = Problem.from_module(model, loss, regularizer)
    x, y = digits(n)
    batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
    return Loop(method, problem, batch, method.init(problem, State.from_module(model), batch))


def shaken(loop: Loop) -> Loop:
    """With coordinates away from the forward pass."""
    g = torch.Generator().manual_seed(1)
    a = tuple(t + 0.2 * torch.randn(t.shape, generator=g, dtype=t.dtype) for t in loop.state.a)
    loop.state = replace(loop.state, a=a)
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


@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
@pytest.mark.parametrize("s", [nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.LeakyReLU, nn.Hardtanh])
def test_objective_never_rises_for_a_fixed_penalty(loss: str, s: type[nn.Module]):
    loop = started(network(10, 8, s=s), FIXED, 60, loss, "l2:0.05")
    values = [loop.objective()]
    for _ in range(40):
        loop.step()
        values.append(loop.objective())
    assert all(after <= before * (1 + 1e-10) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_coordinates_are_stationary_for_the_objective(i: int, loss: str):
    """The last layer's curvature is a bound: it takes more steps."""
    loop = shaken(started(network(20, 15, s=nn.Tanh), replace(EXACT, code_steps=400), 20, loss))
    before = loop.objective()
    a = list(loop.state.a)
    a[i] = loop.method.update_a(loop.problem, loop.state, loop.batch, i).requires_grad_()  # type: ignore[attr-defined]
    objective = loop.method.objective(loop.problem, replace(loop.state, a=tuple(a)), loop.batch)
    assert float(torch.autograd.grad(objective, a[i])[0].abs().max()) < 1e-5
    assert float(objective.detach()) < before


@pytest.mark.parametrize("i", [0, 1])
def test_hidden_weights_are_stationary_for_the_objective(i: int):
    loop = shaken(started(network(8, 6, s=nn.Tanh), EXACT, 200, regularizer="l2:0.4"))
    before = loop.objective()
    found = loop.method.fit_units(loop.problem, loop.state, loop.batch, i)  # type: ignore[attr-defined]
    W, b = list(loop.state.W), list(loop.state.b)
    W[i], b[i] = (t.detach().requires_grad_() for t in found)
    objective = printed(loop, W, b, loop.state.a, torch.tanh, 0.7, 0.4)
    assert all(float(g.abs().max()) < 1e-4 for g in torch.autograd.grad(objective, [W[i], b[i]]))
    assert float(objective.detach()) < before


def test_an_identity_layer_is_fitted_by_one_gauss_newton_step():
    """Without a nonlinearity the W-step is ridge regression, here by least squares with an intercept."""
    method = MAC(cg_steps=1, damping=1e-12)
    loop = started(nn.Sequential(nn.Linear(64, 7), nn.Linear(7, 10)).double(), method, 200)
    loop.batch = replace(loop.batch, x=torch.randn(200, 64, generator=torch.Generator().manual_seed(0)).double())
    loop.state = method.init(loop.problem, loop.state.weights(), loop.batch)
    W, b = method.fit_units(loop.problem, shaken(loop).state, loop.batch, 0)
    design = torch.cat([loop.batch.x, torch.ones(200, 1, dtype=torch.float64)], 1)
    fitted = torch.linalg.lstsq(design, loop.state.a[0]).solution
    torch.testing.assert_close(torch.cat([W, b[:, None]], 1), fitted.T, rtol=0, atol=1e-8)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_last_layer_is_stationary_and_never_worse(loss: str):
    loop = shaken(started(network(12), FIXED, 200, loss, "l2:0.5"))
    start = [loop.state.W[-1].clone(), loop.state.b[-1].clone()]
    state = fit_last(loop.problem, loop.state, loop.state.a[-1], loop.batch, 500)
    W, b = state.W[-1], state.b[-1]
    W, b = W.requires_grad_(), b.requires_grad_()
    value = loop.problem.loss(F.linear(loop.state.a[-1], W, b), loop.batch.y) + 0.25 * W.square().sum()
    assert all(float(g.abs().max()) < 1e-3 for g in torch.autograd.grad(value, [W, b]))
    for steps in (1, 2, 5):
        state = fit_last(loop.problem, loop.state, loop.state.a[-1], loop.batch, steps)
        assert float(FIXED.objective(loop.problem, state, loop.batch)) < loop.objective()
    assert torch.equal(start[0], loop.state.W[-1])
    assert torch.equal(start[1], loop.state.b[-1])


@pytest.mark.parametrize("map", [Linear(5, 6), Linear(5, 6, False), Conv2d(4, 6, (3, 3), groups=2)], ids=str)
def test_units_split_what_they_join_and_are_adjoint(map: Linear | Conv2d, generator: torch.Generator):
    units = Units(map)
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
    """``theta G = rhs`` with `G` from `Units.__call__`, to which the preconditioner is equal: one step."""
    units, batch = Units(map), Batch(torch.zeros(0), torch.zeros(0))
    a = 3.0 + torch.randn((30, 5) if isinstance(map, Linear) else (3, 4, 7, 7), generator=generator).double()
    theta = units.join(torch.randn(map.shape, generator=generator).double(), torch.ones(6).double())

    def normal(d: Tensor) -> Tensor:
        return units.gradient(units(d, a), a)

    root = torch.linalg.cholesky(units.gram(a, batch))
    torch.testing.assert_close(units.solve(normal, normal(theta), root, "W", 1), theta, rtol=0, atol=1e-8)


def test_a_unit_is_fitted_by_itself():
    """Another unit's coordinates change nothing in this one's weights."""
    loop = shaken(started(network(8, 6, s=nn.Tanh), MAC()))
    other = replace(loop.state, a=(loop.state.a[0].clone(), loop.state.a[1]))
    other.a[0][:, 3] += 1.0
    one, two = (MAC().fit_units(loop.problem, s, loop.batch, 0)[0] for s in (loop.state, other))
    torch.testing.assert_close(one[:3], two[:3], rtol=0, atol=1e-9)
    assert not torch.allclose(one[3], two[3])


def test_penalty_grows_where_the_objective_stalls():
    loop = Loop.on_digits(MAC(mu=0.5, factor=3.0, tol=0.2, mu_max=10.0), hidden=(12,))
    grew = []
    for _ in range(30):
        kept = loop.state.extra
        loop.step()
        at_old = float(loop.method.objective(loop.problem, replace(loop.state, extra=kept), loop.batch))
        grew.append(kept.objective - at_old < 0.2 * kept.objective)
        assert loop.state.extra.mu == pytest.approx(min(3.0 * kept.mu, 10.0) if grew[-1] else kept.mu)
        assert loop.state.extra.objective == pytest.approx(loop.objective())
    assert any(grew)
    assert not all(grew)
    assert loop.method.scalars(loop.state) == {"mu": 10.0}


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
    kept = loop.state.weights()
    assert MAC(refit=False).finish(loop.problem, kept, loop.batch) is kept
    done = loop.method.finish(loop.problem, kept, loop.batch)
    assert all(torch.equal(p, q) for p, q in zip(done.W[:-1], kept.W[:-1], strict=True))
    top = forward(loop.problem, kept, loop.batch.x)[1][-1]
    W, b = done.W[-1].requires_grad_(), done.b[-1].requires_grad_()
    value = loop.problem.loss(F.linear(top, W, b), loop.batch.y) + 0.25 * W.square().sum()
    assert all(float(g.abs().max()) < 1e-2 for g in torch.autograd.grad(value, [W, b]))


@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_digits(loss: str):
    history = altmin.fit(network(20, 15), MAC(), digits(300), loss=loss, epochs=40)
    assert history["train_accuracy"][-1] > 0.9


def test_objective_of_a_convolutional_network_with_max_pooling_never_rises():
    loop = started(convolutional(), FIXED)
    values = [loop.objective()] + [
        float(loop.method.objective(loop.problem, loop.step(), loop.batch)) for _ in range(20)
    ]
    assert all(after <= before * (1 + 1e-10) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.1 * values[0]


def test_a_convolutional_network_with_max_pooling_trains():
    history = altmin.fit(convolutional(), MAC(mu=10.0), digits(200), epochs=20)
    assert history["train_accuracy"][-1] > 0.9


def test_gradients_stay_within_a_layer():
    assert MAC.gradients is Gradients.LAYER
    loop, free = started(convolutional(), MAC()), started(convolutional(), MAC())
    with no_backprop():
        for _ in range(2):
            loop.step()
        done = loop.method.finish(loop.problem, loop.state.weights(), loop.batch)
    for _ in range(2):
        free.step()
    expected = free.method.finish(free.problem, free.state.weights(), free.batch)
    assert all(torch.equal(p, q) for p, q in zip(done.W, expected.W, strict=True))


def _share(rank: int, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    loop = Loop.on_digits(MAC(mu=0.1, tol=0.3), regularizer="l2:0.1")
    half = slice(0, 130) if rank == 0 else slice(130, 300)
    batch = Batch(loop.batch.x[half], loop.batch.y[half], group=dist.group.WORLD)
    loop.state = loop.method.init(loop.problem, State.from_module(network(20, 15)), batch)
    loop.batch = batch
    for _ in range(5):
        loop.step()
    done = loop.method.finish(loop.problem, loop.state.weights(), batch)
    objective = loop.objective()
    if rank == 1:
        torch.save({"W": loop.state.W, "b": loop.state.b, "objective": objective, "last": done.W[-1]}, out)
    dist.destroy_process_group()


@pytest.mark.filterwarnings("default")
def test_two_processes_equal_one(tmp_path: Path):
    out = str(tmp_path / "out.pt")
    mp.spawn(_share, (str(tmp_path / "store"), out), nprocs=2)  # type: ignore[attr-defined]
    shared = torch.load(out)
    loop = Loop.on_digits(MAC(mu=0.1, tol=0.3), regularizer="l2:0.1")
    for _ in range(5):
        loop.step()
    for one, two in zip((*loop.state.W, *loop.state.b), (*shared["W"], *shared["b"]), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-7, atol=1e-8)
    assert shared["objective"] == pytest.approx(loop.objective(), rel=1e-9)
    done = loop.method.finish(loop.problem, loop.state.weights(), loop.batch)
    torch.testing.assert_close(done.W[-1], shared["last"], rtol=1e-4, atol=1e-4)


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
            MAC().check(Problem.from_module(model))


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
    loop = Loop.on_digits(MAC(mu=1.0, tol=0.01))
    for before, mu in ((1.001, 10.0), (1.5, 1.0)):
        kept = replace(loop.state.extra, objective=before * loop.objective())
        rule = MAC(mu=1.0, tol=0.01).update_mu(loop.problem, replace(loop.state, extra=kept), loop.batch)
        assert rule.mu == mu
