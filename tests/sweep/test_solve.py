"""Every exact minimiser of a block against the objective written out, by autograd and L-BFGS in float64."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import Sweep
from sweep.case import (
    NETS,
    Weighted,
    assert_minimum,
    centred,
    energy,
    gradient,
    minimised,
    others_untouched,
    per_sample,
    sweep_of,
)

nets = pytest.mark.parametrize("net", NETS)
proximal = pytest.mark.parametrize(("prox", "inertia"), [(0.0, None), (0.8, None), (0.8, 0.6)])
duals = pytest.mark.parametrize("dual", [None, "residual", "outputs"])
SOME = torch.tensor([3, 11, 2, 25, 7, 14, 19, 8, 28, 0])
PARTS = {"all": None, "some": SOME, "a slice": slice(5, 20)}


def hidden(net: str) -> range:
    """The hidden layers of a network."""
    return range(len(sweep_of(net).layers) - 1)


def dual_of(kind: str | None) -> dict[str, Any]:
    return {"dual": kind is not None, "method": Weighted(dual="residual" if kind is None else kind)}  # type: ignore[arg-type]


@pytest.mark.thinned(2)
@nets
@proximal
@duals
def test_hidden_pre_activations(net: str, prox: float, inertia: float | None, dual: str | None):
    for i in hidden(net):
        sweep = sweep_of(net, previous=inertia is not None, **dual_of(dual))
        before, old = sweep.state.clone(), sweep.state.z[i].clone()
        value = energy(sweep, "z", i, prox, centred(sweep, "z", i, inertia))
        sweep.layers[i].solve_z(prox=prox, inertia=inertia)
        assert_minimum(value, sweep.state.z[i], old)
        if inertia is not None:
            assert sweep.state.previous is not None
            assert torch.equal(sweep.state.previous.z[i], old), "the present value becomes the previous one"
        assert others_untouched(sweep, before, ("z", i))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("net", ["chain", "inner", "outer z"])
@pytest.mark.parametrize("s", [nn.ReLU, nn.LeakyReLU, nn.Hardtanh])
@pytest.mark.parametrize("prox", [0.0, 0.8])
def test_hidden_pre_activations_are_the_lowest_of_a_grid(net: str, s: type[nn.Module], prox: float):
    """A number at a time, since the objective is a sum over entries: two valleys no derivative tells apart."""
    sweep = sweep_of(net, s=s, n=2)
    z = sweep.state.z[0]
    old = z.clone()
    value = energy(sweep, "z", 0, prox, old)
    sweep.layers[0].solve_z(prox=prox)
    lowest, new = float(value(z)), z.clone()
    for entry in range(0, z.numel(), 4):
        for point in torch.linspace(-4, 4, 41, dtype=z.dtype):
            trial = new.clone()
            trial.view(-1)[entry] = point
            assert float(value(trial)) >= lowest - 1e-10 * abs(lowest)
    assert (new > 0).any()
    assert (new < 0).any()


@pytest.mark.thinned(2)
@nets
@proximal
@duals
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
def test_outputs_without_a_variable_of_their_own(
    net: str, prox: float, inertia: float | None, dual: str | None, loss: str
):
    sweep = sweep_of(net, previous=inertia is not None, loss=loss, **dual_of(dual))
    i = len(sweep.layers) - 1
    before, old = sweep.state.clone(), sweep.state.z[i].clone()
    value = energy(sweep, "z", i, prox, centred(sweep, "z", i, inertia))
    sweep.layers[i].solve_z(prox=prox, inertia=inertia)
    assert_minimum(value, sweep.state.z[i], old, unique=net == "chain")
    assert others_untouched(sweep, before, ("z", i))


@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("prox", [0.0, 0.8])
def test_output_variable_and_what_it_leaves_to_the_last_layer(loss: str, prox: float):
    sweep = sweep_of("chain", loss=loss, output=True)
    before, old, old_z = sweep.state.clone(), sweep.state.a[2].clone(), sweep.state.z[2].clone()
    value = energy(sweep, "a", 2, prox, old)
    sweep.layers[2].solve_output(prox=prox)
    assert_minimum(value, sweep.state.a[2], old)
    assert others_untouched(sweep, before, ("a", 2))
    value = energy(sweep, "z", 2, prox, old_z)
    sweep.layers[2].solve_z(prox=prox)
    assert_minimum(value, sweep.state.z[2], old_z)
    assert others_untouched(sweep, before, ("a", 2), ("z", 2))


def pooled(sweep: Sweep[Any], i: int) -> bool:
    """Whether max pooling stands above layer `i`."""
    return sweep.layers[i + 1].map.piecewise


@pytest.mark.thinned(2)
@nets
@proximal
@duals
def test_activations(net: str, prox: float, inertia: float | None, dual: str | None):
    for i in hidden(net):
        sweep = sweep_of(net, previous=inertia is not None, **dual_of(dual))
        before, old = sweep.state.clone(), sweep.state.a[i].clone()
        centre = centred(sweep, "a", i, inertia)
        value, each = (energy(sweep, "a", i, prox, centre, each=e) for e in (False, True))
        sweep.layers[i].solve_a(prox=prox, inertia=inertia)
        new = sweep.state.a[i]
        if pooled(sweep, i):
            assert (each(new) <= each(old) * (1 + 1e-12)).all()
            assert float(value(new)) < 0.95 * float(value(old))
            assert float(gradient(value, new).abs().max()) < 0.5 * float(gradient(value, old).abs().max())
        else:
            assert_minimum(value, new, old, unique=net == "chain")
        if inertia is not None:
            assert sweep.state.previous is not None
            assert torch.equal(sweep.state.previous.a[i], old)
        assert others_untouched(sweep, before, ("a", i))


@pytest.mark.slow
@nets
@proximal
@duals
@pytest.mark.parametrize("regularizer", [None, "l2:0.6"])
def test_weights_then_intercept(
    net: str, prox: float, inertia: float | None, dual: str | None, regularizer: str | None
):
    for i in range(len(sweep_of(net).layers)):
        n = 120 if prox == 0.0 else 30  # without a proximal term all directions have to be seen
        sweep = sweep_of(net, previous=inertia is not None, regularizer=regularizer, n=n, **dual_of(dual))
        layer = sweep.layers[i]
        before, W, b = sweep.state.clone(), layer.W.clone(), layer.b.clone()
        value = energy(sweep, "W", i, prox, centred(sweep, "W", i, inertia))
        centre = centred(sweep, "b", i, inertia)
        layer.solve_weights(prox=prox, inertia=inertia)
        assert_minimum(
            value, layer.W, W, 1e-6, unique=net == "chain" and (i > 0 or prox > 0.0)
        )  # some pixels are always zero
        if layer.map.bias:
            new = layer.b.clone()
            layer.b.copy_(b)
            assert_minimum(energy(sweep, "b", i, prox, centre), new, b, 1e-6)
        else:
            assert torch.equal(layer.b, b)
        if inertia is not None:
            assert sweep.state.previous is not None
            assert torch.equal(sweep.state.previous.W[i], W)
            assert torch.equal(sweep.state.previous.b[i], b) or not layer.map.bias
        assert others_untouched(sweep, before, ("W", i), ("b", i))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("net", ["chain", "images", "from data", "outer z"])
@pytest.mark.parametrize("prox", [0.0, 0.8])
@pytest.mark.parametrize("regularizer", [None, "l2:0.6"])
@duals
def test_weights_and_intercept_at_once(net: str, prox: float, regularizer: str | None, dual: str | None):
    """Both derivatives are zero at the same point, and the proximal term is that of the weights alone."""
    for i in range(len(sweep_of(net).layers)):
        sweep = sweep_of(net, regularizer=regularizer, n=120, **dual_of(dual))
        layer = sweep.layers[i]
        W, b = layer.W.clone(), layer.b.clone()
        start = gradient(energy(sweep, "W", i, prox, W), W), gradient(energy(sweep, "b", i), b)
        layer.solve_weights(prox=prox, jointly=True)
        slopes = gradient(energy(sweep, "W", i, prox, W), layer.W), gradient(energy(sweep, "b", i), layer.b)
        for slope, scale in list(zip(slopes, start, strict=True))[: 1 + layer.map.bias]:
            assert float(slope.abs().max()) < 1e-6 * float(scale.abs().max())


@pytest.mark.parametrize("net", ["chain", "images"])
@pytest.mark.parametrize("prox", [0.0, 0.8])
def test_weights_under_l1_take_a_step_and_end_at_the_minimum(net: str, prox: float):
    """Repeated at a fixed intercept and centre, they end where the subgradient holds zero, some of them at zero."""
    for i in range(1, len(sweep_of(net).layers)):
        sweep = sweep_of(net, regularizer="l1:0.9", n=60)
        layer = sweep.layers[i]
        W0, b0 = layer.W.clone(), layer.b.clone()
        value = energy(sweep, "W", i, prox, W0)
        values = [float(value(layer.W))]
        if prox:  # the centre is the present value: one step is all that can be compared
            layer.solve_weights(prox=prox)
            assert float(value(layer.W)) < values[0]
            continue
        for k in range(1000):
            layer.solve_weights()
            layer.b.copy_(b0)
            if k < 20:
                values.append(float(value(layer.W)))
        assert all(b <= a * (1 + 1e-12) for a, b in itertools.pairwise(values))
        zero = layer.W == 0
        at = layer.W.clone()
        smooth = gradient(value, at) - 0.9 * at.sign()
        scale = float(gradient(value, W0).abs().max())
        assert (smooth[zero].abs() <= 0.9 * (1 + 1e-3)).all()
        assert float((smooth + 0.9 * at.sign())[~zero].abs().max()) < 1e-3 * scale
        assert zero.any()


def test_one_step_under_l1_is_the_prox_of_a_gradient_step():
    """``prox_Omega(W - g/alpha, 1/alpha)``, `alpha` the exact quotient doubled until the step is majorised."""
    sweep = sweep_of("chain", regularizer="l1:0.9", previous=True)
    layer, prox, inertia = sweep.layers[1], 0.8, 0.6
    W, hat = layer.W.clone(), centred(sweep, "W", 1, inertia)
    smooth = lambda t: energy(sweep, "W", 1, prox, hat)(t) - 0.9 * t.abs().sum()  # noqa: E731
    g = gradient(smooth, W)
    alpha = float(((gradient(smooth, W + g) - g) * g).sum() / (g * g).sum())
    new = W
    for _ in range(50):
        new = W - g / alpha
        new = new.sign() * (new.abs() - 0.9 / alpha).clamp_min(0.0)
        move = new - W
        if float(smooth(new)) <= float(smooth(W) + (g * move).sum() + alpha / 2 * (move * move).sum()) + 1e-12:
            break
        alpha *= 2
    layer.solve_weights(prox=prox, inertia=inertia)
    torch.testing.assert_close(layer.W, new, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("part", [name for name in PARTS if name != "all"])
@pytest.mark.parametrize("net", ["chain", "inner", "images"])
def test_blocks_of_some_samples(net: str, part: str):
    """They are minimised over these samples, whose variables the sweep has copies of."""
    for i in hidden(net):
        sweep = sweep_of(net, rows=PARTS[part], previous=True)
        whole = sweep.whole.clone()
        layer, n = sweep.layers[i], len(sweep.batch.x)
        assert len(layer.z) == n == len(per_sample(sweep)) < 30
        for name, verb in (("z", layer.solve_z), ("a", layer.solve_a)):
            if name == "a" and pooled(sweep, i):
                continue
            old = getattr(sweep.state, name)[i].clone()
            value = energy(sweep, name, i, 0.8, centred(sweep, name, i, 0.6))
            verb(prox=0.8, inertia=0.6)
            assert_minimum(value, getattr(sweep.state, name)[i], old)
        W = layer.W.clone()
        value = energy(sweep, "W", i, 0.8, W)
        layer.solve_weights(prox=0.8)
        assert_minimum(value, layer.W, W, 1e-6)
        assert layer.W is sweep.whole.W[i]
        for name in ("z", "a"):
            pairs = zip(getattr(sweep.whole, name), getattr(whole, name), strict=True)
            assert all(torch.equal(p, q) for p, q in pairs), "nothing is written back before the end of `run`"


@pytest.mark.parametrize("net", NETS)
def test_stretches_do_not_matter(net: str, monkeypatch: pytest.MonkeyPatch):
    """Of seven numbers, one sample at a time, and all samples at once."""

    def solved() -> list[Tensor]:
        sweep = sweep_of(net, dual=True, previous=True)
        for layer in reversed(sweep.layers):
            if not layer.last:
                layer.solve_a(0.5, 0.3)
            layer.solve_z(0.5, 0.3)
            layer.solve_weights(0.5, 0.3)
        return [*sweep.state.z, *sweep.state.a, *sweep.state.W]

    whole = solved()
    close = 1e-6 if net == "images" else 1e-10  # conjugate gradients end when every sample of a stretch is good enough
    for size in (1, 7 * 64):
        monkeypatch.setattr("altmin.core.forward.STRETCH", size)
        for one, two in zip(whole, solved(), strict=True):
            torch.testing.assert_close(one, two, rtol=10 * close, atol=close)


def test_minimiser_of_these_tests_finds_what_is_known():
    A = torch.tensor([[3.0, 1.0], [1.0, 2.0]]).double()
    b = torch.tensor([1.0, -2.0]).double()
    found = minimised(lambda x: 0.5 * x @ A @ x - b @ x, torch.zeros(2).double())
    torch.testing.assert_close(found, torch.linalg.solve(A, b), rtol=1e-9, atol=1e-9)
