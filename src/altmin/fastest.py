"""Choices that hold on one processor only: the faster of several ways to compute the same, found out where it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence

import torch

TRIALS = 3
_FOUND: dict[Hashable, int] = {}


def fastest(key: Hashable, ways: Sequence[Callable[[], object]]) -> int:
    """The index of the way that takes least time here, measured once for each key and number of threads.

    The ways take turns, and the quickest of a few trials of each counts. What they compute must be the same to the bit:
    the choice may differ from one run to the next.

    Args:
        key: What the time depends on, such as shapes and dtype.
        ways: Functions that compute the same.

    Example:
        >>> fastest("a sum", [lambda: sum(range(100_000)), lambda: 4_999_950_000])
        1
    """
    whole = key, torch.get_num_threads()
    if whole not in _FOUND:
        rounds = [[_seconds(way) for way in ways] for _ in range(TRIALS)]
        times = [min(of_one) for of_one in zip(*rounds, strict=True)]
        _FOUND[whole] = times.index(min(times))
    return _FOUND[whole]


def _seconds(way: Callable[[], object]) -> float:
    start = time.perf_counter()
    way()
    return time.perf_counter() - start
