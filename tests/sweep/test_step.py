"""Every majorised step of a block against the loops that the papers print, on the objective written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import Sweep
from altmin.solvers.backtracking import Backtracking
from literal.shared import backtracked
from sweep.case import (
    BAND,
    NETS,
    Energy,
    Weighted,
    assert_minimum,
    banded,
    energy,
    gradient,
    others_untouched,
    sweep_of,
    weights_of,
)

nets = pytest.mark.parametrize("net", NETS)
DUALS = {"none": (False, Weighted()), "residual": (True, Weighted())}
duals = pytest.mark.parametrize("dual", DUALS)
SEARCHES = [Backtracking(), Backtracking(1.0, 2.0), Backtracking(1e-3, 1.5, scale=3.0)]
searches = pytest.mark.parametrize("search", SEARCHES, ids=repr)


def hidden(net: str) -> range:
    """The hidden layers of a network."""
    return range(len(sweep_of(net).layers) - 1)


def started(net: str, dual: str = "none", search: Backtracking = SEARCHES[0], **options: Any) -> Sweep[Any]:
    there, method = DUALS[dual]
    return sweep_of(net, replace(method, backtracking=search), dual=there, **options)


def total(t: Tensor, each: bool) -> Tensor:
    return t.flatten(1).sum(1) if each else t.sum()


def quotient(value: Energy, at: Tensor, each: bool) -> Tensor:
    """``<g, H g>/||g||^2`` by two gradients, for each sample or for all."""
    g = gradient(value, at)
    return total((gradient(value, at + g) - g) * g, each) / total(g * g, each)


def step_from(
    value: Energy, at: Tensor, search: Backtracking, damping: float = 1.0, each: bool = False, clip: Any = None
) -> Tensor:
    """The end of the papers' backtracking; without a start, that of a search that begins at the exact quotient."""
    scale = search.scale * damping
    g = gradient(value, at)
    if clip is None and search.start is None:
        alpha = scale * quotient(value, at, each)
        return at - g / (alpha.view(-1, *[1] * (at.ndim - 1)) if each else alpha)
    if search.start is not None:
        return by_rows(at, g, value, scale * search.start, search.factor, each, clip)
    first = scale * quotient(value, at, each) * (1 + 3e-11)  # at the quotient itself rounding says which trial passes
    rows = [None] if not each else range(len(at))
    found = at.clone()
    for row in rows:  # every sample begins at its own trial
        one = by_rows(at, g, value, float(first if row is None else first[row]), search.factor, each, clip)
        found = (
            one if row is None else torch.where(torch.arange(len(at)).view(-1, *[1] * (at.ndim - 1)) == row, one, found)
        )
    return found


def by_rows(at: Tensor, g: Tensor, value: Energy, start: float, factor: float, each: bool, clip: Any) -> Tensor:
    """`literal.backtracked`, for which samples are rows."""
    shape, flat = at.shape, lambda t: t.reshape(len(t), -1)

    def phi(t: Tensor) -> Tensor:
        return value(t.view(shape)).detach()

    cut = (lambda t: t) if clip is None else (lambda t: flat(clip(t.view(shape))))
    return backtracked(flat(at), flat(g), phi, start, factor, cut).view(shape)


# Weights and intercept


@pytest.mark.thinned(2)
@nets
@duals
@searches
def test_weights_take_the_printed_step(net: str, dual: str, search: Backtracking):
    for i in range(len(sweep_of(net).layers)):
        sweep = started(net, dual, search, previous=True)
        before, layer = sweep.state.clone(), sweep.layers[i]
        value, W = energy(sweep, "W", i), layer.W.clone()
        expected = step_from(value, W, search)
        layer.step_W()
        torch.testing.assert_close(layer.W, expected, rtol=1e-8, atol=1e-9)
        assert float(value(layer.W)) < float(value(W))
        assert sweep.state.previous is not None
        assert torch.equal(sweep.state.previous.W[i], W), "the present value becomes the previous one"
        assert others_untouched(sweep, before, ("W", i))


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize("search", SEARCHES[:2], ids=repr)
@pytest.mark.parametrize(("ahead", "damping"), [(0.3, 1.0), (0.3, 1.1), (60.0, 1.0)])
def test_weights_step_from_the_point_ahead_unless_the_objective_rose(
    net: str, search: Backtracking, ahead: float, damping: float
):
    """Far ahead it rises: the step is then taken from where the weights are. Damping is for steps from ahead."""
    for i in range(len(sweep_of(net).layers)):
        sweep = started(net, "none", search, previous=True)
        layer, previous = sweep.layers[i], sweep.state.previous
        assert previous is not None
        value, W = energy(sweep, "W", i), layer.W.clone()
        point = W + ahead * (W - previous.W[i])
        far = step_from(value, point, search, damping)
        rose = float(value(far)) > float(value(W))
        layer.step_W(ahead, damping)
        expected = step_from(value, W, search, damping) if rose else far
        torch.testing.assert_close(layer.W, expected, rtol=1e-8, atol=1e-9)
        assert rose == (ahead > 1), "both branches are seen"
        assert torch.equal(previous.W[i], W)


