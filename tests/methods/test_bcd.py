"""Proximal BCD: every block against a numerical minimiser, descent, and what it learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import Batch, Problem, State
from altmin.core.state import forward, put
from altmin.methods.bcd import BCD
from altmin.nn import Residual
from methods.table import Loop, digits, own

Energy = Callable[[Tensor], Tensor]
METHOD = BCD(gamma=0.7, alpha=1.3)


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 8), nn.Softplus(), nn.Linear(8, 10))


def residual() -> nn.Sequential:
    """``Z_1`` joins the second layer, ``A_2`` the fourth one."""
    inner = Residual(nn.Tanh(), nn.Linear(12, 12))
    outer = Residual(nn.Linear(12, 6), nn.Softplus(), nn.Linear(6, 12))
    return nn.Sequential(nn.Linear(64, 12), inner, nn.Tanh(), outer, nn.Sigmoid(), nn.Linear(12, 10))


def images() -> nn.Sequential:
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*body, nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 10))


def begin(model: nn.Sequential, method: BCD = METHOD, loss: str = "squared", n: int = 60, **options: object) -> Loop:
    """The method's start from random weights, and variables that no forward pass would give."""
    torch.manual_seed(0)
    for p in model.double().parameters():
        nn.init.normal_(p, std=0.3)
    problem = Problem.from_module(model, loss, **options)  # type: ignore[arg-type]
    x, y = digits(n)
    batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
    state = method.init(problem, State.from_module(model), batch)
    z, a = (tuple(t + 0.3 * torch.randn_like(t) for t in group) for group in (state.z, state.a))
    outputs = state.extra.outputs + 0.3 * torch.randn_like(state.z[-1])
    return Loop(method, problem, batch, replace(state, z=z, a=a, extra=state.extra._replace(outputs=outputs)))


def written_out(loop: Loop, state: State) -> Tensor:
    """The objective straight from the docstring, by way of the modules' forward pass alone."""
    p, x, method = loop.problem, loop.batch.x, loop.method
    assert isinstance(method, BCD)
    total, inputs = torch.zeros((), dtype=x.dtype), (x, *state.a)
    for i, layer in enumerate(p.layers):
        predicted = layer.map(state.W[i], state.b[i], inputs[i])
        if layer.skip is not None:
            kind, j = layer.skip
            predicted = predicted + (state.z[j] if kind == "z" else inputs[j + 1])
        total = total + (state.z[i] - predicted).square().sum()
        activated = state.extra.outputs if i + 1 == len(p.layers) else state.a[i]
        total = total + (activated - layer.activation(state.z[i])).square().sum()
    omega = torch.stack([p.regularizer(W) for W in state.W]).sum()
    return p.loss(state.extra.outputs, loop.batch.y) + omega + 0.5 * method.gamma * total


def gradient(energy: Energy, at: Tensor) -> Tensor:
    point = at.detach().clone().requires_grad_()
    return torch.autograd.grad(energy(point), point)[0]


def assert_stationary(energy: Energy, new: Tensor, old: Tensor, tolerance: float = 1e-6) -> None:
    """The block's derivative is zero at the update, was not before, and the update is no higher."""
    scale = gradient(energy, old).abs().max()
    assert scale > 1e-3
    assert gradient(energy, new).abs().max() < tolerance * scale
    assert energy(new) < energy(old)


@pytest.mark.parametrize("model", [chain, residual])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("regularizer", [None, "l2:0.4"])
def test_every_block_is_stationary(model: Callable[[], nn.Sequential], loss: str, regularizer: str | None):
    """Autograd on the objective, with the proximal term of the block where it has one."""
    loop = begin(model(), loss=loss, regularizer=regularizer)
    m, p, b = loop.method, loop.problem, loop.batch
    assert isinstance(m, BCD)

    def energy(base: State, place: Callable[[Tensor], State], old: Tensor | None) -> Energy:
        def value(t: Tensor) -> Tensor:
            near = 0.0 if old is None else 0.5 * m.alpha * (t - old).square().sum()
            return written_out(loop, place(t)) + near

        return value

    s = loop.state
    new = m.update_outputs(p, s, b)
    old = s.extra.outputs
    outputs = energy(s, lambda t: replace(s, extra=s.extra._replace(outputs=t)), old)
    assert_stationary(outputs, new.extra.outputs, old)
    last = len(p.layers) - 1
    assert_stationary(energy(s, lambda t: put(s, z=(last, t)), None), m.update_last_u(p, s, b).z[last], s.z[last])
    for i in range(last):
        v, u = m.update_v(p, own(s), b, i), m.update_u(p, own(s), b, i)
        assert_stationary(energy(s, lambda t, i=i: put(s, a=(i, t)), None), v.a[i], s.a[i])
        assert_stationary(energy(s, lambda t, i=i: put(s, z=(i, t)), s.z[i]), u.z[i], s.z[i])
    for i in range(last + 1):
        new = m.update_W(p, s, b, i)
        fitted = put(s, W=(i, new.W[i]))
        assert_stationary(energy(s, lambda t, i=i: put(s, W=(i, t)), s.W[i]), new.W[i], s.W[i])
        assert_stationary(energy(s, lambda t, i=i, at=fitted: put(at, b=(i, t)), s.b[i]), new.b[i], s.b[i])


