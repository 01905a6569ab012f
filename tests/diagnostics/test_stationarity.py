"""Subgradients in closed form against autograd, against one-sided differences at kinks, and against a projection."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from altmin import BCD, DLADMM, DLAM, IPDLAM, L1, L2, MDLAM, Hinge, Method, OnlineAM, Residual, TaylorADMM, Trainer
from altmin.activations.hardtanh import Hardtanh
from altmin.activations.leaky_relu import LeakyReLU
from altmin.activations.piecewise import PiecewiseLinear
from altmin.activations.relu import ReLU
from altmin.activations.sign import Sign
from altmin.diagnostics.stationarity import relative_stationarity, stationarity, subgradients
from altmin.sweep import Sweep
from methods.table import Loop, network, seeded

METHODS: dict[str, tuple[Method, str]] = {
    "ipdlam": (IPDLAM(rho=0.3), "squared"),
    "dladmm": (DLADMM(rho=2.5, nu=0.7, schedule="constant"), "cross_entropy"),
    "bcd": (BCD(gamma=0.6), "cross_entropy"),
    "taylor": (TaylorADMM(beta=0.4, gamma=3.0, warmup=1), "squared"),
    "mdlam": (MDLAM(rho=0.2, eps=50.0, eps_rule="fixed"), "cross_entropy"),
}


NETS: dict[str, Callable[[], list[nn.Module]]] = {
    "plain": lambda: [nn.Linear(64, 9), nn.Tanh(), nn.Linear(9, 8), nn.Softplus(), nn.Linear(8, 10)],
    "skip from z": lambda: [nn.Linear(64, 8), Residual(nn.Tanh(), nn.Linear(8, 8)), nn.Softplus(), nn.Linear(8, 10)],
    "skip from a": lambda: [nn.Linear(64, 10), nn.Tanh(), Residual(nn.Linear(10, 8), nn.Softplus(), nn.Linear(8, 10))],
}


def written_out(loop: Loop) -> Tensor:
    """The objective, term by term as the papers print it."""
    state, method = loop.state, loop.method
    c: list[float]
    match method:
        case DLADMM():
            c, d = [0.7, 0.7, 2.5], 0.7
        case TaylorADMM():
            c, d = [0.8] * 3, 6.0
        case BCD():
            c, d = [0.6] * 3, 0.6
        case MDLAM():
            c, d = [0.2] * 3, 0.0
        case _:
            c, d = [0.3] * 3, 0.3
    a = [loop.batch.x, *state.a]
    value = loop.problem.loss(state.a[2] if len(state.a) == 3 else state.z[2], loop.batch.y)
    for i, layer in enumerate(loop.problem.layers):
        E = state.z[i] - a[i] @ state.W[i].T - state.b[i]
        if layer.skip is not None:
            E = E - (state.z if layer.skip.kind == "z" else state.a)[layer.skip.layer]
        value = value + 0.5 * c[i] * E.square().sum()
        if state.u is not None and i == 2:
            value = value + (state.u * (state.z[2] if isinstance(method, TaylorADMM) else E)).sum()
        if i < len(state.a):
            s = (torch.tanh, nn.functional.softplus, lambda z: z)[i]
            value = value + 0.5 * d * (state.a[i] - s(state.z[i])).square().sum()
    return value + 0.05 * torch.stack([W.square().sum() for W in state.W]).sum()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", METHODS)
def test_subgradients_are_autograds_where_all_is_smooth(name: str, net: str):
    method, loss = METHODS[name]
    if net != "plain" and "residual connections" in method.unsupported:
        pytest.skip("refused by the method")
    model = seeded(NETS[net])
    loop = Loop.of(method, model, loss, n=30, regularizer=L2(0.1))
    for _ in range(3):
        loop.step()
    state = loop.state
    variables = {n: t for n, t in state.named() if n != "U" or not isinstance(method, TaylorADMM)}
    for t in variables.values():
        t.requires_grad_()
    wanted = dict(zip(variables, torch.autograd.grad(written_out(loop), list(variables.values())), strict=True))
    for t in variables.values():
        t.requires_grad_(False)
    found = {n: g for n, _, g in subgradients(Sweep(method, loop.problem, state, loop.batch))}
    assert found.keys() - wanted.keys() <= {"U"}
    for n, g in wanted.items():
        torch.testing.assert_close(found[n], g, rtol=1e-9, atol=1e-11, msg=lambda m, n=n: f"{n}: {m}")


POINTS = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)


@pytest.mark.parametrize("s", [ReLU(), LeakyReLU(0.1), Hardtanh()], ids=lambda s: type(s).__name__)
def test_at_a_kink_it_is_the_nearest_of_the_slopes_of_both_sides(s: PiecewiseLinear):
    """By one-sided differences: all between them where the function is convex there, else one of the two."""
    d, h, checked = 0.7, 1e-7, 0
    kinks = [p.high for p in s.pieces[:-1]]
    for z0, target, pull in itertools.product(kinks, POINTS, POINTS):
        z = torch.tensor([z0 - h, z0, z0 + h], dtype=torch.float64)
        value = pull * z + 0.5 * d * (s(z) - target).square()
        left, right = float(value[1] - value[0]) / h, float(value[2] - value[1]) / h
        wanted = max(left, min(right, 0.0)) if left <= right else min(left, right, key=abs)
        found = s.least_subgradient(z[1:2], target[None], pull[None], d)
        assert abs(float(found) - wanted) < 1e-6, (z0, target, pull)
        checked += 1
    assert checked >= 169


def test_between_kinks_it_is_the_derivative(generator: torch.Generator):
    z, target, g = torch.randn(3, 50, generator=generator, dtype=torch.float64)
    for s in (ReLU(), LeakyReLU(0.1), Hardtanh()):
        at = z.clone().requires_grad_()
        (wanted,) = torch.autograd.grad((g * at + 0.35 * (s(at) - target).square()).sum(), at)
        torch.testing.assert_close(s.least_subgradient(z, target, g, 0.7), wanted)


def test_a_jump_holds_only_what_would_rise_by_it():
    """At 0 and right behind it: no slope towards the side where the value is farther from the target."""
    zero, behind = (
        torch.zeros(1, dtype=torch.float64),
        torch.tensor([torch.finfo(torch.float64).tiny], dtype=torch.float64),
    )
    one, s = torch.ones(1, dtype=torch.float64), Sign()

    def at(z: Tensor, target: float, g: float) -> float:
        return float(s.least_subgradient(z, target * one, g * one, 1.0))

    assert at(zero, -0.5, -2.0) == 0.0  # would fall to the right, where the jump lies
    assert at(zero, -0.5, 2.0) == 2.0  # and may fall to the left
    assert at(zero, 0.5, -2.0) == -2.0  # the jump helps: not stationary
    assert at(behind, 0.5, 2.0) == 0.0
    assert at(behind, 0.5, -2.0) == -2.0
    assert at(behind, -0.5, 2.0) == 2.0


def test_kinks_of_loss_and_regularizer_take_the_nearest_slope():
    W, g = torch.tensor([0.0, 0.0, 2.0, -1.0]), torch.tensor([0.3, -0.8, 0.1, 0.1])
    torch.testing.assert_close(L1(0.5).least_subgradient(W, g), torch.tensor([0.0, -0.3, 0.6, -0.4]))
    z, y = torch.tensor([[1.0, 1.0, -1.0, 0.5]]), torch.tensor([[1.0, 1.0, -1.0, 1.0]])
    g = torch.tensor([[0.4, -0.2, -0.4, 0.2]])
    torch.testing.assert_close(Hinge().least_subgradient(z, y, g), torch.tensor([[0.0, -0.2, 0.0, -0.8]]))


def test_in_a_band_it_is_the_projected_gradient():
    method = MDLAM(rho=0.5, eps=0.05, eps_rule="fixed", accelerated=False)
    loop = Loop.on_digits(method, n=40)
    for _ in range(8):
        loop.step()
    sweep = Sweep(loop.method, loop.problem, loop.state, loop.batch)
    found = {n: (v, g) for n, v, g in subgradients(sweep)}
    clipped = 0
    for i in range(2):
        a, z, W = loop.state.a[i], loop.state.z[i], loop.state.W[i + 1]
        s = torch.relu(z)
        g = -0.5 * (loop.state.z[i + 1] - a @ W.T - loop.state.b[i + 1]) @ W
        wanted = 0.5 * (a - torch.minimum(torch.maximum(a - g / 0.5, s - 0.05), s + 0.05))
        torch.testing.assert_close(found[f"A_{i + 1}"][1], wanted, rtol=0, atol=1e-13)
        clipped += int(((wanted - g).abs() > 1e-12).sum())
    assert clipped > 10


def test_a_minimiser_is_stationary_and_others_are_not():
    loop = Loop.on_digits(DLAM(), "squared", n=60)
    values = []
    for _ in range(400):
        loop.step()
        sweep = Sweep(loop.method, loop.problem, loop.state, loop.batch)
        values.append(relative_stationarity(sweep, stationarity(sweep)))
    assert values[-1] < 0.05 * values[0]


def test_relative_stationarity_knows_no_units_of_the_loss():
    """Twice the samples, each one twice there: the same share of twice the loss, but for the variables' own size."""
    loop = Loop.on_digits(IPDLAM(), "squared", n=50)
    loop.step()
    sweep = Sweep(loop.method, loop.problem, loop.state, loop.batch)
    found = stationarity(sweep)
    squares = 0.0
    for name, v in loop.state.named():
        squares += (found[name] * (1 + float(v.norm()))) ** 2
    nothing = 0.5 * float(loop.batch.y.square().sum())
    assert math.isclose(relative_stationarity(sweep, found), math.sqrt(squares) / nothing, rel_tol=1e-12)


def test_a_method_without_a_penalty_objective_is_refused():
    trainer = Trainer(network(5), OnlineAM())
    with pytest.raises(TypeError, match="`stationarity` needs a method that minimises a penalty objective"):
        trainer.stationarity()
