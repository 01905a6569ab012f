"""Ranks, as far as seeds tell methods apart: against SciPy's tests, and by what they must not tell."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from altmin.study.ranks import LEVEL, p_value, ranks, told_apart


def by_seed(values: list[float]) -> dict[int, float]:
    return dict(enumerate(values))


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_probability_is_that_of_the_paired_test(count: int, generator: torch.Generator):
    one, other = torch.rand(2, count, dtype=torch.float64, generator=generator).tolist()
    found = p_value([a - b for a, b in zip(one, other, strict=True)])
    assert found == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_pairs_are_told_apart_by_holms_procedure(generator: torch.Generator):
    """Against the adjusted probabilities, written as their definition."""
    means = torch.tensor([0.0, 0.3, 0.5, 2.0, 2.05], dtype=torch.float64)
    drawn = means[:, None] + 0.3 * torch.randn(5, 6, dtype=torch.float64, generator=generator)
    figures = {name: by_seed(row) for name, row in zip("abcde", drawn.tolist(), strict=True)}
    pairs = [(a, b) for i, a in enumerate("abcde") for b in "abcde"[i + 1 :]]
    raw = {(a, b): stats.ttest_rel(list(figures[a].values()), list(figures[b].values())).pvalue for a, b in pairs}
    order = sorted(pairs, key=raw.__getitem__)
    adjusted = {pair: max((10 - j) * raw[order[j]] for j in range(i + 1)) for i, pair in enumerate(order)}
    expected = {frozenset(pair) for pair, p in adjusted.items() if p < LEVEL}
    found = told_apart(figures)
    assert 0 < len(expected) < len(pairs)
    assert {frozenset(pair) for pair in found} == expected
    assert all(sum(figures[better].values()) > sum(figures[worse].values()) for better, worse in found)


def test_places_span_what_cannot_be_told():
    figures = {"a": [0.90, 0.91, 0.92], "b": [0.905, 0.905, 0.93], "c": [0.10, 0.11, 0.12]}
    assert ranks({name: by_seed(values) for name, values in figures.items()}) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def test_one_seed_tells_nothing():
    assert ranks({"a": {0: 0.9}, "b": {0: 0.1}}) == {"a": (1, 2), "b": (1, 2)}


def test_only_seeds_of_both_are_paired():
    assert told_apart({"a": {0: 0.9, 1: 0.9}, "b": {1: 0.1, 2: 0.1}}) == []


def test_one_sample_more_in_each_of_three_seeds_is_no_certainty():
    """Shares of 100 samples: without a least deviation the test would be certain of equal differences."""
    figures = {"a": by_seed([0.95, 0.96, 0.97]), "b": by_seed([0.94, 0.95, 0.96])}
    assert told_apart(figures, least=0.01) == []
    assert told_apart({"a": figures["a"], "b": by_seed([0.5, 0.51, 0.52])}, least=0.01) == [("a", "b")]


def test_three_seeds_of_many_methods_alike_are_rarely_told_apart(generator: torch.Generator):
    """Of what is alike any pair is told apart in at most one of twenty comparisons."""
    drawn = torch.randn(200, 6, 3, dtype=torch.float64, generator=generator).tolist()
    false = sum(bool(told_apart({str(i): by_seed(row) for i, row in enumerate(each)})) for each in drawn)
    assert false / 200 <= LEVEL + 0.03


def test_what_is_equal_everywhere_is_not_told_apart():
    assert told_apart({"a": by_seed([0.5, 0.6]), "b": by_seed([0.5, 0.6])}) == []
