"""Products of parameters: the fast run takes as many of a test's cases as hold every few values together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest


def leave_to_the_slow_run(items: Iterable[pytest.Item]) -> None:
    """Mark as slow what ``@pytest.mark.thinned(n)`` does not ask for: that values of any `n` parameters meet once."""
    tests: dict[tuple[Any, ...], list[pytest.Function]] = {}
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("thinned"):
            tests.setdefault((item.path, item.cls, item.originalname), []).append(item)
    for cases in tests.values():
        mark = cases[0].get_closest_marker("thinned")
        assert mark is not None
        for i in left_out([case.callspec.params for case in cases], *mark.args):
            cases[i].add_marker(pytest.mark.slow)


def left_out(cases: Sequence[Mapping[str, Any]], together: int) -> set[int]:
    """The numbers of the cases that are not needed, where those are taken first in which most values meet anew."""
    left = {i: met(case, together) for i, case in enumerate(cases)}
    seen: set[Any] = set()
    while left:
        best = max(left, key=lambda i: len(left[i] - seen))
        if left[best] <= seen:
            break
        seen |= left.pop(best)
    return set(left)


def met(case: Mapping[str, Any], together: int) -> set[Any]:
    """The values of every so many parameters."""
    return set(combinations([(name, repr(value)) for name, value in sorted(case.items())], together))
