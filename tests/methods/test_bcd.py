"""Proximal BCD: every block against a numerical minimiser, descent, and what it learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import BCD, Residual, State, problem_of
from altmin.core.forward import forward
from methods.table import Loop, digits

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
    loop = Loop.of(method, model, loss, n, **options)
    for t in (*loop.state.z, *loop.state.a):
        t.add_(0.3 * torch.randn_like(t))
    return loop


def written_out(loop: Loop, state: State[Any]) -> Tensor:
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
        total = total + (state.a[i] - layer.activation(state.z[i])).square().sum()
    omega = torch.stack([p.regularizer(W) for W in state.W]).sum()
    return p.loss(state.a[-1], loop.batch.y) + omega + 0.5 * method.gamma * total


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
    """Autograd on the objective, with the proximal term of the block where it has one, in the order of a sweep."""
    loop = begin(model(), loss=loss, regularizer=regularizer)
    alpha, sweep = METHOD.alpha, loop.sweep()

    def energy(name: str, i: int, prox: float) -> Energy:
        base = loop.state.clone()
        old = getattr(base, name)[i].clone()

        def value(t: Tensor) -> Tensor:
            getattr(base, name)[i] = t
            return written_out(loop, base) + 0.5 * prox * (t - old).square().sum()

        return value

    def check(name: str, i: int, verb: Callable[..., None], prox: float = 0.0) -> None:
        value, group = energy(name, i, prox), getattr(loop.state, name)
        old = group[i].clone()
        verb(prox=prox)
        assert_stationary(value, group[i], old)

    last = sweep.layers[-1]
    check("a", last.i, last.solve_output, alpha)
    check("z", last.i, last.solve_z)
    for layer in reversed(sweep.layers):
        if not layer.last:
            check("a", layer.i, layer.solve_a)
            check("z", layer.i, layer.solve_z, alpha)
        b = layer.b.clone()
        check("W", layer.i, layer.solve_weights, alpha)
        new = layer.b.clone()
        layer.b.copy_(b)
        assert_stationary(energy("b", layer.i, alpha), new, b)
        layer.b.copy_(new)


def test_relu_block_is_the_global_minimum_on_a_grid():
    """``U_l`` below a ReLU, a number at a time: two valleys, no derivative that tells them apart."""
    model = nn.Sequential(nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10))
    loop = begin(model, n=20)
    m, s = METHOD, loop.state.clone()
    loop.sweep().layers[0].solve_z(prox=m.alpha)
    found = loop.state.z[0]
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
    gap = (loop.state.a[-1] - loop.state.z[-1]).norm()
    assert loop.residuals()["D_3"] == pytest.approx(float(gap))


def test_sweep_goes_from_the_last_layer_to_the_first_as_published():
    loop = begin(chain())
    by_hand, alpha = loop.twin(), METHOD.alpha
    first, second, last = by_hand.sweep().layers
    last.solve_output(prox=alpha)
    last.solve_z()
    last.solve_weights(prox=alpha)
    for layer in (second, first):
        layer.solve_a()
        layer.solve_z(prox=alpha)
        layer.solve_weights(prox=alpha)
    new, found = loop.step(), by_hand.state
    for one, two in zip([*found.W, *found.b, *found.z, *found.a], [*new.W, *new.b, *new.z, *new.a], strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
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
        before, old = loop.objective(), loop.state.clone()
        new = loop.step()
        pairs = [(new.a[-1], old.a[-1]), *zip([*new.W, *new.b], [*old.W, *old.b], strict=True)]
        pairs += zip(new.z[:-1], old.z[:-1], strict=True)
        moved = sum(float((p - q).square().sum()) for p, q in pairs)
        assert loop.objective() + 0.5 * BCD().alpha * moved <= before * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_digits(loss: str):
    loop = Loop.on_digits(BCD(), loss)
    for _ in range(100):
        loop.step()
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    assert (z.argmax(1) == loop.batch.y.argmax(1)).double().mean() > 0.9


@pytest.mark.slow
def test_trains_a_convolutional_network_with_max_pooling():
    torch.manual_seed(0)
    x, y = digits(300, torch.float32)
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    history = altmin.fit(nn.Sequential(*body, nn.Linear(96, 10)), BCD(), (x, y), loss="cross_entropy", epochs=30)
    assert history["train_accuracy"][-1] > 0.9


def test_layer_without_bias_keeps_its_zeros():
    model = nn.Sequential(nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 10))
    assert torch.equal(begin(model).step().b[0], torch.zeros(8, dtype=torch.float64))


def test_sparse_weights_are_the_minimiser_of_their_block():
    """l1 of weight 2: the derivative of the rest is minus 2 sign(w), or at most 2 where a weight is zero."""
    loop = Loop.of(BCD(gamma=0.7, alpha=1.5), chain().double(), "squared", 200, regularizer="l1:2").scattered()
    layer, state = loop.sweep().layers[1], loop.state
    old, a, z, b = state.W[1].clone(), state.a[0], state.z[1], state.b[1].clone()
    layer.solve_weights(prox=1.5, exactly=True)
    W = state.W[1].clone().requires_grad_()
    (0.35 * (z - a @ W.T - b).square().sum() + 0.75 * (W - old).square().sum()).backward()
    assert W.grad is not None
    zero = W.detach() == 0
    assert zero.any()
    assert (W.grad[zero].abs() <= 2 + 1e-5).all()
    torch.testing.assert_close(W.grad[~zero], -2 * W.detach()[~zero].sign(), rtol=0, atol=1e-4)


def test_refuses_dropout():
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 10))
    with pytest.raises(TypeError, match="BCD does not support dropout"):
        BCD().check(problem_of(model))


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="`gamma` must be > 0"):
        BCD(gamma=0.0)
    with pytest.raises(ValueError, match="`alpha` must be >= 0"):
        BCD(alpha=-1.0)
