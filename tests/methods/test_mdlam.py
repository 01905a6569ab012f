"""mDLAM: the band, its rules, Lemma 1, Theorem 2 and the accelerated version."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import MDLAM
from methods.table import Loop, digits, network

BAND = MDLAM(rho=0.01, eps=0.05, eps_rule="fixed", accelerated=False)


@pytest.mark.slow
@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize("s", [nn.ReLU, nn.Tanh, nn.Softplus, nn.LeakyReLU])
def test_objective_never_rises_while_eps_is_fixed(accelerated: bool, s: type[nn.Module]):
    """Lemma 1, for every kind of activation."""
    loop = on_network(replace(BAND, accelerated=accelerated), s, 150)
    values = [loop.objective()]
    for _ in range(60):
        loop.step()
        values.append(loop.objective())
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("rule", ["mean", "sum", "halving"])
def test_objective_rises_only_where_eps_changes(rule: str):
    loop = Loop.on_digits(replace(BAND, eps_rule=rule, eps=1.0))
    before, eps, changed = loop.objective(), 1.0, 0
    for _ in range(40):
        state = loop.step()
        value = loop.objective()
        if state.memory.eps == eps:
            assert value <= before * (1 + 1e-12)
        changed += state.memory.eps != eps
        before, eps = value, state.memory.eps
    assert changed > 0


def on_network(method: MDLAM, s: type[nn.Module], n: int = 300) -> Loop:
    return Loop.of(method, network(20, 15, s=s), n=n)


def violation(loop: Loop) -> float:
    layers, state = loop.problem.layers, loop.state
    off = [(a - layer.activation(z)).abs().max() for layer, z, a in zip(layers, state.z, state.a, strict=False)]
    return float(torch.stack(off).max()) - state.memory.eps


@pytest.mark.parametrize("rule", ["fixed", "mean", "sum", "halving"])
@pytest.mark.parametrize("s", [nn.ReLU, nn.Sigmoid, nn.Hardtanh])
def test_activations_stay_in_their_band(rule: str, s: type[nn.Module]):
    loop = on_network(replace(BAND, eps_rule=rule), s)
    for _ in range(15):
        loop.step()
        assert violation(loop) <= 1e-12


@pytest.mark.slow
def test_squared_steps_fall_faster_than_one_over_k():
    """Theorem 2: ``k min_{i<=k} ||step_i||^2 -> 0``."""
    loop = Loop.on_digits(BAND)
    for _ in range(5):  # from a forward pass nothing but Z_L moves at first
        loop.step()
    smallest, product = math.inf, {}
    for k in range(1, 401):
        old = [t.clone() for t in (*loop.state.W, *loop.state.b)]
        new = loop.step()
        step = sum(float((p - q).square().sum()) for p, q in zip([*new.W, *new.b], old, strict=True))
        smallest = min(smallest, step)
        product[k] = k * smallest
    assert product[400] < 0.5 * product[100] < 0.25 * product[25]


@pytest.mark.parametrize(
    ("rule", "loss", "eps", "expected"),
    [
        ("mean", 50.0, 0.01, 1.0),  # R > 10 eps: max(2 eps, 1)
        ("mean", 50.0, 2.0, 4.0),
        ("mean", 50.0, 6.0, 6.0),  # neither
        ("mean", 0.5, 10.0, 0.01),  # eps > 10 R: min(eps/2, 0.01)
        ("mean", 1e-4, 0.008, 0.004),
        ("sum", 0.5, 10.0, 10.0),  # the same loss times 10 samples
        ("halving", 0.5, 100.0, 50.0),
        ("halving", 0.5, 0.0015, 0.001),
        ("fixed", 50.0, 0.01, 0.01),
    ],
)
def test_rules_of_eps(rule: str, loss: float, eps: float, expected: float):
    """Of ten samples whose outputs have that mean loss; the squared loss is half a square."""
    loop = Loop.on_digits(MDLAM(eps=eps, eps_rule=rule), "squared", hidden=(8,), n=10)
    loop.state.z[-1].copy_(loop.batch.y)
    loop.state.z[-1][:, 0] += (2 * loss) ** 0.5
    assert loop.method.next_eps(loop.sweep()) == pytest.approx(expected)  # type: ignore[attr-defined]


@pytest.mark.parametrize("start", [10.0, 0.5])
def test_where_eps_changes_activations_are_first_clipped_to_the_new_band(start: float):
    """Halved, or kept: then they stay where they are."""
    loop = Loop.on_digits(MDLAM(eps=start, eps_rule="halving" if start > 1 else "fixed"))
    for a in loop.state.a:
        a.add_(8.0)
    moved = 5.0 if start > 1 else 8.0
    loop.method.update_eps(loop.sweep())  # type: ignore[attr-defined]
    for layer, z, a in zip(loop.problem.layers, loop.state.z, loop.state.a, strict=False):
        torch.testing.assert_close(a, layer.activation(z) + moved)


@pytest.mark.parametrize("accelerated", [False, True])
def test_recorded_eps_is_that_of_the_iteration(accelerated: bool):
    """The iterate is that of a fixed band of the recorded width, from activations within it."""
    loop = Loop.on_digits(MDLAM(rho=0.3, eps=0.4, eps_rule="halving", accelerated=accelerated)).scattered()
    for k in range(4):
        before = loop.state.clone()
        loop.step()
        eps = loop.method.scalars(loop.state)["eps"]
        assert eps == pytest.approx(0.4 / 2 ** (k + 1))
        fixed = Loop(
            MDLAM(rho=0.3, eps=eps, eps_rule="fixed", accelerated=accelerated), loop.problem, loop.batch, before
        )
        before.memory.eps = eps
        for view in fixed.sweep().layers[:-1]:
            s = view.activation(view.z)
            view.a.copy_(torch.clamp(view.a, s - eps, s + eps))
        fixed.step()
        for one, two in zip([*loop.state.W, *loop.state.a], [*before.W, *before.a], strict=True):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-10)
        assert violation(loop) <= 1e-12


def block_objective(loop: Loop, i: int) -> Tensor:
    """``rho/2 ||E_{i+1}||^2`` of each sample: what A_i moves."""
    state = loop.state
    E = state.z[i + 1] - loop.problem.layers[i + 1].map(state.W[i + 1], state.b[i + 1], state.a[i])
    return 0.5 * loop.method.rho * E.square().sum(1)  # type: ignore[attr-defined]


@pytest.mark.parametrize("accelerated", [False, True])
def test_every_samples_activation_update_descends(accelerated: bool):
    loop = Loop.on_digits(replace(BAND, accelerated=accelerated))
    for _ in range(5):
        loop.step()
        twin = loop.twin()
        before = block_objective(twin, 1)
        twin.sweep().layers[1].step_a(0.6 if accelerated else 0.0, band=0.05)
        after = block_objective(twin, 1)
        assert (after <= before * (1 + 1e-12)).all()
        assert after.sum() < before.sum()


def test_momentum_follows_nesterovs_sequence():
    method, t, found = MDLAM(accelerated=True), 1.0, []
    for _ in range(4):
        momentum, t = method.momentum(t)
        found.append(momentum)
    t1 = (1 + math.sqrt(5)) / 2
    t2 = (1 + math.sqrt(1 + 4 * t1**2)) / 2
    assert found[:3] == pytest.approx([0.0, (t1 - 1) / t2, (t2 - 1) / ((1 + math.sqrt(1 + 4 * t2**2)) / 2)])
    assert MDLAM(accelerated=False).momentum(5.0)[0] == 0.0


@pytest.mark.slow
def test_acceleration_extrapolates_from_the_previous_iterate_and_pays():
    """The published code overwrites the old iterate first, so that its extrapolation is zero: here it is not."""
    objective = {}
    for accelerated in (False, True):
        loop = Loop.on_digits(replace(BAND, eps=0.01, accelerated=accelerated), n=1000)
        for _ in range(99):
            loop.step()
        old = loop.state.weights()
        loop.step()
        if accelerated:
            assert loop.state.previous is not None
            assert all(torch.equal(p, q) for p, q in zip(loop.state.previous.W, old.W, strict=True))
        else:
            assert loop.state.previous is None
        objective[accelerated] = loop.objective()
    assert objective[True] < 0.9 * objective[False]


def test_each_step_starts_where_it_is_told():
    """The authors' start of 1 moves A less than the exact quotient does, since tau may not fall below it."""
    moved = {}
    for start in (None, 1.0):
        loop = Loop.on_digits(MDLAM(rho=1e-4, eps=10.0, eps_rule="fixed", accelerated=False, start=start))
        before = loop.step().a[-1].clone()
        moved[start] = float((loop.step().a[-1] - before).norm())
    assert moved[1.0] < 0.1 * moved[None]


