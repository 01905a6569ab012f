"""ADMM of Taylor et al.: every block against autograd, the warm-up's descent, the multiplier, and what it learns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import State, TaylorADMM, problem_of, state_of
from altmin.activations import Tanh
from altmin.core.forward import forward, skip_value
from altmin.regularizers import Regularizer
from methods.table import Loop, begun, digits, network
from residual_networks import model_of

METHOD = TaylorADMM(beta=0.6, gamma=1.7, start="forward")


@dataclass(frozen=True)
class Other(Regularizer):
    """Neither a square nor l1."""


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 8), nn.Softplus(), nn.Linear(8, 10))


def images() -> nn.Sequential:
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*body, nn.Conv2d(4, 8, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(32, 10))


def begin(
    model: nn.Sequential, method: TaylorADMM = METHOD, loss: str = "squared", n: int = 200, **options: object
) -> Loop:
    """The method's start, and a multiplier and variables that no forward pass would give."""
    g = torch.Generator().manual_seed(0)
    loop = Loop.of(method, model.double(), loss, n, **options)
    start = loop.state.weights()
    for W in start.W:
        W.copy_(0.3 * torch.randn(W.shape, generator=g, dtype=W.dtype))
    loop.state = begun(method, loop.problem, loop.batch, start)
    for t in (*loop.state.z, *loop.state.a):
        t.add_(0.3 * torch.randn(t.shape, generator=g, dtype=t.dtype))
    assert loop.state.u is not None
    loop.state.u.copy_(0.2 * torch.randn(loop.state.u.shape, generator=g, dtype=torch.float64))
    return loop


def written_out(loop: Loop, s: State[Any]) -> Tensor:
    """The objective straight from the docstring."""
    p, method, inputs = loop.problem, loop.method, (loop.batch.x, *s.a)
    assert isinstance(method, TaylorADMM)
    assert s.u is not None
    total = p.loss(s.z[-1], loop.batch.y) + (s.z[-1] * s.u).sum()
    for i, layer in enumerate(p.layers):
        total = total + p.regularizer(s.W[i])
        skip = skip_value(layer, loop.batch.x, s.z, s.a)
        prediction = layer.map(s.W[i], s.b[i], inputs[i]) + (0.0 if skip is None else skip)
        total = total + method.beta * (s.z[i] - prediction).square().sum()
        if i + 1 < len(p.layers):
            total = total + method.gamma * (s.a[i] - layer.activation(s.z[i])).square().sum()
    return total


def assert_stationary(loop: Loop, old: State[Any], name: str, i: int, ridge: float = 0.0) -> None:
    """The block's derivative is zero at the update, was not before, and the update is no higher."""
    at = loop.state.clone()

    def energy(t: Tensor) -> Tensor:
        getattr(at, name)[i] = t
        return written_out(loop, at) + (ridge * (t - old.W[i]).square().sum() if name == "W" else 0.0)

    def slope(at: Tensor) -> Tensor:
        point = at.detach().clone().requires_grad_()
        return torch.autograd.grad(energy(point), point)[0].abs().max()

    before, after = getattr(old, name)[i], getattr(loop.state, name)[i]
    assert slope(before) > 1e-3
    assert slope(after) < 1e-6 * slope(before)
    assert energy(after) < energy(before)


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("regularizer", [None, "l2:0.4"])
@pytest.mark.parametrize("ridge", [0.0, 0.8])
def test_every_block_is_stationary(loss: str, regularizer: str | None, ridge: float):
    """Weights and intercept at once: the intercept's derivative is zero at the new weights, and theirs at it."""
    loop = begin(chain(), replace(METHOD, ridge=ridge), loss, regularizer=regularizer)
    for layer in loop.sweep().layers:
        old = loop.state.clone()
        layer.solve_weights(prox=2 * ridge, jointly=True)
        assert_stationary(loop, old, "W", layer.i, ridge)
        assert_stationary(loop, old, "b", layer.i)
        if not layer.last:
            layer.solve_a()
            assert_stationary(loop, old, "a", layer.i)
        layer.solve_z()
        assert_stationary(loop, old, "z", layer.i)


