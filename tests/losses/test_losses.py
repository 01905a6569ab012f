"""Losses: values, gradients, encodings, and the prox (P2) by optimality and against scipy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor
from torch.nn import functional

from altmin.losses import LOSSES, BinaryCrossEntropy, CrossEntropy, Hinge, Loss, SquaredLoss, make_loss

WEIGHTS = (1e-6, 1e-4, 1e-2, 0.5, 1.0, 3.0, 100.0)
OBJECTS = {**{name: loss() for name, loss in LOSSES.items()}, "cross_entropy, fista": CrossEntropy("fista")}
SMOOTH = {name: loss for name, loss in OBJECTS.items() if name != "hinge"}


def over(losses: dict[str, Loss]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("loss", losses.values(), ids=list(losses))


def problem(loss: Loss, n: int = 12, q: int = 4, scale: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points (or centres) ``(n, q)`` and encoded targets."""
    g = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(n, q, generator=g, dtype=torch.float64)
    return z, loss.encode(torch.randint(q, (n,), generator=g), q, torch.float64)


def by_scipy(loss: Loss, v: Tensor, y: Tensor, r: float) -> Tensor:
    """The prox a row at a time by a quasi-Newton method, from the loss's value alone and autograd."""

    def row(v: Tensor, y: Tensor) -> Tensor:
        def fun(z: np.ndarray) -> tuple[float, np.ndarray]:
            at = torch.tensor(z[None], requires_grad=True)
            f = loss(at, y[None]) + 0.5 * r * (at - v).square().sum()
            return f.item(), torch.autograd.grad(f, at)[0][0].numpy()

        return torch.tensor(minimize(fun, v.numpy(), jac=True, method="BFGS", options={"gtol": 1e-9}).x)

    return torch.stack([row(*pair) for pair in zip(v, y, strict=True)])


def test_names_are_the_keys():
    assert {name: loss.name for name, loss in LOSSES.items()} == {name: name for name in LOSSES}


def test_values_by_hand():
    z = torch.tensor([[1.0, -2.0], [0.5, 0.5]], dtype=torch.float64)
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert SquaredLoss()(z, y).item() == pytest.approx(0.5 * (0 + 4 + 0.25 + 0.25))
    assert Hinge()(z, 2 * y - 1).item() == pytest.approx(0 + 0 + 1.5 + 0.5)
    assert CrossEntropy()(z, y).item() == pytest.approx(math.log(1 + math.exp(-3)) + math.log(2))


def test_values_are_pytorchs_sums():
    z, y = problem(CrossEntropy(), scale=20.0)
    labels = y.argmax(1)
    torch.testing.assert_close(CrossEntropy()(z, y), functional.cross_entropy(z, labels, reduction="sum"))
    torch.testing.assert_close(SquaredLoss()(z, y), 0.5 * functional.mse_loss(z, y, reduction="sum"))


@over(OBJECTS)
def test_value_is_a_sum_over_samples(loss):
    z, y = problem(loss)
    parts = sum(loss(z[i : i + 1], y[i : i + 1]) for i in range(len(z)))
    torch.testing.assert_close(loss(z, y), parts)
    assert loss(z, y).shape == ()


@over(OBJECTS)
def test_grad_is_the_derivative(loss):
    z, y = problem(loss)  # random: no hinge is at its kink
    z.requires_grad_()
    torch.testing.assert_close(loss.grad(z.detach(), y), torch.autograd.grad(loss(z, y), z)[0])


def test_hinge_grad_at_the_kink_is_a_subgradient():
    y = torch.tensor([[1.0, -1.0]], dtype=torch.float64)
    g = Hinge().grad(y, y)
    for move in torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64):
        assert Hinge()(y + move, y) >= Hinge()(y, y) + (g * move).sum()


@over(SMOOTH)
def test_lipschitz_bounds_the_curvature_and_is_attained(loss):
    curvatures = []
    for scale in (0.0, 1.0, 5.0):
        for z, y in zip(*problem(loss, q=2, scale=scale), strict=True):
            hessian = torch.autograd.functional.hessian(lambda t, y=y: loss(t[None], y[None]), z)
            curvatures.append(torch.linalg.eigvalsh(hessian)[-1].item())
    assert max(curvatures) <= loss.lipschitz * (1 + 1e-12)
    assert max(curvatures) == pytest.approx(loss.lipschitz)


