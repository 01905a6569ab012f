"""Activations: values, slopes, the global minimum of P1 against a refined grid, and the constraint interval."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from altmin.activations import (
    ELU,
    GELU,
    Activation,
    Gated,
    Hardtanh,
    Identity,
    LeakyReLU,
    Mish,
    Piece,
    PiecewiseLinear,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Smooth,
    Softplus,
    Step,
    Tanh,
    TanhGELU,
)
from altmin.activations.elu import SELU

TINY = torch.finfo(torch.float64).tiny


class Case(NamedTuple):
    """An activation, the same function by other means, where it breaks, and its range."""

    s: Activation
    same: Callable[[Tensor], Tensor]
    kinks: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf


def leaky(t: float) -> Case:
    return Case(LeakyReLU(t), lambda z: functional.leaky_relu(z, t), (0.0,), 0.0 if t == 0 else -math.inf)


def hardtanh(low: float, high: float) -> Case:
    return Case(Hardtanh(low, high), lambda z: functional.hardtanh(z, low, high), (low, high), low, high)


def jump(s: Activation, low: float) -> Case:
    return Case(s, lambda z: torch.where(z > 0, 1.0, low).to(z), (0.0, TINY), low, 1.0)


def tanh_gelu(z: Tensor) -> Tensor:
    return z * torch.sigmoid(2 * math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))


def bent() -> Case:
    """Three sloped pieces, none of the others' slopes, two of them off the origin."""
    lines = [(0.5, -1.5), (2.0, 0.0), (0.25, 1.75)]
    ends = (-math.inf, -1.0, 1.0, math.inf)
    s = PiecewiseLinear(tuple(Piece(low, high, *line) for low, high, line in zip(ends, ends[1:], lines, strict=False)))
    return Case(s, lambda z: 2 * z.clamp(-1, 1) + 0.5 * (z + 1).clamp_max(0) + 0.25 * (z - 1).clamp_min(0), (-1.0, 1.0))


CASES = {
    "bent": bent(),
    "identity": Case(Identity(), lambda z: z),
    "relu": Case(ReLU(), functional.relu, (0.0,), 0.0),
    **{f"leaky {t}": leaky(t) for t in (0.0, 0.01, 0.5, 0.99)},
    **{f"hardtanh {ends}": hardtanh(*ends) for ends in ((-1.0, 1.0), (0.0, 6.0), (-0.3, 0.2), (1.0, 4.0))},
    "sign": jump(Sign(), -1.0),
    "step": jump(Step(), 0.0),
    "sigmoid": Case(Sigmoid(), torch.sigmoid, low=0.0, high=1.0),
    "tanh": Case(Tanh(), torch.tanh, low=-1.0, high=1.0),
    "elu": Case(ELU(), lambda z: torch.where(z > 0, z, torch.expm1(z.clamp_max(0))), (0.0,), -1.0),
    "elu 0.3": Case(ELU(0.3), lambda z: functional.elu(z, 0.3), (0.0,), -0.3),
    "selu": Case(ELU(*SELU), functional.selu, (0.0,), -SELU[0] * SELU[1]),
    "gelu": Case(GELU(), lambda z: z * torch.special.ndtr(z), low=-0.16997120747990366),
    "gelu by tanh": Case(TanhGELU(), tanh_gelu, low=-0.17004075057125405),
    "silu": Case(SiLU(), lambda z: z * torch.sigmoid(z), low=-0.2784645427610738),
    "mish": Case(Mish(), lambda z: z * torch.tanh(torch.logaddexp(z, torch.zeros_like(z))), low=-0.3088434130172504),
    "softplus": Case(Softplus(), lambda z: torch.logaddexp(z, torch.zeros_like(z)), low=0.0),
}
CONTINUOUS = {name: case for name, case in CASES.items() if name not in ("sign", "step")}
SMOOTH = {name: case for name, case in CASES.items() if isinstance(case.s, Smooth | Gated)}
MONOTONE = {name: case for name, case in CASES.items() if case.s.monotone}
WEIGHTS = (1e-6, 1e-3, 0.1, 0.5, 1.0, 2.0, 1e3, 1e6)