@pytest.mark.parametrize("net", ["pre-activation", "activation", "ends", "outputs"])
def test_every_block_of_a_residual_network_is_stationary(net: str):
    """Those of smooth activations; the blocks of ReLUs end at their kinks, and may not rise."""
    loop = begin(model_of(net))
    for layer in loop.sweep().layers:
        smooth = layer.last or isinstance(layer.activation, Tanh)
        old = loop.state.clone()
        layer.solve_weights(jointly=True)
        assert_stationary(loop, old, "W", layer.i)
        if not layer.last:
            layer.solve_a()
            assert_stationary(loop, old, "a", layer.i)
        before = written_out(loop, loop.state)
        layer.solve_z()
        assert written_out(loop, loop.state) < before
        if smooth:
            assert_stationary(loop, old, "z", layer.i)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_sparse_weights_and_their_intercept_are_at_the_minimum(layer: int):
    """l1 of weight 2: the derivative of the rest is minus 2 sign(w), or at most 2 where a weight is zero."""
    loop = begin(chain(), regularizer="l1:2")
    plain = begin(chain()).problem
    loop.sweep().layers[layer].solve_weights(jointly=True, exactly=True)
    at = loop.state.clone()
    W, b = (t[layer].clone().requires_grad_() for t in (at.W, at.b))
    at.W[layer], at.b[layer] = W, b
    written_out(replace(loop, problem=plain), at).backward()
    assert W.grad is not None
    assert b.grad is not None
    assert b.grad.abs().max() < 1e-6
    zero = W.detach() == 0
    assert zero.any()
    assert (W.grad[zero].abs() <= 2 + 1e-4).all()
    torch.testing.assert_close(W.grad[~zero], -2 * W.detach()[~zero].sign(), rtol=0, atol=1e-3)


def test_weights_and_intercept_are_those_of_least_squares():
    """``[W b] = Z [A 1]^+`` where the samples say all."""
    loop = begin(chain())
    s = loop.state
    loop.sweep().layers[1].solve_weights(jointly=True)
    design = torch.cat([s.a[0], torch.ones(len(s.a[0]), 1, dtype=torch.float64)], 1)
    fit = torch.linalg.lstsq(design, s.z[1]).solution.T
    torch.testing.assert_close(torch.cat([s.W[1], s.b[1][:, None]], 1), fit, rtol=1e-5, atol=1e-6)


def test_objective_is_the_docstrings():
    loop = begin(chain(), regularizer="l2:0.4")
    assert loop.objective() == pytest.approx(float(written_out(loop, loop.state)), rel=1e-12)


@pytest.mark.parametrize("ridge", [0.0, 0.8])
def test_sweep_goes_from_the_first_layer_to_the_last_as_published(ridge: float):
    loop = begin(chain(), replace(METHOD, warmup=1000, ridge=ridge))
    by_hand = loop.twin()
    first, second, last = by_hand.sweep().layers
    for layer in (first, second):
        layer.solve_weights(prox=2 * ridge, jointly=True)
        layer.solve_a()
        layer.solve_z()
    last.solve_weights(prox=2 * ridge, jointly=True)
    last.solve_z()
    new, found = loop.step(), by_hand.state
    for one, two in zip([*found.W, *found.b, *found.z, *found.a], [*new.W, *new.b, *new.z, *new.a], strict=True):
        assert torch.equal(one, two)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "n", "steps"), [(chain, 150, 30), (images, 40, 10)])
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
@pytest.mark.parametrize("regularizer", [None, "l2:0.1"])
def test_objective_never_rises_while_the_multiplier_rests(
    model: Callable[[], nn.Sequential], n: int, steps: int, loss: str, regularizer: str | None
):
    loop = begin(
        model(), TaylorADMM(beta=0.1, gamma=1.0, warmup=1000, start="forward"), loss, n, regularizer=regularizer
    )
    values = [loop.objective()]
    for _ in range(steps):
        loop.step()
        values.append(loop.objective())
    assert max(after - before for before, after in itertools.pairwise(values)) <= 1e-9 * abs(values[0])
    assert values[-1] < values[0] - 0.3 * abs(values[0])


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_multiplier_rests_and_then_takes_half_the_usual_step(loss: str):
    """``Z_L`` is stationary, ``grad R + Lambda_k + 2 beta E_L = 0``, and the step is ``beta E_L`` as published."""
    loop = Loop.on_digits(replace(METHOD, warmup=2), loss)
    for _ in range(2):
        assert not loop.step().u.any()  # type: ignore[union-attr]
    for _ in range(3):
        assert loop.state.u is not None
        old, new = loop.state.u.clone(), loop.step()
        assert new.u is not None
        slope = loop.problem.loss.grad(new.z[-1], loop.batch.y)
        torch.testing.assert_close(2 * new.u - old, -slope, rtol=0, atol=1e-7)
        assert new.u.abs().max() > 1e-3