def test_relu_block_is_the_global_minimum_on_a_grid():
    """``U_l`` below a ReLU, a number at a time: two valleys, no derivative that tells them apart."""
    model = nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    loop = begin(model, n=20)
    m, p, s = loop.method, loop.problem, loop.state
    assert isinstance(m, BCD)
    found = m.update_u(p, own(s), loop.batch, 0).z[0]
    grid = torch.linspace(-8, 8, 16001, dtype=torch.float64)[:, None, None]
    predicted = loop.batch.x @ s.W[0].T + s.b[0]

    def value(u: Tensor) -> Tensor:
        fit = (s.a[0] - u.clamp_min(0)).square() + (u - predicted).square()
        return 0.5 * m.gamma * fit + 0.5 * m.alpha * (u - s.z[0]).square()

    assert (value(found) <= value(grid).amin(0) + 1e-12).all()
    assert (found > 0).any()
    assert (found < 0).any()


@pytest.mark.parametrize("model", [chain, residual])
def test_objective_is_the_docstrings(model: Callable[[], nn.Sequential]):
    loop = begin(model(), regularizer="l2:0.4")
    assert loop.objective() == pytest.approx(float(written_out(loop, loop.state)), rel=1e-12)


def test_residual_of_the_outputs_is_recorded():
    loop = begin(chain())
    gap = (loop.state.extra.outputs - loop.state.z[-1]).norm()
    assert loop.residuals()["D_3"] == pytest.approx(float(gap))


def test_sweep_goes_from_the_last_layer_to_the_first_as_published():
    loop = begin(chain())
    m, p, b, s = loop.method, loop.problem, loop.batch, own(loop.state)
    assert isinstance(m, BCD)
    s = m.update_W(p, m.update_last_u(p, m.update_outputs(p, s, b), b), b, 2)
    for i in (1, 0):
        s = m.update_W(p, m.update_u(p, m.update_v(p, s, b, i), b, i), b, i)
    for one, two in zip(s.W + s.b + s.z + s.a, (new := loop.step()).W + new.b + new.z + new.a, strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize(("model", "n", "steps"), [(chain, 300, 40), (residual, 100, 40), (images, 40, 10)])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
@pytest.mark.parametrize("method", [BCD(), BCD(gamma=0.3, alpha=0.0)])
def test_objective_never_rises(model: Callable[[], nn.Sequential], n: int, steps: int, loss: str, method: BCD):
    loop = begin(model(), method, loss, n, regularizer="l2:0.1")
    values = [loop.objective()]
    for _ in range(steps):
        loop.step()
        values.append(loop.objective())
    assert max(after - before for before, after in itertools.pairwise(values)) <= 1e-9 * values[0]
    assert values[-1] < 0.5 * values[0]


def test_proximal_terms_are_paid_for_by_the_descent():
    """Every block with a proximal term lowers the objective by ``alpha/2`` of its squared step at least."""
    loop = Loop.on_digits(BCD(), "squared")
    for _ in range(20):
        before, old = loop.objective(), loop.state
        new = loop.step()
        pairs = [(new.extra.outputs, old.extra.outputs), *zip(new.W + new.b, old.W + old.b, strict=True)]
        pairs += zip(new.z[:-1], old.z[:-1], strict=True)
        moved = sum(float((p - q).square().sum()) for p, q in pairs)
        assert loop.objective() + 0.5 * BCD().alpha * moved <= before * (1 + 1e-12)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_digits(loss: str):
    loop = Loop.on_digits(BCD(), loss)
    for _ in range(100):
        loop.step()
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    assert (z.argmax(1) == loop.batch.y.argmax(1)).double().mean() > 0.9


def test_trains_a_convolutional_network_with_max_pooling():
    torch.manual_seed(0)
    x, y = digits(300, torch.float32)
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    history = altmin.fit(nn.Sequential(*body, nn.Linear(96, 10)), BCD(), (x, y), loss="cross_entropy", epochs=30)
    assert history["train_accuracy"][-1] > 0.9


def test_layer_without_bias_keeps_its_zeros():
    model = nn.Sequential(nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 10))
    assert torch.equal(begin(model).step().b[0], torch.zeros(8, dtype=torch.float64))


def test_refuses_l1_and_says_what_takes_it():
    with pytest.raises(TypeError, match=r"none and l2, got L1.*; IPDLAM"):
        BCD().check(Problem.from_module(chain(), regularizer="l1:0.1"))


def test_refuses_dropout():
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10))
    with pytest.raises(TypeError, match="BCD does not support dropout"):
        BCD().check(Problem.from_module(model))


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="`gamma` must be > 0"):
        BCD(gamma=0.0)
    with pytest.raises(ValueError, match="`alpha` must be >= 0"):
        BCD(alpha=-1.0)