def over(cases: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases.values(), ids=list(cases))


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def corners(case: Case) -> tuple[Tensor, Tensor]:
    """Pairs ``a, v``: zeros, kinks, the ends of the range, ties, far values, and random ones."""
    ends = [e for e in (case.low, case.high, 0.5 * (case.low + case.high)) if math.isfinite(e)]
    a = double(0.0, 1.0, -1.0, 0.5, 0.3, -2.0, 7.0, 100.0, *ends)
    v = double(0.0, 1.0, -1.0, 1e-3, -1e-3, 0.7, -4.0, 12.0, 50.0, -50.0, 1e3, -1e3, *case.kinks)
    a, v = (t.flatten() for t in torch.meshgrid(a, v, indexing="ij"))
    g = torch.Generator().manual_seed(0)
    random = torch.randn(2, 150, generator=g, dtype=torch.float64)
    return torch.cat([a, 2 * random[0]]), torch.cat([v, 3 * random[1]])


def away_from_kinks(case: Case, z: Tensor, distance: float) -> Tensor:
    return torch.stack([(z - k).abs() > distance for k in (*case.kinks, 1e9)]).all(0)


def objective(case: Case, a: Tensor, v: Tensor, r: float, z: Tensor) -> Tensor:
    return (case.same(z) - a).square() + r * (z - v).square()


def by_grid(case: Case, a: Tensor, v: Tensor, r: float) -> tuple[Tensor, Tensor, Tensor]:
    """The minimiser by a grid, refined in its four deepest valleys; its value; and the next valley's value.

    Every ``z`` better than `v` has ``|z - v| <= |s(v) - a|/sqrt(r)``.
    """
    reach = (case.same(v) - a).abs() / math.sqrt(r) + 1e-12
    t = torch.cat([torch.linspace(0, 1, 200, dtype=torch.float64), torch.logspace(-9, 0, 100, dtype=torch.float64)])
    wide = torch.cat([v + t[:, None] * reach, v - t[:, None] * reach])
    near = torch.linspace(-45, 45, 1801, dtype=torch.float64)
    fixed = torch.cat([near, double(*case.kinks)])[:, None].expand(-1, len(v))
    points = torch.cat([wide, fixed]).sort(0).values
    values = objective(case, a, v, r, points)
    edge = torch.full_like(values[:1], math.inf)
    valley = (values <= torch.cat([edge, values[:-1]])) & (values <= torch.cat([values[1:], edge]))
    deepest = torch.where(valley, values, math.inf).topk(4, 0, largest=False).indices
    left = points.gather(0, (deepest - 1).clamp_min(0))
    right = points.gather(0, (deepest + 1).clamp_max(len(points) - 1))
    best, lowest = points.gather(0, deepest), values.gather(0, deepest)
    part = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None, None]
    for _ in range(13):
        fine = torch.cat([left + part * (right - left), best[None]])
        values, at = objective(case, a, v, r, fine).min(0)
        best, lowest = fine.gather(0, at[None])[0], values
        width = (right - left) / 32
        left, right = best - width, best + width
    lowest, order = lowest.sort(0)
    best = best.gather(0, order)
    far = (best - best[0]).abs() > 1e-4 * (1 + best[0].abs())
    return best[0], lowest[0], torch.where(far, lowest, math.inf).amin(0)


@over(CASES)
def test_value_is_the_function(case):
    z = torch.cat([torch.linspace(-60, 60, 2001, dtype=torch.float64), double(0.0, -0.0, 1e3, -1e3, *case.kinks)])
    atol = 2e-15 if isinstance(case.s, Gated) else 1e-16  # PyTorch's GELU rounds 1 + erf(z)
    torch.testing.assert_close(case.s(z), case.same(z), rtol=1e-14, atol=atol)


@pytest.mark.slow
@over(CASES)
@pytest.mark.parametrize("r", WEIGHTS)
def test_prox_attains_the_global_minimum(case, r):
    a, v = corners(case)
    z = case.s.prox(v, r, a)
    best, lowest, second = by_grid(case, a, v, r)
    excess = objective(case, a, v, r, z) - lowest
    assert (excess <= 1e-10 * lowest + 1e-28 * (1 + a**2 + (1 + r) * v**2)).all()
    if r >= 0.1:  # the grid knows z to the root of the objective's rounding
        unique = (second > lowest * (1 + 1e-6) + 1e-12) & (v.abs() <= 12) & (a.abs() <= 12)
        assert unique.float().mean() > 0.3
        torch.testing.assert_close(z[unique], best[unique], rtol=1e-6, atol=1e-6)