def test_from_a_forward_start_only_the_last_weights_move():
    """Z_l may always stay at its linear prediction, which is feasible: hidden weights then have nothing to fit.

    A fact about the method as published, and the reason why its accuracy is that of random features; where Z_1 starts
    off its prediction, the hidden weights do move.
    """
    loop = Loop.on_digits(MDLAM())
    start, off = loop.state.weights(), loop.twin()
    for _ in range(20):
        loop.step()
    state = loop.state
    for i in (0, 1):
        torch.testing.assert_close(state.W[i], start.W[i], rtol=0, atol=1e-12)
    assert not torch.allclose(state.W[2], start.W[2])
    off.state.z[0].add_(0.3)
    assert not torch.allclose(off.step().W[0], start.W[0])


def test_accelerated_activations_step_from_the_point_ahead():
    """Without a band in reach, ``A+ = A^ - g/tau`` at ``A^ = A + m (A - A_prev)``, but for samples that rose."""
    loop = Loop.on_digits(replace(BAND, eps=1e3, accelerated=True))
    for _ in range(3):
        loop.step()
    state = loop.state
    assert state.previous is not None
    m, rho, W = 0.6, BAND.rho, state.W[2]
    a, before = state.a[1].clone(), state.previous.a[1].clone()

    def residual(point: Tensor) -> Tensor:
        return state.z[2] - state.b[2] - point @ W.T

    ahead = a + m * (a - before)
    g = -rho * residual(ahead) @ W
    tau = rho * (g @ W.T).square().sum(1, keepdim=True) / g.square().sum(1, keepdim=True)
    expected = ahead - g / tau
    accepted = residual(expected).square().sum(1) <= residual(a).square().sum(1)
    loop.sweep().layers[1].step_a(m, band=1e3)
    found = state.a[1]
    assert accepted.double().mean() > 0.5
    torch.testing.assert_close(found[accepted], expected[accepted])
    assert not torch.allclose(ahead, a)