def test_whether_the_objective_rose_is_asked_with_the_regularizer():
    """Weights that grow: the residual falls, and what is paid for their size is more."""
    decided = set()
    for ahead in (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0):
        sweep = started("chain", regularizer="l2:4.0", previous=True)
        layer, previous = sweep.layers[1], sweep.state.previous
        assert previous is not None
        previous.W[1].copy_(0.7 * layer.W)
        layer.z.copy_(1.5 * layer.prediction())
        value, W = energy(sweep, "W", 1), layer.W.clone()

        def smooth(t: Tensor, value: Energy = value) -> Tensor:
            return value(t) - 2.0 * t.square().sum()

        def step(at: Tensor, smooth: Energy = smooth) -> Tensor:
            """`alpha` is doubled from the exact quotient until the step with the prox is majorised."""
            g, alpha = gradient(smooth, at), float(quotient(smooth, at, False)) * (1 + 1e-12)
            while True:
                new = (at - g / alpha) / (1 + 4.0 / alpha)
                move = new - at
                if float(smooth(new)) <= float(smooth(at) + (g * move).sum() + alpha / 2 * (move * move).sum()):
                    return new
                alpha *= 2

        far = step(W + ahead * (W - previous.W[1]))
        rose, without = (float(f(far)) > float(f(W)) for f in (value, smooth))
        decided.add((rose, without))
        layer.step_W(ahead)
        torch.testing.assert_close(layer.W, step(W) if rose else far, rtol=1e-8, atol=1e-9)
    assert {(False, False), (True, False)} <= decided


@pytest.mark.parametrize("net", ["chain", "images"])
@duals
@pytest.mark.parametrize("search", SEARCHES[:2], ids=repr)
def test_weights_under_l1_take_the_step_of_the_prox(net: str, dual: str, search: Backtracking):
    for i in range(len(sweep_of(net).layers)):
        sweep = started(net, dual, search, regularizer="l1:0.9")
        layer = sweep.layers[i]
        value, W = energy(sweep, "W", i), layer.W.clone()

        def smooth(t: Tensor, value: Energy = value) -> Tensor:
            return value(t) - 0.9 * t.abs().sum()

        g = gradient(smooth, W)
        alpha = float(quotient(smooth, W, False)) if search.start is None else search.start
        new = W
        for _ in range(100):
            new = W - g / alpha
            new = new.sign() * (new.abs() - 0.9 / alpha).clamp_min(0.0)
            move = new - W
            bound = smooth(W) + (g * move).sum() + alpha / 2 * (move * move).sum()
            if float(smooth(new)) <= float(bound) + 1e-12:
                break
            alpha *= search.factor
        layer.step_W()
        torch.testing.assert_close(layer.W, new, rtol=1e-8, atol=1e-9)
        assert float(value(layer.W)) < float(value(W))


@nets
@duals
def test_intercept_is_the_minimiser(net: str, dual: str):
    for i in range(len(sweep_of(net).layers)):
        sweep = started(net, dual, previous=True)
        before, layer = sweep.state.clone(), sweep.layers[i]
        value, b = energy(sweep, "b", i), layer.b.clone()
        layer.solve_b()
        if layer.map.bias:
            assert_minimum(value, layer.b, b, 1e-9, unique=True)
        else:
            assert torch.equal(layer.b, b)
        assert others_untouched(sweep, before, ("b", i))


# The band


def outside(sweep: Sweep[Any], i: int, z: Tensor, eps: float) -> Tensor:
    layer = sweep.layers[i]
    return (layer.a - layer.activation(z)).abs() - eps


