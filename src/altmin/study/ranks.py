"""Which of several methods is ahead of which, as far as the same seeds of both tell."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import sqrt
from statistics import fmean, stdev

LEVEL = 0.05
RULE = (
    "A rank is from the best to the worst place that a method may have, by a paired t-test over the seeds, "
    f"two-sided, at {LEVEL:.0%} with Holm's correction for all pairs"
)

BySeed = Mapping[int, float]


def ranks(figures: Mapping[str, BySeed], least: float = 0.0) -> dict[str, tuple[int, int]]:
    """The best and the worst place that each method may have.

    Two methods whose places overlap cannot be told apart. Of one seed nothing is told, and every method may have any
    place.

    Args:
        figures: Of each method a figure by seed, of which more is better.
        least: The least standard deviation that a difference of two is taken to have; see `p_value`.

    Example:
        >>> seeds = range(4)
        >>> good, fair = ({seed: mean + 0.01 * (seed % 2) for seed in seeds} for mean in (0.97, 0.90))
        >>> ranks({"good": good, "fair": fair, "also fair": fair}, least=0.001)
        {'good': (1, 1), 'fair': (2, 3), 'also fair': (2, 3)}
    """
    apart = told_apart(figures, least)
    better = {name: sum(worse == name for _, worse in apart) for name in figures}
    worse = {name: sum(better == name for better, _ in apart) for name in figures}
    return {name: (1 + better[name], len(figures) - worse[name]) for name in figures}


def told_apart(figures: Mapping[str, BySeed], least: float = 0.0) -> list[tuple[str, str]]:
    """The pairs of methods, the better one first, whose means differ by more than their seeds do.

    Holm's procedure: the smallest of m probabilities is held against `LEVEL` / m, the next one against `LEVEL` /
    (m - 1) and so on, up to the first that is not below. So the chance that any two methods that are alike are told
    apart is at most `LEVEL`.

    Args:
        figures: As of `ranks`.
        least: As of `ranks`.
    """
    pairs = [(*_differences(figures, pair), pair) for pair in combinations(figures, 2)]
    known = sorted((p_value(found, least), mean, pair) for mean, found, pair in pairs if len(found) > 1)
    apart = []
    for i, (p, mean, (one, other)) in enumerate(known):
        if p >= LEVEL / (len(known) - i):
            break
        apart.append((one, other) if mean > 0 else (other, one))
    return apart


def _differences(figures: Mapping[str, BySeed], pair: tuple[str, str]) -> tuple[float, list[float]]:
    """The mean of the differences of two methods in the seeds that both have, and these."""
    one, other = (figures[name] for name in pair)
    found = [value - other[seed] for seed, value in one.items() if seed in other]
    return fmean(found) if found else 0.0, found


def p_value(differences: list[float], least: float = 0.0) -> float:
    """The probability of a mean so far from 0, or farther, of differences that are normal around 0: Student's t-test.

    Args:
        differences: Two or more.
        least: The least standard deviation that they are taken to have. Shares of few samples are equal by chance:
            three seeds in which one method has one sample more right than another are no certainty.

    Example:
        >>> round(p_value([0.02, 0.01, 0.03]), 4)
        0.0742
        >>> round(p_value([0.01, 0.01, 0.01], least=0.01), 4)
        0.2254
    """
    from scipy.special import stdtr

    n, mean, deviation = len(differences), fmean(differences), max(least, stdev(differences))
    if deviation == 0.0:
        return float(mean == 0.0)
    return float(2.0 * stdtr(n - 1, -abs(mean) / (deviation / sqrt(n))))