# Bands of several widths, and Algorithm 3 as printed


def gaps(loop: Loop) -> list[float]:
    """``max |A_l - s_l(Z_l)|`` of each hidden layer."""
    layers, state = loop.problem.layers, loop.state
    return [float((a - f.activation(z)).abs().max()) for f, z, a in zip(layers, state.z, state.a, strict=False)]


def test_each_layer_keeps_within_its_own_band_and_uses_it():
    loop = Loop.on_digits(replace(BAND, eps=(0.2, 0.03))).scattered()
    wide = gaps(loop)
    for _ in range(15):
        loop.step()
        wide = [max(pair) for pair in zip(wide, gaps(loop), strict=True)]
        assert all(gap <= eps + 1e-12 for gap, eps in zip(gaps(loop), (0.2, 0.03), strict=True))
    assert wide == pytest.approx([0.2, 0.03])


def test_bands_of_one_width_are_the_band():
    one, two = (Loop.on_digits(replace(BAND, eps=eps, eps_rule="mean")).scattered() for eps in (0.3, (0.3, 0.3)))
    for _ in range(6):
        one.step()
        two.step()
    for a, b in zip([*one.state.W, *one.state.a], [*two.state.W, *two.state.a], strict=True):
        assert torch.equal(a, b)


def test_the_widest_band_follows_the_loss_and_the_others_keep_their_share():
    loop = Loop.on_digits(MDLAM(eps=(0.1, 0.4), eps_rule="halving"))
    loop.step()
    assert loop.method.scalars(loop.state) == {"eps": 0.2}
    assert loop.method.bands(loop.sweep()) == pytest.approx([0.05, 0.2])  # type: ignore[attr-defined]


def test_another_number_of_bands_than_layers_is_refused():
    with pytest.raises(ValueError, match=r"`eps` must have a number for each of the 2 hidden layers, got \(1.0,\)"):
        altmin.fit(network(4, 4), MDLAM(eps=(1.0,)), digits(20), epochs=1)
    with pytest.raises(ValueError, match=r"`eps` must be > 0, got -1\.0"):
        MDLAM(eps=(1.0, -1.0))
    with pytest.raises(TypeError, match="`eps` must be a number"):
        MDLAM(eps=())


@pytest.mark.parametrize("start", [None, 1e-3])
def test_without_the_clip_steps_are_those_of_algorithm_3(start: float | None):
    """A sample at a time: ``t`` from its start, doubled until the step ends within the band and ``phi <= Q``."""
    method = replace(BAND, clip=False, start=start, eps=0.4)
    loop = Loop.on_digits(method, hidden=(6,), n=20).scattered()
    before, eps = loop.state.clone(), 0.4
    view = Loop(method, loop.problem, loop.batch, before).sweep().layers
    view[0].step_W()
    view[0].solve_b()
    view[0].solve_z_in_band(eps)
    A, s, W = before.a[0].clone(), torch.relu(before.z[0]), before.W[1]
    E = before.z[1] - A @ W.T - before.b[1]
    grad = -0.01 * E @ W
    loop.step()
    moved = 0
    for a, g, middle, new in zip(A, grad, s, loop.state.a[0], strict=True):
        curvature = float(0.01 * (W @ g).square().sum() / g.square().sum())
        room = torch.where(g > 0, a - (middle - eps), (middle + eps) - a).clamp_min(0)
        need = float((g.abs() / room)[g != 0].max())
        t = max(curvature, need) if start is None else start
        while start is not None and (t < need or t < curvature):
            t *= 2.0
        torch.testing.assert_close(new, a - g / t if math.isfinite(t) else a, rtol=1e-9, atol=1e-12)
        moved += math.isfinite(t)
    assert moved > 0


def test_without_the_clip_activations_stay_in_their_band_and_the_objective_never_rises():
    loop = Loop.on_digits(replace(BAND, clip=False, eps=0.3)).scattered()
    values = [loop.objective()]
    for _ in range(30):
        loop.step()
        values.append(loop.objective())
        assert violation(loop) <= 1e-12
    assert all(after <= before * (1 + 1e-12) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.9 * values[0]


def test_without_the_clip_samples_have_their_own_steps():
    with pytest.raises(ValueError, match="`clip` must be True where `per_sample` is False"):
        MDLAM(clip=False, per_sample=False)
