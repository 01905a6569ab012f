"""Every kind of statement can hold and can fail, and none holds of trainings that diverged."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from altmin.exhibits import Outcomes
from altmin.exhibits import rules as r
from altmin.exhibits.exhibit import Check
from exhibits.making import outcome, outcomes, values

FALLING, RISING = outcome(value=[3, 2, 2, 1]), outcome(value=[3, 2, 2.1, 1])
BROKEN, NONE = outcome(value=[3, 2], diverged=True), outcome()
ALL: list[tuple[str, Check, bool, Outcomes]] = [
    ("ahead", r.ahead("value", "a", ["b", "c"]), True, values(a=3, b=2, c=2.9)),
    ("ahead of an equal", r.ahead("value", "a", ["b", "c"]), False, values(a=3, b=2, c=3)),
    ("ahead", r.ahead("value", "a", ["b", "c"]), False, values(a=3, b=2, c=4)),
    ("ahead but for", r.ahead("value", "a", ["b"], less=1.0), True, values(a=3, b=4)),
    ("ahead but for", r.ahead("value", "a", ["b"], less=1.0), False, values(a=3, b=4.1)),
    ("ahead by", r.ahead("value", "a", ["b"], less=-5.0), True, values(a=10, b=5)),
    ("ahead by", r.ahead("value", "a", ["b"], less=-5.0), False, values(a=10, b=5.1)),
    ("ahead of one that diverged", r.ahead("value", "a", ["b"]), True, values(a=1, b=nan)),
    ("ahead though it diverged", r.ahead("value", "a", ["b"]), False, values(a=nan, b=1)),
    ("ahead where both diverged", r.ahead("value", "a", ["b"]), False, values(a=nan, b=nan)),
    ("below", r.below("value", "a", ["b", "c"]), True, values(a=1, b=2, c=3)),
    ("below", r.below("value", "a", ["b", "c"]), False, values(a=2, b=2, c=3)),
    ("below one that diverged", r.below("value", "a", ["b"]), True, values(a=1, b=nan)),
    ("below where both diverged", r.below("value", "a", ["b"]), False, values(a=nan, b=nan)),
    ("between", r.between("value", ["a", "b"], 1.0, 2.0), True, values(a=1, b=2)),
    ("between, one too large", r.between("value", ["a", "b"], 1.0, 2.0), False, values(a=1, b=2.1)),
    ("between, one too small", r.between("value", ["a", "b"], 1.0, 2.0), False, values(a=0.9, b=2)),
    ("between, diverged", r.between("value", ["a"], 0.0, 1e9), False, values(a=nan)),
    ("alike", r.alike("value", ["a", "b", "c"], 1.0), True, values(a=2, b=1, c=1.5)),
    ("alike", r.alike("value", ["a", "b", "c"], 1.0), False, values(a=2, b=0.9, c=1.5)),
    ("alike, first diverged", r.alike("value", ["a", "b"], 1.0), False, values(a=nan, b=1)),
    ("alike, last diverged", r.alike("value", ["a", "b"], 1.0), False, values(a=1, b=nan)),
    ("within a factor", r.within_factor("value", ["a", "b"], 1.5), True, values(a=3, b=2)),
    ("within a factor", r.within_factor("value", ["a", "b"], 1.5), False, values(a=3.1, b=2)),
    ("within a factor, last diverged", r.within_factor("value", ["a", "b"], 1.5), False, values(a=1, b=nan)),
    ("grows", r.grows("value", ["a", "b", "c"]), True, values(a=1, b=0.95, c=2)),
    ("grows, a fall", r.grows("value", ["a", "b", "c"]), False, values(a=1, b=0.85, c=2)),
    ("grows, not in the end", r.grows("value", ["a", "b", "c"]), False, values(a=1, b=1, c=1)),
    ("grows without slack", r.grows("value", ["a", "b"], slack=0.0), True, values(a=1, b=1.01)),
    ("grows without slack", r.grows("value", ["a", "b", "c"], slack=0.0), False, values(a=1, b=0.99, c=2)),
    ("grows to nan", r.grows("value", ["a", "b"]), False, values(a=1, b=nan)),
    ("falls", r.falls("value", ["a"]), True, outcomes({"p": {"a": FALLING}})),
    ("falls but by rounding", r.falls("value", ["a"]), True, outcomes({"p": {"a": outcome(value=[1, 1 + 1e-7])}})),
    ("falls, a rise", r.falls("value", ["a"]), False, outcomes({"p": {"a": RISING}})),
    ("falls, one of two seeds", r.falls("value", ["a"]), False, outcomes({"p": {"a": [FALLING, RISING]}})),
    ("falls, one of two arms", r.falls("value", ["a", "b"]), False, outcomes({"p": {"a": FALLING, "b": RISING}})),
    ("falls below nought", r.falls("value", ["a"]), False, outcomes({"p": {"a": outcome(value=[-3, -2])}})),
    ("falls to nan", r.falls("value", ["a"]), False, outcomes({"p": {"a": outcome(value=[3, nan])}})),
    ("falls and diverges", r.falls("value", ["a"]), False, outcomes({"p": {"a": BROKEN}})),
    ("falls without a record", r.falls("value", ["a"]), False, outcomes({"p": {"a": NONE}})),
    ("finite", r.finite("value", ["a"]), True, outcomes({"p": {"a": FALLING}})),
    ("finite, an infinite one", r.finite("value", ["a"]), False, outcomes({"p": {"a": outcome(value=[inf, 1])}})),
    ("finite, nan", r.finite("value", ["a"]), False, outcomes({"p": {"a": outcome(value=[1, nan])}})),
    ("finite, one of two seeds", r.finite("value", ["a"]), False, outcomes({"p": {"a": [FALLING, BROKEN]}})),
    ("finite without a record", r.finite("value", ["a"]), False, outcomes({"p": {"a": NONE}})),
    ("diverges", r.diverges(["a"]), True, outcomes({"p": {"a": [BROKEN, BROKEN]}})),
    ("diverges, with one seed", r.diverges(["a"]), False, outcomes({"p": {"a": [BROKEN, FALLING]}})),
    ("diverges, one of two", r.diverges(["a", "b"]), False, outcomes({"p": {"a": BROKEN, "b": FALLING}})),
    ("the opposite", r.opposite(r.falls("value", ["a"])), True, outcomes({"p": {"a": RISING}})),
    ("the opposite", r.opposite(r.falls("value", ["a"])), False, outcomes({"p": {"a": FALLING}})),
]


@pytest.mark.parametrize(("check", "holds", "found"), [row[1:] for row in ALL], ids=[f"{r[0]}-{r[2]}" for r in ALL])
def test_it_holds_and_it_fails(check: Check, holds: bool, found: Outcomes):
    judged = check(found)
    assert judged is not None
    assert judged[0] is holds
    assert judged[1]


def test_a_statement_is_about_every_panel():
    own: dict[Any, Any] = {"a": outcome(value=[1]), "b": outcome(value=[2])}
    two = outcomes({"p": {"a": outcome(value=[2]), "b": outcome(value=[1])}, "q": own})
    assert r.ahead("value", "a", ["b"])(two) == (False, "p: a 2.00, b 1.00; q: a 1.00, b 2.00")
    assert r.ahead("value", "a", ["b"], panels=["p"])(two) == (True, "a 2.00, b 1.00")
    assert r.ahead("value", "a", ["b"], panels=["q"])(two) == (False, "a 1.00, b 2.00")


def test_panels_that_were_left_out_are_not_judged():
    some = replace(outcomes({"p": {"a": outcome(value=[1])}}), left_out=["q"])
    assert r.between("value", ["a"], 0, 2)(some) == (True, "a 1.00")
    assert r.between("value", ["a"], 0, 2, panels=["p", "q"])(some) == (True, "a 1.00")
    assert r.between("value", ["a"], 0, 2, panels=["q"])(some) is None
    assert r.opposite(r.between("value", ["a"], 0, 2, panels=["q"]))(some) is None
    with pytest.raises(KeyError):
        r.between("value", ["a"], 0, 2, panels=["r"])(some)


def test_the_figures_of_pairs_are_shown():
    pairs = {("0.1", "all"): outcome(value=[1]), ("1", "all"): outcome(value=[3])}
    assert r.within_factor("value", list(pairs), 2.0)(outcomes({"p": dict(pairs)})) == (
        False,
        "0.1, all 1.00, 1, all 3.00",
    )