def test_hinge_is_not_smooth():
    assert Hinge().lipschitz == math.inf


@over(SMOOTH)
@pytest.mark.parametrize("r", [0.5, 1.0, 3.0])
def test_prox_is_scipys_minimiser(loss, r):
    v, y = problem(loss)
    torch.testing.assert_close(loss.prox(v, r, y), by_scipy(loss, v, y, r), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("r", WEIGHTS)
def test_squared_prox_is_stationary(r):
    v, y = problem(SquaredLoss())
    z = SquaredLoss().prox(v, r, y)
    torch.testing.assert_close(z - y, r * (v - z), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("y", [-1.0, 1.0])
@pytest.mark.parametrize("r", [0.1, 0.5, 1.0, 3.0, 100.0])
def test_hinge_prox_is_the_minimiser_on_a_line(r, y):
    corners = [y, y * (1 - 1 / r), 0.0, -y]
    centres = np.concatenate([np.linspace(-12, 12, 41), corners])
    found = Hinge().prox(torch.tensor(centres)[:, None], r, torch.full((len(centres), 1), y, dtype=torch.float64))[:, 0]
    for v, z in zip(centres, found.tolist(), strict=True):
        reach = (1 + abs(v)) / r + 1

        def f(z: float, v=v) -> float:
            return max(0.0, 1 - y * z) + r / 2 * (z - v) ** 2

        best: Any = minimize_scalar(f, bounds=(v - reach, v + reach), method="bounded", options={"xatol": 1e-10})
        assert f(z) <= best.fun + 1e-12
        assert z == pytest.approx(best.x, abs=1e-5)


@settings(deadline=None, database=None)
@given(v=st.floats(-50, 50), y=st.sampled_from([-1.0, 1.0]), r=st.floats(1e-6, 1e3))
def test_hinge_prox_is_optimal(v, y, r):
    """``r (v - z)`` is a subgradient of the hinge at `z`: 0 beyond the margin, ``-y`` below, in between at it."""
    centre, label = torch.tensor([v, y], dtype=torch.float64)[:, None, None]
    z = Hinge().prox(centre, r, label).item()
    share = -y * r * (v - z)
    rounding = 1e-14 * (1 + r) * (1 + abs(v) + 1 / r)
    if y * z > 1:
        assert share == 0
    elif y * z < 1:
        assert share == pytest.approx(1, abs=rounding)
    else:
        assert -rounding <= share <= 1 + rounding


@over(OBJECTS)
@settings(deadline=None, database=None, max_examples=30)
@given(
    pair=st.lists(st.floats(-30, 30), min_size=6, max_size=6),
    label=st.integers(0, 2),
    r=st.sampled_from([1e-4, 0.1, 1.0, 10.0]),
)
def test_prox_is_firmly_nonexpansive(loss, pair, label, r):
    if loss == CrossEntropy("fista") and r < 0.1:
        r = 0.1  # where it converges within its 500 steps
    v = torch.tensor(pair, dtype=torch.float64).view(2, 3)
    z = loss.prox(v, r, loss.encode(torch.tensor([label, label]), 3, torch.float64))
    dz, dv = z[0] - z[1], v[0] - v[1]
    assert (dz * dv).sum() >= dz.square().sum() - 1e-6 * (1 + dv.abs().sum())


@over(OBJECTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_prox_keeps_dtype_and_inputs(loss, dtype):
    v, y = (t.to(dtype) for t in problem(loss))
    before = v.clone(), y.clone()
    assert loss.prox(v, 0.7, y).dtype == dtype
    assert torch.equal(v, before[0])
    assert torch.equal(y, before[1])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_encode(dtype):
    labels = torch.tensor([2, 0, 1])
    rows = torch.tensor([[0, 0, 1], [1, 0, 0], [0, 1, 0]], dtype=dtype)
    for loss, expected in (
        (SquaredLoss(), rows),
        (CrossEntropy(), rows),
        (BinaryCrossEntropy(), rows),
        (Hinge(), 2 * rows - 1),
    ):
        torch.testing.assert_close(loss.encode(labels, 3, dtype), expected, rtol=0, atol=0)


def test_encode_for_one_output():
    labels, column = torch.tensor([1, 0]), torch.tensor([[1.0], [0.0]])
    assert torch.equal(SquaredLoss().encode(labels, 1, torch.float32), column)
    assert torch.equal(BinaryCrossEntropy().encode(labels, 1, torch.float32), column)
    assert torch.equal(Hinge().encode(labels, 1, torch.float32), 2 * column - 1)
    with pytest.raises(ValueError, match="hinge"):
        CrossEntropy().encode(labels, 1, torch.float32)


def test_fista_on_the_command_line():
    assert make_loss("cross_entropy:fista") == CrossEntropy("fista")
    assert make_loss("cross_entropy:fista:7") == CrossEntropy("fista", 7)
    assert make_loss("cross_entropy:newton") == make_loss("cross_entropy") == CrossEntropy()


def test_fista_makes_as_many_iterations_as_it_is_told():
    """Two by hand (Beck and Teboulle 2009): gradient steps of length 2 with the proximal term's prox behind them."""
    v, y = problem(CrossEntropy())
    r = 1e-4

    def step(z: Tensor) -> Tensor:
        return (z - 2.0 * (torch.softmax(z, 1) - y) + 2.0 * r * v) / (1.0 + 2.0 * r)

    one = step(v)
    torch.testing.assert_close(CrossEntropy("fista", 1).prox(v, r, y), one, rtol=1e-13, atol=1e-13)
    t1 = (1.0 + math.sqrt(5.0)) / 2.0
    two = step(one)  # t_0 = 1: the first extrapolation is none
    torch.testing.assert_close(CrossEntropy("fista", 2).prox(v, r, y), two, rtol=1e-13, atol=1e-13)
    t2 = (1.0 + math.sqrt(1.0 + 4.0 * t1 * t1)) / 2.0
    three = step(two + (t1 - 1.0) / t2 * (two - one))
    torch.testing.assert_close(CrossEntropy("fista", 3).prox(v, r, y), three, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cross_entropy:bfgs", "`solver` must be 'newton' or 'fista', got 'bfgs'"),
        ("cross_entropy:fista:0", "`iterations` must be >= 1"),
        ("cross_entropy:fista:1.5", "`iterations` must be an integer"),
        ("cross_entropy:fista:few", "could not convert string to float"),
        ("cross_entropy:fista:1:2", "too many positional arguments"),
        ("hinge:1", "too many positional arguments"),
        ("cross_entropi:fista", "did you mean 'cross_entropy'"),
    ],
)
def test_losses_that_are_not_to_be_had_as_text(text: str, said: str):
    with pytest.raises(ValueError, match=f"'cross_entropy:SOLVER:ITERATIONS', .*got {text!r}.*{said}"):
        make_loss(text)


def test_unknown_solver_is_refused():
    with pytest.raises(ValueError, match="'newton' or 'fista'"):
        CrossEntropy("bfgs")  # type: ignore[arg-type]


@over(OBJECTS)
@pytest.mark.parametrize("q", [1, 2, 5])
def test_probabilities_sum_to_one_in_the_order_of_the_outputs(loss: Loss, q: int):
    z = 3.0 * torch.randn(40, q, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = loss.probabilities(z)
    assert p.shape == (40, max(q, 2))
    assert float(p.min()) >= 0.0
    torch.testing.assert_close(p.sum(1), torch.ones(40, dtype=torch.float64))
    decided = z[:, 0] > loss.middle if q == 1 else z.argmax(1)
    assert torch.equal(p.argmax(1), decided.long())


def test_probabilities_by_hand():
    z = torch.tensor([[0.9, 0.3], [2.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(CrossEntropy().probabilities(z), torch.softmax(z, 1))
    nearest = torch.tensor([[0.8, 0.2], [1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(SquaredLoss().probabilities(z), nearest)
    one = torch.tensor([[0.3], [1.5]], dtype=torch.float64)
    assert SquaredLoss().probabilities(one).tolist() == [[0.7, 0.3], [0.0, 1.0]]
    torch.testing.assert_close(Hinge().probabilities(one)[:, 1], torch.sigmoid(one[:, 0]))