@over(SMOOTH)
@pytest.mark.parametrize("r", WEIGHTS)
def test_prox_of_a_smooth_function_is_stationary(case, r):
    a, v = corners(case)
    z = case.s.prox(v, r, a).requires_grad_()
    (g,) = torch.autograd.grad(objective(case, a, v, r, z).sum(), z)
    away = (z.detach()[:, None] - double(*case.s.cuts, 1e9)).abs().amin(1) > 1e-12  # where two searches end, both tie
    assert (g.abs() <= 1e-12 * (1 + r) * (1 + a.abs() + v.abs()))[away].all()


@pytest.mark.thinned(1)
@over(CASES)
@pytest.mark.parametrize("r", [1e-3, 1.0, 50.0])
def test_prox_in_float32(case, r):
    a, v = (t.float() for t in corners(case))
    z = case.s.prox(v, r, a)
    assert z.dtype == torch.float32
    a, v, z = a.double(), v.double(), z.double()
    lowest = by_grid(case, a, v, r)[1]
    assert (objective(case, a, v, r, z) - lowest <= 1e-5 * lowest + 1e-12 * (1 + a**2 + (1 + r) * v**2)).all()


@pytest.mark.parametrize("r", [0.01, 0.1, 0.5])
@over({name: CASES[name] for name in ("relu", "hardtanh (-1.0, 1.0)", "tanh", "sigmoid", "sign")})
def test_two_valleys_of_equal_depth_are_told_apart(case, r):
    """As `v` passes a threshold, the global minimum jumps to the other valley: bisect for it, look on both sides."""
    a = double(case.same(double(3.0)).item() if case.high < math.inf else 1.0)
    left, right = double(-40.0), double(0.0)
    for _ in range(40):
        middle = 0.5 * (left + right)
        stays = (by_grid(case, a, middle, r)[0] - middle).abs() < 0.2
        left, right = (middle, right) if stays else (left, middle)
    for v in (left - 1e-4, right + 1e-4):
        best = by_grid(case, a, v, r)[0]
        torch.testing.assert_close(case.s.prox(v, r, a), best, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@over({name: CASES[name] for name in ("sign", "step")})
def test_just_above_the_jump_the_step_is_up(case, dtype):
    v = torch.tensor([-0.5, -1e-3, 0.0], dtype=dtype)
    z = case.s.prox(v, 1e-3, torch.ones_like(v))
    assert (case.s(z) == 1.0).all()
    assert (z > 0).all()
    assert (z < 1e-30).all()
    assert (case.s(torch.zeros_like(v)) == case.low).all()


@settings(deadline=None, database=None, max_examples=300)
@given(
    a=st.floats(-1e3, 1e3, allow_subnormal=False),
    v=st.floats(-1e3, 1e3, allow_subnormal=False),
    r=st.floats(1e-6, 1e6),
)
def test_fast_relu_is_the_general_formula(a, v, r):
    a, v = double(a), double(v)
    fast, general = (prox(ReLU(), v, r, a) for prox in (ReLU.prox, PiecewiseLinear.prox))
    energy = [objective(CASES["relu"], a, v, r, z) for z in (fast, general)]
    torch.testing.assert_close(*energy, rtol=1e-9, atol=1e-9 * (1e-3 + (a**2 + r * v**2).item()))


def test_relu_prox_has_the_factor_two_that_the_dladmm_paper_drops():
    v, a = double(0.4), double(1.0)
    torch.testing.assert_close(ReLU().prox(v, 1.0, a), (v + a) / 2)


@over(SMOOTH)
def test_prox_does_not_depend_on_the_other_entries(case):
    a, v = (t.float() for t in corners(case))
    a, v = a[v.abs() < 60], v[v.abs() < 60]
    alone = case.s.prox(v, 1.0, a)
    with_far = case.s.prox(torch.cat([v, v.new_tensor([1e7])]), 1.0, torch.cat([a, a[:1]]))[:-1]
    torch.testing.assert_close(with_far, alone, rtol=1e-5, atol=1e-5)


@over(CASES)
def test_prox_keeps_shape_and_inputs(case):
    a, v = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    a_before, v_before = a.clone(), v.clone()
    z = case.s.prox(v, 0.3, a)
    assert z.shape == v.shape
    assert torch.equal(a, a_before)
    assert torch.equal(v, v_before)
    flat = case.s.prox(v.flatten(), 0.3, a.flatten())
    torch.testing.assert_close(z.flatten(), flat, rtol=1e-12, atol=1e-12)


def test_many_entries_are_solved_as_few_are():
    """More entries than are put on the grid at a time."""
    a, v = corners(CASES["tanh"])
    few, times = Tanh().prox(v, 1e-2, a), 40_000 // len(a) + 1
    many = Tanh().prox(v.repeat(times), 1e-2, a.repeat(times))
    torch.testing.assert_close(many, few.repeat(times), rtol=1e-12, atol=1e-12)


@over(CONTINUOUS)
def test_slope_is_the_derivative(case):
    z = torch.linspace(-8, 8, 1603, dtype=torch.float64)
    z, h = z[away_from_kinks(case, z, 1e-4)], 1e-5
    torch.testing.assert_close(
        case.s.derivative(z), (case.same(z + h) - case.same(z - h)) / (2 * h), rtol=1e-8, atol=1e-8
    )


@over({name: case for name, case in CONTINUOUS.items() if case.kinks})
def test_slope_at_a_kink_is_one_of_the_two(case):
    for kink in case.kinks:
        sides = [case.s.derivative(double(kink + h)).item() for h in (-1e-9, 1e-9)]
        assert min(abs(case.s.derivative(double(kink)).item() - side) for side in sides) < 1e-8


@over(SMOOTH)
def test_second_derivative_and_its_bound(case):
    z, h = torch.linspace(-8, 8, 4001, dtype=torch.float64), 1e-5
    z = z[away_from_kinks(case, z, 1e-4)]
    value, slope, curve = case.s.derivatives(z)
    torch.testing.assert_close(value, case.same(z), rtol=1e-13, atol=2e-15)
    torch.testing.assert_close(slope, case.s.derivative(z))
    torch.testing.assert_close(
        curve, (case.s.derivative(z + h) - case.s.derivative(z - h)) / (2 * h), rtol=1e-8, atol=1e-9
    )
    if math.isfinite(case.s.curvature):
        assert curve.abs().max() <= case.s.curvature <= 1.01 * curve.abs().max()


@over({name: case for name, case in SMOOTH.items() if not case.s.monotone})
def test_the_facts_of_a_function_that_turns(case):
    z = torch.linspace(-8, 8, 16001, dtype=torch.float64)
    slope = case.s.derivative(z)
    assert slope.abs().max() <= case.s.steepness <= 1.01 * slope.abs().max()
    (turn,) = case.s.cuts
    assert torch.equal(slope > 0, z > turn)
    torch.testing.assert_close(case.s(double(turn)), double(case.low), rtol=1e-12, atol=0.0)


@over(SMOOTH)
def test_prox_is_global_where_two_valleys_are_close(case):
    """Targets just above the least value, and just beside a kink: the valleys on both sides are nearly one."""
    (at,) = case.s.cuts or (0.0,)
    g = torch.Generator().manual_seed(2)
    off, v = torch.randn(2, 200, generator=g, dtype=torch.float64)
    a, v = case.same(double(at)) + 0.01 * off.abs() * off.sign(), at + 3 * v
    for r in (1e-6, 1e-4, 1e-2):
        lowest = by_grid(case, a, v, r)[1]
        excess = objective(case, a, v, r, case.s.prox(v, r, a)) - lowest
        assert (excess <= 1e-9 * lowest + 1e-16).all()


BANDS = ((0.0, 0.3), (0.0, 1.0), (0.5, 0.2), (1.0, 0.05), (-1.0, 0.05), (0.7, 2.0), (-0.4, 0.1), (3.0, 0.5))


@over(MONOTONE)
@pytest.mark.parametrize(("a", "eps"), BANDS)
def test_interval_holds_what_the_constraint_allows_and_no_more(case, a, eps):
    low, high = (end.item() for end in case.s.interval(double(a), eps))
    around = [e + h for e in (low, high) if math.isfinite(e) for h in (-1e-6, 0.0, 1e-6)]
    z = torch.cat([torch.linspace(-30, 30, 6001, dtype=torch.float64), double(-1e3, 1e3, *around, *case.kinks)])
    gap = (case.same(z) - a).abs() - eps
    clear = gap.abs() > 1e-12
    assert torch.equal(((low <= z) & (z <= high))[clear], (gap < 0)[clear])


@over(MONOTONE)
@pytest.mark.parametrize(("a", "eps"), BANDS)
def test_the_ends_of_the_interval_satisfy_the_constraint(case, a, eps):
    low, high = (end.item() for end in case.s.interval(double(a), eps))
    for end in (low, high):
        if low <= high and math.isfinite(end):
            assert (case.same(double(end)) - a).abs().item() <= eps + 1e-12


@pytest.mark.parametrize(
    ("name", "a", "eps", "low", "high"),
    [
        ("relu", 0.3, 1.0, -math.inf, 1.3),
        ("relu", 0.3, 0.3, -math.inf, 0.6),
        ("relu", 2.0, 0.5, 1.5, 2.5),
        ("leaky 0.5", 0.5, 1.0, -1.0, 1.5),
        ("hardtanh (-1.0, 1.0)", 0.5, 0.5, 0.0, math.inf),
        ("hardtanh (-1.0, 1.0)", 0.0, 2.0, -math.inf, math.inf),
        ("sign", 1.0, 0.5, TINY, math.inf),
        ("step", 0.0, 0.5, -math.inf, 0.0),
        ("sigmoid", 0.5, 1.0, -math.inf, math.inf),
        ("sigmoid", 0.5, 0.25, -math.log(3), math.log(3)),
        ("tanh", 0.75, 0.25, math.atanh(0.5), math.inf),
        ("softplus", 0.5, 0.5, -math.inf, math.log(math.e - 1)),
    ],
)
def test_interval_by_hand(name, a, eps, low, high):
    ends = CASES[name].s.interval(double(a), eps)
    torch.testing.assert_close(torch.cat(ends), double(low, high), rtol=1e-12, atol=1e-12)


@over({name: case for name, case in MONOTONE.items() if math.isfinite(case.low) or math.isfinite(case.high)})
def test_an_empty_interval_has_its_ends_crossed(case):
    below, above = case.low - 1.0, case.high + 1.0
    for a in (below, above):
        if math.isfinite(a):
            low, high = case.s.interval(double(a), 0.5)
            assert (low > high).all()


@over({name: CASES[name] for name in ("sign", "step")})
def test_the_gap_of_a_jump_is_empty(case):
    low, high = case.s.interval(double(0.5 * (case.low + case.high)), 0.1)
    assert (low > high).all()


@pytest.mark.parametrize("t", [-0.1, 1.0, 2.0, math.nan])
def test_leaky_slope_outside_its_range_is_refused(t):
    with pytest.raises(ValueError, match=r"\[0, 1\)"):
        LeakyReLU(t)


def test_an_interval_of_a_function_that_turns_is_refused():
    with pytest.raises(NotImplementedError, match="interval"):
        GELU().interval(double(0.0), 0.1)


@pytest.mark.parametrize("alpha", [0.0, -1.0, math.inf, math.nan])
def test_elu_of_another_shape_is_refused(alpha):
    with pytest.raises(ValueError, match="`alpha` of ELU must be positive"):
        ELU(alpha)


def test_only_the_jumps_say_that_they_have_no_useful_slope():
    assert {name for name, case in CASES.items() if not case.s.differentiable} == {"sign", "step"}


@pytest.mark.parametrize("n", [0, 1])
@over(CASES)
def test_few_entries(case, n):
    a = v = torch.zeros(n, dtype=torch.float64)
    assert case.s.prox(v, 1.0, a).shape == (n,)
    assert np.isfinite(case.s.prox(v, 1.0, a).numpy()).all()