@pytest.mark.thinned(2)
@pytest.mark.parametrize("net", ["chain", "inner", "outer z", "images"])
@pytest.mark.parametrize("s", [nn.Tanh, nn.ReLU, nn.Softplus, nn.LeakyReLU])
@pytest.mark.parametrize("eps", [0.05, 0.5])
def test_pre_activations_in_their_band(net: str, s: type[nn.Module], eps: float):
    """Feasible, lower, and each number where no small move that stays in the band lowers the objective."""
    for i in hidden(net):
        sweep = banded(net, eps, s)
        before, old = sweep.state.clone(), sweep.state.z[i].clone()
        value = energy(sweep, "z", i)
        sweep.layers[i].solve_z_in_band(eps)
        new = sweep.state.z[i]
        g = gradient(value, new)
        assert (outside(sweep, i, new, eps) <= 1e-12).all()
        assert float(value(new)) < float(value(old))
        step = 1e-6
        for sign in (-1.0, 1.0):
            free = outside(sweep, i, new + sign * step, eps) <= 0
            assert (sign * g[free] >= -1e-9 - 2 * step).all()
        held = outside(sweep, i, new, eps).abs() < 1e-9
        assert held.any()
        assert (~held).any()
        assert others_untouched(sweep, before, ("z", i))


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_a_pre_activation_that_rounding_has_put_outside_its_band_may_stay(side: float):
    """Moved to the end of the band, away from where it wants to be, it would raise the objective."""
    eps = 0.2
    sweep = banded("chain", eps)
    layer = sweep.layers[0]
    layer.a.clamp_(-0.5, 0.5)
    low, high = layer.activation.interval(layer.a, eps)
    layer.z.copy_((low if side < 0 else high) + side * 1e-13)
    layer.b.fill_(side * 100.0)
    before, old = float(energy(sweep, "z", 0)(layer.z)), layer.z.clone()
    layer.solve_z_in_band(eps)
    assert torch.equal(layer.z, old)
    assert float(energy(sweep, "z", 0)(layer.z)) <= before


@pytest.mark.parametrize("net", ["chain", "images"])
def test_activations_are_clipped_to_their_band(net: str):
    sweep = banded(net, 1.0)
    for layer in sweep.layers[:-1]:
        a, s = layer.a.clone(), layer.activation(layer.z)
        layer.clip_a(0.3)
        assert torch.equal(layer.a, torch.minimum(torch.maximum(a, s - 0.3), s + 0.3))
        assert (layer.a != a).any()
        assert (layer.a == a).any()


# Activations


def piecewise(sweep: Sweep[Any], i: int) -> bool:
    return sweep.layers[i + 1].map.piecewise


def assert_lower(value: Energy, new: Tensor, old: Tensor) -> None:
    """Below max pooling the block is not convex: every sample is lowered."""
    assert (value(new) <= value(old) * (1 + 1e-12) + 1e-12).all()
    assert float(value(new).sum()) < 0.99 * float(value(old).sum())


