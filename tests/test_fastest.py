"""The faster of several ways is found out once."""

from __future__ import annotations

import time

import pytest
import torch

from altmin import fastest as module
from altmin.fastest import TRIALS, fastest


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_FOUND", {})


def test_the_faster_way_is_measured_once_for_a_key_and_number_of_threads(monkeypatch: pytest.MonkeyPatch):
    calls = []
    ways = [lambda: time.sleep(0.02), lambda: calls.append(1)]
    assert [fastest("key", ways) for _ in range(3)] == [1, 1, 1]
    assert len(calls) == TRIALS
    assert fastest("another", ways[::-1]) == 0
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    assert fastest("key", ways) == 1
    assert len(calls) == 3 * TRIALS


def test_a_single_slow_trial_does_not_decide():
    seconds = iter([0.05, *[0.0] * (TRIALS - 1)])
    assert fastest("key", [lambda: time.sleep(next(seconds)), lambda: time.sleep(0.01)]) == 0
