"""Regularisers: values, prox against a search on a line, and their names."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from altmin.regularizers import L1, L2, NoRegularizer, Regularizer, is_none, make

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

        best = minimize_scalar(f, bounds=(-6, 6), method="bounded", options={"xatol": 1e-11})
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
    assert make(text) == expected


@pytest.mark.parametrize(
    "text", ["", "l1", "l1:", "l2:x", "l3:1", "L1:1", "none:1", "l1:-1", "l2:nan", "l1:inf", "l1:1:2"]
)
def test_make_refuses(text):
    with pytest.raises(ValueError, match="'l1:WEIGHT'"):
        make(text)


@pytest.mark.parametrize("weight", [-1e-9, math.nan, math.inf])
@pytest.mark.parametrize("kind", [L1, L2])
def test_weight_outside_its_range_is_refused(kind, weight):
    with pytest.raises(ValueError, match=">= 0 and finite"):
        kind(weight)


def test_only_no_regularizer_is_none():
    assert [is_none(omega) for omega in ALL] == [True, *[False] * (len(ALL) - 1)]
