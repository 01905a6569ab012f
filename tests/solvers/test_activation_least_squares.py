"""Activations by least squares (P5) against dense solves, and conjugate gradients against direct ones."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from altmin.errors import DivergenceError
from altmin.maps import Composed, Conv2d, Linear, LinearMap
from altmin.operations import AvgPool2d, Flatten, Mask, MaxPool2d
from altmin.solvers.activation_least_squares import ActivationLeastSquares, conjugate_gradients, without_rise


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


N, IMAGE = 4, (2, 5, 4)
MASK = Mask((randn(1, *IMAGE, seed=9) > 0).double() * 2.0)
MAX = MaxPool2d((2, 2), (2, 2))
MAPS: dict[str, LinearMap] = {
    "narrow linear": Linear(5, 3),
    "wide linear": Linear(5, 9),
    "conv": Conv2d(2, 3, (3, 3), padding=(1, 1)),
    "conv with stride and groups": Conv2d(2, 4, (2, 2), (2, 1), groups=2),
    "mean pooling": Composed((AvgPool2d((2, 2), (1, 2)),), Conv2d(2, 3, (2, 2))),
    "flatten": Composed((Flatten(),), Linear(40, 6)),
    "mask": Composed((MASK, Flatten()), Linear(40, 6)),
    "max pooling": Composed((MAX, Flatten()), Linear(8, 6)),
    "max pooling below a conv": Composed((MaxPool2d((2, 2), (1, 1)),), Conv2d(2, 3, (2, 2))),
}
FIXED = [name for name, map in MAPS.items() if not map.piecewise]
PIECEWISE = [name for name, map in MAPS.items() if map.piecewise]
WEIGHTS = [(1.0, 1.0), (1e-3, 1.0), (3.0, 0.01)]


class Case:
    """A random instance of ``c1 ||V - A W^T||^2 + c2 ||A - T||^2 + d ||A - A0||^2``."""

    def __init__(self, name: str, c1: float, c2: float, d: float, n: int = N):
        self.map, self.c1, self.c2, self.d = MAPS[name], c1, c2, d
        shape = (n, 5) if isinstance(self.map, Linear) else (n, *IMAGE)
        self.W, self.b = randn(*self.map.shape, seed=1), torch.zeros(self.map.outputs).double()
        self.now, self.target, self.a0 = (randn(*shape, seed=seed) for seed in (2, 3, 4))
        self.v = randn(*self.map(self.W, self.b, self.now).shape, seed=5)

    def solve(self) -> Tensor:
        """With the proximal term folded into the target, as the methods do."""
        weight = self.c2 + self.d
        target = torch.lerp(self.target, self.a0, self.d / weight)
        return ActivationLeastSquares(self.map, self.W, self.c1, weight)(self.v, target, self.now)

    def value(self, a: Tensor) -> Tensor:
        """The objective of each sample, by the map itself."""
        parts = ((self.c1, self.v - self.map(self.W, self.b, a)), (self.c2, a - self.target), (self.d, a - self.a0))
        return sum(c * t.square().flatten(1).sum(1) for c, t in parts)  # type: ignore[return-value]

    def dense(self) -> Tensor:
        """The minimiser for the derivative at `now`, from its matrix: the images of the unit vectors."""
        p = self.now[0].numel()
        out = []
        for i in range(len(self.now)):
            at = self.now[i : i + 1]
            units = torch.eye(p, dtype=at.dtype).view(p, *at.shape[1:])
            M = torch.cat([self.map.image(self.W, unit[None], at).flatten(1) for unit in units]).T
            eye = torch.eye(p, dtype=at.dtype)
            left = torch.cat([math.sqrt(self.c1) * M, math.sqrt(self.c2) * eye, math.sqrt(self.d) * eye])
            right = (math.sqrt(c) * t[i].flatten() for c, t in self.terms())
            out.append(torch.linalg.lstsq(left, torch.cat(list(right))[:, None]).solution.view(at.shape))
        return torch.cat(out)

    def terms(self) -> tuple[tuple[float, Tensor], ...]:
        return (self.c1, self.v), (self.c2, self.target), (self.d, self.a0)


@pytest.mark.parametrize("d", [0.0, 0.7])
@pytest.mark.parametrize(("c1", "c2"), WEIGHTS)
@pytest.mark.parametrize("name", FIXED)
def test_activations_are_the_dense_minimiser(name: str, c1: float, c2: float, d: float):
    case = Case(name, c1, c2, d)
    torch.testing.assert_close(case.solve(), case.dense(), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("d", [0.0, 0.7])
@pytest.mark.parametrize(("c1", "c2"), WEIGHTS)
@pytest.mark.parametrize("name", PIECEWISE)
def test_behind_max_pooling_no_sample_rises(name: str, c1: float, c2: float, d: float):
    """Where the largest numbers stay, it is the dense minimiser; else its way there, cut by halves."""
    case = Case(name, c1, c2, d, n=40)
    before, found, dense = case.value(case.now), case.solve(), case.dense()
    assert (case.value(found) <= before * (1 + 1e-12)).all()
    assert case.value(found).sum() < 0.95 * before.sum()
    fell = case.value(dense) < before - 1e-6
    torch.testing.assert_close(found[fell], dense[fell], rtol=1e-6, atol=1e-6)
    assert fell.any()


def test_behind_max_pooling_the_model_alone_would_raise_some_samples():
    """The case that the halving is for: `test_behind_max_pooling_no_sample_rises` is no empty claim."""
    case = Case("max pooling", 3.0, 0.01, 0.0, n=40)
    assert (case.value(case.dense()) > case.value(case.now)).any()


@pytest.mark.parametrize("name", FIXED)
def test_at_the_minimiser_nothing_moves(name: str):
    case = Case(name, 1.0, 1.0, 0.5)
    case.now = case.solve()
    torch.testing.assert_close(case.solve(), case.now, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in MAPS if MAPS[name].unfolds])
def test_pieces_and_all_samples_at_once_agree(name: str, monkeypatch: pytest.MonkeyPatch):
    case = Case(name, 1.0, 1.0, 0.5, n=7)
    whole = case.solve()
    monkeypatch.setattr("altmin.solvers.statistics.PIECE", 3 * case.map.rows(case.now[:1]).numel())
    torch.testing.assert_close(case.solve(), whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MAPS)
def test_inputs_are_left_alone(name: str):
    case = Case(name, 1.0, 0.5, 0.3)
    kept = (case.W, case.v, case.target, case.now, case.a0)
    before = [t.clone() for t in kept]
    case.solve()
    assert all(torch.equal(t, old) for t, old in zip(kept, before, strict=True))


def definite(n: int, p: int, condition: float) -> Tensor:
    """Symmetric matrices with eigenvalues from 1 to `condition`."""
    Q = torch.linalg.qr(randn(n, p, p))[0]
    return Q @ torch.diag(torch.logspace(0, math.log10(condition), p, dtype=Q.dtype)) @ Q.mT


@pytest.mark.parametrize("condition", [1.0, 10.0, 1e3])
def test_conjugate_gradients_solve_every_samples_system(condition: float):
    H, rhs, start = definite(6, 9, condition), randn(6, 9, seed=1), randn(6, 9, seed=2)
    x = conjugate_gradients(lambda d: (H @ d[..., None])[..., 0], rhs, start)
    torch.testing.assert_close(x, torch.linalg.solve(H, rhs), rtol=1e-5, atol=1e-6)


def test_every_step_of_conjugate_gradients_lowers_every_sample():
    H, rhs, start = definite(6, 12, 100.0), randn(6, 12, seed=1), randn(6, 12, seed=2)

    def normal(d: Tensor) -> Tensor:
        return (H @ d[..., None])[..., 0]

    def value(x: Tensor) -> Tensor:
        return (x * (0.5 * normal(x) - rhs)).sum(1)

    values = [value(conjugate_gradients(normal, rhs, start, steps=k)) for k in range(10)]
    assert torch.equal(values[0], value(start))
    assert all((after < before).all() for before, after in itertools.pairwise(values))


def test_conjugate_gradients_leave_a_solved_sample_where_it_is():
    H, rhs = definite(2, 5, 10.0), randn(2, 5, seed=1)
    start = torch.linalg.solve(H, rhs)
    start[1] += 1.0
    x = conjugate_gradients(lambda d: (H @ d[..., None])[..., 0], rhs, start)
    torch.testing.assert_close(x, torch.linalg.solve(H, rhs), rtol=1e-6, atol=1e-6)
    zero = torch.zeros(2, 5, dtype=rhs.dtype)
    assert torch.equal(conjugate_gradients(lambda d: d, zero, zero), zero)


def test_conjugate_gradients_fail_loudly_on_nan():
    bad = randn(2, 5)
    bad[1, 2] = math.nan
    with pytest.raises(DivergenceError, match=r"A_7.*nan"):
        conjugate_gradients(lambda d: d, bad, torch.zeros_like(bad), block="A_7")


def test_without_rise_halves_only_what_rose():
    """On ``x^4`` from 1: a step to -3 is halved to -1, which is no rise; one to 0.5 stays; one to 99 is undone."""
    old = torch.ones(3, 1, dtype=torch.float64)
    new = torch.tensor([[-3.0], [0.5], [99.0]], dtype=torch.float64)
    found = without_rise(lambda x: x[:, 0] ** 4, new, old)
    assert found.flatten().tolist() == [-1.0, 0.5, 1.0]


def test_without_rise_returns_to_the_start_where_all_is_a_rise():
    old, new = torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(without_rise(lambda x: x.abs().sqrt().sum(1), new, old), old)