@pytest.mark.thinned(2)
@nets
@duals
@searches
@pytest.mark.parametrize("each", [True, False], ids=["each", "all"])
@pytest.mark.parametrize("previous", [True, False], ids=["with previous", "alone"])
def test_activations_take_the_printed_step(net: str, dual: str, search: Backtracking, each: bool, previous: bool):
    for i in hidden(net):
        sweep = started(net, dual, replace(search, per_sample=each), previous=previous, n=10)
        before, old = sweep.state.clone(), sweep.state.a[i].clone()
        value = energy(sweep, "a", i, each=each)
        sweep.layers[i].step_a()
        new = sweep.state.a[i]
        if piecewise(sweep, i):
            assert_lower(energy(sweep, "a", i, each=True), new, old) if each else None
        else:
            torch.testing.assert_close(new, step_from(value, old, search, each=each), rtol=1e-8, atol=1e-9)
        assert float(value(new).sum()) < float(value(old).sum())
        if previous:
            assert sweep.state.previous is not None
            assert torch.equal(sweep.state.previous.a[i], old)
        assert others_untouched(sweep, before, ("a", i))


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize("search", SEARCHES[:2], ids=repr)
@pytest.mark.parametrize("each", [True, False], ids=["each", "all"])
@pytest.mark.parametrize("eps", [0.05, 0.5])
def test_activations_step_within_their_band(net: str, search: Backtracking, each: bool, eps: float):
    for i in hidden(net):
        sweep = banded(net, eps, previous=True, n=10)
        sweep.method = replace(BAND, backtracking=replace(search, per_sample=each))
        old, s = sweep.state.a[i].clone(), sweep.layers[i].activation(sweep.state.z[i])
        value = energy(sweep, "a", i, each=each)
        sweep.layers[i].step_a(band=eps)
        new = sweep.state.a[i]
        assert ((new - s).abs() <= eps + 1e-12).all()
        assert float(value(new).sum()) < float(value(old).sum())
        if not piecewise(sweep, i):
            clip = lambda t, s=s: torch.clamp(t, s - eps, s + eps)  # noqa: E731
            expected = step_from(value, old, search, each=each, clip=clip)
            torch.testing.assert_close(new, expected, rtol=1e-8, atol=1e-9)
            assert ((new - s).abs() >= eps - 1e-12).any()


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize(("dual", "band"), [("none", None), ("residual", None), ("none", 0.5)])
@pytest.mark.parametrize("ahead", [0.4, 8.0])
def test_activations_step_from_the_point_ahead_but_for_samples_that_rose(
    net: str, dual: str, band: float | None, ahead: float
):
    seen = set()
    for i in hidden(net):
        sweep = started(net, dual, previous=True, n=15) if band is None else banded(net, band, previous=True, n=15)
        layer, previous = sweep.layers[i], sweep.state.previous
        assert previous is not None
        old, s = layer.a.clone(), layer.activation(layer.z)
        point = old + ahead * (old - previous.a[i])
        value = energy(sweep, "a", i, each=True)
        layer.step_a(ahead, band)
        new = sweep.state.a[i]
        assert torch.equal(previous.a[i], old)
        if piecewise(sweep, i):
            assert_lower(value, new, old)
            continue
        clip = None if band is None else (lambda t, s=s: torch.clamp(t, s - band, s + band))  # type: ignore[operator]
        search = weights_of(sweep).backtracking
        far, near = (step_from(value, at, search, each=True, clip=clip) for at in (point, old))
        rose = value(far) > value(old)
        clear = (value(far) - value(old)).abs() > 1e-9 * value(old).abs()
        seen |= set(rose[clear].tolist())
        expected = torch.where(rose[:, None] if far.ndim == 2 else rose[:, None, None, None], near, far)
        torch.testing.assert_close(new[clear], expected[clear], rtol=1e-8, atol=1e-9 * (1 + ahead))
    assert seen == {True, False} or piecewise(sweep_of(net), 0) or seen == {ahead > 1}


@pytest.mark.thinned(2)
@nets
@pytest.mark.parametrize("size", [1, 7 * 64])
@pytest.mark.parametrize("band", [None, 0.4])
@pytest.mark.parametrize("each", [True, False], ids=["each", "all"])
def test_stretches_do_not_matter(net: str, size: int, band: float | None, each: bool, monkeypatch: pytest.MonkeyPatch):
    """One step size for all samples needs all of them at once."""

    def stepped() -> list[Tensor]:
        sweep = banded(net, band or 0.4, previous=True, dual=band is None, n=12)
        sweep.method = replace(weights_of(sweep), backtracking=Backtracking(per_sample=each))
        for layer in sweep.layers[:-1]:
            layer.step_a(0.3, band)
            if band:
                layer.solve_z_in_band(band)
                layer.clip_a(band / 2)
        return [*sweep.state.z, *sweep.state.a]

    whole = stepped()
    monkeypatch.setattr("altmin.core.forward.STRETCH", size)
    for one, two in zip(whole, stepped(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11)


@nets
@pytest.mark.parametrize("rows", [None, slice(4, 17), torch.tensor([5, 1, 22, 9, 13])])
def test_dual_variable_ascends_along_the_residual(net: str, rows: Any):
    sweep = sweep_of(net, dual=True, rows=rows)
    assert sweep.state.u is not None
    before, u, z = sweep.state.clone(), sweep.state.u.clone(), sweep.state.z[-1].clone().requires_grad_()
    # The residual is the derivative of 1/2 ||E_L||^2 in Z_L.
    free = replace(weights_of(sweep), linear=1.0, last=1.0, activation=0.0)
    plain = sweep_of(net, free, rows=rows, loss="squared")
    value = energy(plain, "z", len(plain.layers) - 1)
    E = gradient(value, z) - (z.detach() - plain.batch.y)
    sweep.ascend_dual(0.37)
    torch.testing.assert_close(sweep.state.u, u + 0.37 * E.detach(), rtol=1e-10, atol=1e-11)
    assert others_untouched(sweep, before, ("u", 0))
