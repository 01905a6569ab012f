"""The numbers that tables have of a training, and of several."""

from __future__ import annotations

from math import isnan, nan

import pytest

from altmin.exhibits import Measure
from exhibits.making import outcome, outcomes

CURVE = outcome(value=[0.2, 0.9, 0.5, 0.7], iteration=[5, 10, 15, 20])


@pytest.mark.parametrize(
    ("measure", "number"),
    [
        (Measure("value"), 0.7),
        (Measure("value", "best"), 0.9),
        (Measure("value", "median"), 0.6),
        (Measure("value", "at", at=10), 0.9),
        (Measure("value", "at", at=11), 0.5),
        (Measure("value", "at", at=0), 0.2),
        (Measure("value", "at", at=99), 0.7),
        (Measure("value", "first", at=0.2), 5),
        (Measure("value", "first", at=0.6), 10),
        (Measure("value", "first", at=0.95), nan),
        (Measure("value", factor=100), 70),
        (Measure("none"), nan),
    ],
    ids=str,
)
def test_a_number_of_a_curve(measure: Measure, number: float):
    assert measure.of(CURVE) == pytest.approx(number, nan_ok=True)


@pytest.mark.parametrize("how", ["last", "median", "at", "first"])
def test_a_training_that_diverged_has_no_number(how):
    assert isnan(Measure("value", how).of(outcome(value=[0.5, 0.6], diverged=True)))


def test_but_the_best_until_then():
    assert Measure("value", "best").of(outcome(value=[0.5, 0.6, 0.1], diverged=True)) == 0.6


def test_a_training_without_records_has_no_number():
    assert all(isnan(Measure("value", how).of(outcome())) for how in ("last", "best", "median", "at", "first"))


@pytest.mark.parametrize("curve", [[nan, 0.3, 0.2], [0.2, nan, 0.3], [0.3, 0.2, nan]])
def test_nan_among_the_records_is_not_the_best(curve: list[float]):
    assert Measure("value", "best").of(outcome(value=curve)) == 0.3


def test_nan_at_the_end_is_the_last():
    assert isnan(Measure("value").of(outcome(value=[0.5, nan])))


@pytest.mark.parametrize("curve", [[nan, 1.0, 2.0], [1.0, nan, 2.0], [1.0, 2.0, nan]])
def test_a_median_over_nan_is_nan(curve: list[float]):
    assert isnan(Measure("value", "median").of(outcome(value=curve)))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (nan, "nan"), (float("inf"), "nan"), (0.125, "0.12"), (5510, "5510.00"), (1e30, "1e+30")],
)
def test_a_number_in_a_table(value: float | None, text: str):
    assert Measure("value").text(value) == text


def test_seeds_together():
    several = outcomes({"p": {"a": [outcome(value=[v]) for v in (1, 2, 6)], "b": outcome(value=[4])}})
    assert several.values("p", "a", "value") == [1, 2, 6]
    assert several.mean("p", "a", "value") == 3
    assert several.spread("p", "a", "value") == pytest.approx(7**0.5)
    assert (several.mean("p", "b", "value"), several.spread("p", "b", "value")) == (4, 0)
    assert several.curve("p", "a", "value") == [[1], [2], [6]]
    assert (several.panels, several.arms) == (["p"], ["a", "b"])


def test_one_seed_that_diverged_is_in_the_mean():
    two = outcomes({"p": {"a": [outcome(value=[1]), outcome(value=[2], diverged=True)]}})
    assert isnan(two.mean("p", "a", "value"))
    assert isnan(two.spread("p", "a", "value"))
    assert two.mean("p", "a", "best") == 1.5
