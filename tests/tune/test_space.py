"""What a search takes of a method's numbers, from where to where."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

import altmin
from altmin.checks import component, number
from altmin.methods.registry import METHODS
from altmin.tune import Axis, axes_of, with_numbers


@dataclass(frozen=True)
class Part(altmin.Method):
    lr: float = number(0.1, "a rate", above=0.0)
    momentum: float = number(0.5, "between two bounds", least=0.0, most=1.0)


@dataclass(frozen=True)
class Whole(altmin.Method):
    growth: float = number(3.0, "bounded below", least=1.0)
    small: float = number(0.5, "bounded above", most=2.0)
    off: float = number(0.0, "zero, so no logarithm", least=0.0)
    absent: float | None = number(None, "none", above=0.0, optional=True)
    count: int = number(60, "a whole number", least=1, most=1000)
    kind: str = number("a", "a name", choices=("a", "b"))
    flag: bool = number(True, "yes or no")
    bands: float | tuple[float, ...] = number((1.0, 2.0), "several", above=0.0, each=True)
    part: Part = component(Part, Part, "Part()")


def test_positive_real_numbers_are_searched_within_their_bounds():
    found = {axis.name: axis for axis in axes_of(Whole())}
    assert list(found) == ["growth", "small", "part.lr", "part.momentum"]
    assert (found["growth"].low, found["growth"].high, found["growth"].log) == (1.0, 90.0, True)
    assert (found["small"].low, found["small"].high) == (0.5 / 30, 2.0)
    assert (found["part.lr"].low, found["part.lr"].high) == (0.1 / 30, 0.1 * 30)
    momentum = found["part.momentum"]
    assert (momentum.low, momentum.high, momentum.log, momentum.start) == (0.0, 1.0, False, 0.5)


def test_an_open_bound_is_never_reached():
    (axis,) = axes_of(altmin.DLADMM(factor=1.5), ["factor"])
    assert axis.low == math.nextafter(1.0, 2.0)
    assert with_numbers(altmin.DLADMM(), {"factor": axis.low}).factor > 1.0


def test_ranges_that_are_given_win_and_the_first_trial_lies_in_them():
    low, spread, zero, none = axes_of(Whole(), ["part.lr=1:10", "part.momentum=0.1:0.9", "off=0:2", "absent=0.1:1"])
    assert low == Axis("part.lr", 1.0, 1.0, 10.0, log=True)
    assert spread == Axis("part.momentum", 0.5, 0.1, 0.9)
    assert zero == Axis("off", 0.0, 0.0, 2.0)
    assert none == Axis("absent", None, 0.1, 1.0, log=True)


def test_whole_numbers_names_and_switches_are_searched_where_they_are_named():
    count, own, kind, flag = axes_of(Whole(), ["count", "kind", "flag"])[:1] + axes_of(
        Whole(), ["count=2:4", "kind", "flag"]
    )
    assert (count.low, count.high, count.log, count.whole) == (2, 1000, True, True)
    assert own == Axis("count", 4, 2, 4, whole=True)
    assert (kind.choices, flag.choices, flag.start) == (("a", "b"), (False, True), True)


def test_the_same_in_optunas_words():
    optuna = pytest.importorskip("optuna")
    whole, name, real = (axis.distribution() for axis in axes_of(Whole(), ["count=2:4", "kind", "part.lr=1:10"]))
    assert whole == optuna.distributions.IntDistribution(2, 4)
    assert name == optuna.distributions.CategoricalDistribution(("a", "b"))
    assert real == optuna.distributions.FloatDistribution(1.0, 10.0, log=True)


@pytest.mark.parametrize(
    ("search", "text"),
    [
        ("part.rl", "did you mean 'part.lr'"),
        ("part.lr=1", "LOW:HIGH"),
        ("part.lr=10:1", "the lower number first"),
        ("part.lr=1:inf", "the lower number first"),
        ("part.lr=-1:1", "must be > 0"),
        ("part.lr=a:1", "two numbers"),
        ("part.momentum=0:2", "must be >= 0 and <= 1"),
        ("count=1.5:3", "two whole numbers"),
        ("kind=a:b", "two numbers"),
        ("kind=1:2", "must be one of"),
        ("off", "--search off=LOW:HIGH"),
        ("absent", "--search absent=LOW:HIGH"),
        ("bands", "--search bands=LOW:HIGH"),
    ],
)
def test_what_cannot_be_searched_is_refused_as_it_was_written(search: str, text: str):
    with pytest.raises(ValueError, match=text) as caught:
        axes_of(Whole(), [search])
    assert str(caught.value).startswith(f"--search {search}: ")


def test_a_number_is_named_once():
    with pytest.raises(ValueError, match=r"--search names part\.lr twice"):
        axes_of(Whole(), ["part.lr", "part.lr=1:2"])


def test_nothing_to_search_is_refused():
    with pytest.raises(ValueError, match="--search must name"):
        axes_of(altmin.Method())


def test_numbers_of_parts_are_replaced_and_the_others_stay():
    method = with_numbers(Whole(off=1.0), {"part.lr": 0.5, "part.momentum": 0.25, "growth": 2.0})
    assert method == Whole(off=1.0, growth=2.0, part=Part(0.5, 0.25))


@pytest.mark.filterwarnings("ignore::altmin.errors.InertiaWarning", "ignore::altmin.errors.PenaltyWarning")
@pytest.mark.parametrize("name", list(METHODS))
def test_both_ends_of_every_range_are_taken_by_the_method(name: str):
    method = METHODS[name].method
    for axis in axes_of(method):
        for value in (axis.low, axis.high):
            with_numbers(method, {axis.name: value})