def test_one_layer_ends_between_the_warm_up_and_least_squares():
    """In closed form: within what the layer can fit (projection P), ``Lambda`` adds up to ``beta P (Z - Z_w)``.

    ``Z_w`` are the outputs of the last iteration of the warm-up; with ``P (Z - Y) + Lambda = 0`` at the end,
    ``P Z = (P Y + beta P Z_w)/(1 + beta)``.
    """
    loop = Loop.on_digits(TaylorADMM(beta=0.5, warmup=3, start="forward"), "squared", hidden=())
    for _ in range(3):
        loop.step()
    warm = loop.state.z[0].clone()
    for _ in range(100):
        loop.step()
    x, y = loop.batch.x, loop.batch.y
    design = torch.cat([x, torch.ones(len(x), 1).to(x)], 1)
    fit = design @ torch.linalg.lstsq(design, (y + 0.5 * warm) / 1.5, driver="gelsd").solution
    torch.testing.assert_close(x @ loop.state.W[0].T + loop.state.b[0], fit, rtol=0, atol=1e-5)
    assert loop.residuals()["E_1"] < 1e-6


def drawn(seed: int, scale: float = 1.0) -> State[Any]:
    loop = Loop.on_digits(METHOD)
    method = replace(METHOD, start="gaussian", scale=scale)
    return begun(method, loop.problem, loop.batch, state_of(network(20, 15)), seed)


def test_gaussian_start_comes_from_the_generator_alone():
    one, same, other = drawn(1), drawn(1), drawn(2)
    for a, b, c in zip([*one.z, *one.a], [*same.z, *same.a], [*other.z, *other.a], strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)
    entries = torch.cat([t.flatten() for t in [*drawn(1, scale=0.5).z, *drawn(1, scale=0.5).a]])
    assert abs(float(entries.mean())) < 0.01
    assert float(entries.std()) == pytest.approx(0.5, rel=0.02)


def test_forward_start_has_no_residuals():
    loop = Loop.on_digits(METHOD)
    assert max(loop.residuals().values()) < 1e-10


def accuracy(loop: Loop) -> float:
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    return float((z.argmax(1) == loop.batch.y.argmax(1)).double().mean())


@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_digits(loss: str):
    torch.manual_seed(0)
    loop = Loop.on_digits(TaylorADMM(), loss)
    for _ in range(40):
        loop.step()
    assert accuracy(loop) > 0.9


def test_trains_a_convolutional_network_with_max_pooling():
    torch.manual_seed(0)
    x, y = digits(300, torch.float32)
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    model = nn.Sequential(*body, nn.Linear(96, 10))
    method = TaylorADMM(beta=0.1, gamma=10.0, start="forward")
    history = altmin.fit(model, method, (x, y), loss="squared", epochs=10)
    assert history["train_accuracy"][-1] > 0.9


def test_layer_without_bias_keeps_its_zeros():
    model = nn.Sequential(nn.Linear(64, 8, bias=False), nn.ReLU(), nn.Linear(8, 10))
    state = begin(model).step()
    assert torch.equal(state.b[0], torch.zeros(8, dtype=torch.float64))
    assert state.b[1].any()


def test_refuses_regularizers_that_are_neither_squares_nor_l1():
    with pytest.raises(TypeError, match=r"none, l1 and l2, got Other.*; IPDLAM"):
        METHOD.check(problem_of(chain(), regularizer=Other()))


def test_numbers_are_checked():
    with pytest.raises(ValueError, match="`beta` must be > 0"):
        TaylorADMM(beta=0.0)
    with pytest.raises(ValueError, match="`start` must be one of 'gaussian', 'forward'"):
        TaylorADMM(start="zero")
    with pytest.raises(TypeError, match="`warmup` must be an integer"):
        TaylorADMM(warmup=1.5)  # type: ignore[arg-type]
