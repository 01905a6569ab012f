"""What the fast run leaves to the slow one of a product of parameters."""

from __future__ import annotations

from itertools import combinations, product

import pytest

from thinned import left_out

AXES = {"a": range(4), "b": "xyz", "c": (None, 1.5), "d": (True, False)}
CASES = [dict(zip(AXES, values, strict=True)) for values in product(*AXES.values())]


@pytest.mark.parametrize(("together", "most"), [(1, 4), (2, 15), (3, 32)])
def test_any_few_values_meet_in_the_fast_run_and_no_case_is_lost(together: int, most: int):
    """As many cases as the largest few axes have values together are needed, and hardly more are taken."""
    slow = left_out(CASES, together)
    fast = [case for i, case in enumerate(CASES) if i not in slow]
    assert len(fast) + len(slow) == len(CASES)
    assert len(fast) <= most
    for names in combinations(AXES, together):
        seen = {tuple(case[name] for name in names) for case in fast}
        assert seen == set(product(*(AXES[name] for name in names)))


def test_values_that_never_meet_are_not_asked_for():
    """As where not every method takes every network."""
    cases = [{"name": name, "net": net} for name, net in (("p", 1), ("q", 1), ("q", 2), ("r", 2))]
    assert left_out(cases, 1) == {1}
    assert left_out(cases, 2) == set()
