"""Regularisers: values, prox against a search on a line, and their names."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from altmin.regularizers import L1, L2, NoRegularizer, Regularizer, make_regularizer

ALL = (NoRegularizer(), L1(0.3), L1(0.0), L2(0.3), L2(0.0), L2(7.0))


def test_values_by_hand():
    W = torch.tensor([[3.0, -1.0], [0.0, 2.0]])
    assert NoRegularizer()(W).item() == 0
    assert L1(0.5)(W).item() == pytest.approx(3.0)
    assert L2(0.5)(W).item() == pytest.approx(3.5)


@pytest.mark.parametrize("t", [1e-3, 0.5, 1.0, 20.0])
@pytest.mark.parametrize("omega", ALL, ids=repr)
def test_prox_is_the_minimiser_on_a_line(omega: Regularizer, t):
    corner = t * getattr(omega, "weight", 0.0)
    W = torch.tensor([0.0, 1.0, -1.0, 0.2, -5.0, corner, -corner], dtype=torch.float64)
    for w, found in zip(W, omega.prox(W, 1.0 / t), strict=True):

        def f(v: float, w=w) -> float:
            return omega(torch.tensor([v], dtype=torch.float64)).item() + (v - w.item()) ** 2 / (2 * t)

        best: Any = minimize_scalar(f, bounds=(-6, 6), method="bounded", options={"xatol": 1e-11})
        assert f(found.item()) <= best.fun + 1e-12
        assert found.item() == pytest.approx(best.x, abs=1e-5)


@pytest.mark.parametrize("omega", ALL, ids=repr)
@settings(deadline=None, database=None, max_examples=50)
@given(pair=st.lists(st.floats(-1e3, 1e3), min_size=6, max_size=6), t=st.floats(1e-3, 1e3))
def test_prox_is_firmly_nonexpansive(omega: Regularizer, pair, t):
    W = torch.tensor(pair, dtype=torch.float64).view(2, 3)
    new = omega.prox(W, 1.0 / t)
    move, apart = new[0] - new[1], W[0] - W[1]
    assert (move * apart).sum() >= move.square().sum() * (1 - 1e-12) - 1e-9


def test_prox_takes_a_tensor_for_its_step():
    W = torch.tensor([[2.0, -0.1]])
    for omega in ALL:
        torch.testing.assert_close(omega.prox(W, torch.tensor(1.0 / 0.7)), omega.prox(W, 1.0 / 0.7))


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, NoRegularizer()), ("none", NoRegularizer()), ("l1:1e-4", L1(1e-4)), ("l2:0.5", L2(0.5)), ("l2:0", L2(0.0))],
)
def test_make(text, expected):
    assert make_regularizer(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        *[(text, "must be 'none', 'l1:WEIGHT', 'l2:WEIGHT', ") for text in ("l1", "l1:", "l1:x", "l1:1:2", "none:1")],
        *[(text, ">= 0 and finite") for text in ("l1:-1", "l2:nan", "l1:inf")],
        *[(text, "unknown .*did you mean 'l[12]'.*known: none, l1, l2") for text in ("l3:1", "L1:1", "l:2")],
        ("", "unknown .*known: none, l1, l2"),
    ],
)
def test_make_refuses(text, words):
    with pytest.raises(ValueError, match=words):
        make_regularizer(text)


@pytest.mark.parametrize("thing", [L1, 3.0, lambda W: W.sum()])
def test_what_is_neither_text_nor_a_regularizer_is_refused(thing):
    with pytest.raises(TypeError, match="such as 'l1:1e-4'"):
        make_regularizer(thing)


@pytest.mark.parametrize("weight", [-1e-9, math.nan, math.inf])
@pytest.mark.parametrize("kind", [L1, L2])
def test_weight_outside_its_range_is_refused(kind, weight):
    with pytest.raises(ValueError, match=">= 0 and finite"):
        kind(weight)


def test_only_no_regularizer_is_zero():
    assert [omega.is_zero for omega in ALL] == [True, *[False] * (len(ALL) - 1)]


@pytest.mark.parametrize("omega", ALL, ids=repr)
def test_curvature_is_the_weight_of_the_square_that_the_regularizer_is(omega: Regularizer):
    W = torch.tensor([[3.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    if omega.curvature is not None:
        assert omega(W).item() == pytest.approx(omega.curvature / 2 * W.square().sum().item())
    else:
        assert omega == L1(omega.weight)  # type: ignore[attr-defined]


@pytest.mark.parametrize("d", [0.0, 0.7])
@pytest.mark.parametrize("omega", [omega for omega in ALL if omega.curvature is not None], ids=repr)
def test_complete_square_is_the_sum_up_to_a_constant(omega: Regularizer, d):
    center, *points = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    middle, weight = omega.complete_square(center, d)
    off = [d / 2 * (W - center).square().sum() + omega(W) - weight / 2 * (W - middle).square().sum() for W in points]
    torch.testing.assert_close(off[0], off[1])
    torch.testing.assert_close(off[0], off[2])


def test_complete_square_of_no_square_is_refused():
    with pytest.raises(TypeError, match="no square"):
        L1(0.1).complete_square(torch.zeros(2), 1.0)
