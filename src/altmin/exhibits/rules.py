"""Statements about outcomes that can be false; a check gives whether it holds, and the figures that tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import wraps
from itertools import pairwise
from typing import Any

from altmin.exhibits.exhibit import Check, Judgement, title
from altmin.exhibits.outcomes import Outcomes


def in_every_panel(look: Callable[..., tuple[bool, str]]) -> Callable[..., Check]:
    """Make a maker of checks of a look at one panel; the statement holds if it does in every panel.

    The maker takes what the look takes behind outcomes and panel, and `panels` for some of them only. A statement about
    nothing but panels that were left out is not judged.
    """

    def judge(outcomes: Outcomes, panels: Sequence[str] | None, *args: Any, **more: Any) -> Judgement:
        asked = [panel for panel in panels or outcomes.panels if panel not in outcomes.left_out]
        if not asked:
            return None
        found = {panel: look(outcomes, panel, *args, **more) for panel in asked}
        seen = [text if len(found) == 1 else f"{panel}: {text}" for panel, (_, text) in found.items()]
        return all(holds for holds, _ in found.values()), "; ".join(seen)

    @wraps(look)
    def make(*args: Any, panels: Sequence[str] | None = None, **more: Any) -> Check:
        return lambda outcomes: judge(outcomes, panels, *args, **more)

    return make


def _means(outcomes: Outcomes, panel: str, column: str, arms: Sequence[Any]) -> tuple[list[float], str]:
    """The means of a column, and the same in words."""
    means = [outcomes.mean(panel, arm, column) for arm in arms]
    text = outcomes.columns[column].text
    return means, ", ".join(f"{title(arm)} {text(mean)}" for arm, mean in zip(arms, means, strict=True))


@in_every_panel
def ahead(o: Outcomes, panel: str, column: str, arm: Any, others: Sequence[Any], less: float = 0.0) -> tuple[bool, str]:
    """The mean of `column` is larger with `arm` than with each of the others, or, with `less`, at most that smaller.

    Where one of the others is nan, `arm` is ahead of it; where its own mean is nan, it is ahead of none.
    """
    (own, *rest), seen = _means(o, panel, column, [arm, *others])
    behind = [value - own for value in rest if not math.isnan(value)]
    return not math.isnan(own) and all(b <= less if less else b < 0 for b in behind), seen


@in_every_panel
def below(o: Outcomes, panel: str, column: str, arm: Any, others: Sequence[Any]) -> tuple[bool, str]:
    """The mean of `column` is smaller with `arm` than with each of the others; nan is larger than any number."""
    (own, *rest), seen = _means(o, panel, column, [arm, *others])
    return not math.isnan(own) and all(own < value or math.isnan(value) for value in rest), seen


@in_every_panel
def between(o: Outcomes, panel: str, column: str, arms: Sequence[Any], low: float, high: float) -> tuple[bool, str]:
    """The mean of `column` lies between two numbers with each of the arms."""
    means, seen = _means(o, panel, column, arms)
    return all(low <= mean <= high for mean in means), seen


@in_every_panel
def alike(o: Outcomes, panel: str, column: str, arms: Sequence[Any], within: float) -> tuple[bool, str]:
    """The means of `column` with the arms differ by at most `within`; nan is like no number."""
    means, seen = _means(o, panel, column, arms)
    if any(map(math.isnan, means)):
        return False, seen
    text = o.columns[column].text
    return max(means) - min(means) <= within, f"from {text(min(means))} to {text(max(means))}"


@in_every_panel
def within_factor(o: Outcomes, panel: str, column: str, arms: Sequence[Any], factor: float) -> tuple[bool, str]:
    """The largest mean of `column` with the arms is at most `factor` times the smallest, and none is nan."""
    means, seen = _means(o, panel, column, arms)
    return not any(map(math.isnan, means)) and max(means) <= factor * min(means), seen


@in_every_panel
def at_most_times(o: Outcomes, panel: str, column: str, arm: Any, factor: float, other: Any) -> tuple[bool, str]:
    """The mean of `column` with `arm` is at most `factor` times that with the other."""
    (own, reference), seen = _means(o, panel, column, [arm, other])
    return own <= factor * reference, seen


@in_every_panel
def grows(o: Outcomes, panel: str, column: str, arms: Sequence[Any], slack: float = 0.1) -> tuple[bool, str]:
    """From arm to arm the mean of `column` grows, or falls by at most a share of `slack`; the last is the larger."""
    means, seen = _means(o, panel, column, arms)
    return all(b >= (1 - slack) * a for a, b in pairwise(means)) and means[-1] > means[0], seen


@in_every_panel
def falls(o: Outcomes, panel: str, figure: str, arms: Sequence[Any], slack: float = 1e-6) -> tuple[bool, str]:
    """A figure never rises from one record to the next, but by rounding, with any of the arms and seeds.

    To nan is a rise, and so is the end of a training that diverged.
    """
    found = [(outcome.curve(figure), outcome.diverged) for arm in arms for outcome in o.found[panel, arm]]
    steps = [step for curve, _ in found for step in pairwise(curve)]
    rises = sum(not b <= a + slack * abs(a) for a, b in steps)
    ended = sum(diverged for _, diverged in found)
    seen = f"{rises} rises of {len(steps)}" + (f", {ended} of {len(found)} diverged" if ended else "")
    return rises == ended == 0 and bool(steps), seen


@in_every_panel
def finite(o: Outcomes, panel: str, figure: str, arms: Sequence[Any]) -> tuple[bool, str]:
    """A figure is a finite number in every record, with every one of the arms and seeds, and none diverged."""
    found = [(outcome.curve(figure), outcome.diverged) for arm in arms for outcome in o.found[panel, arm]]
    values = [value for curve, _ in found for value in curve]
    count, ended = sum(map(math.isfinite, values)), sum(diverged for _, diverged in found)
    seen = f"{count} of {len(values)} records" + (f", {ended} of {len(found)} diverged" if ended else "")
    return count == len(values) and not ended and all(curve for curve, _ in found), seen


@in_every_panel
def fluctuates(o: Outcomes, panel: str, figure: str, arms: Sequence[Any], share: float = 0.1) -> tuple[bool, str]:
    """A figure rises in at least this share of the records, with every arm and seed; a training that diverged does."""
    outcomes = [outcome for arm in arms for outcome in o.found[panel, arm]]
    shares = [1.0 if outcome.diverged else _rising(outcome.curve(figure)) for outcome in outcomes]
    least, most = min(shares, default=0.0), max(shares, default=0.0)
    return least >= share, f"rises in {least:.0%} to {most:.0%} of the records"


def _rising(curve: Sequence[float]) -> float:
    """The share of records in which a figure rises."""
    return sum(b > a for a, b in pairwise(curve)) / max(1, len(curve) - 1)


@in_every_panel
def diverges(o: Outcomes, panel: str, arms: Sequence[Any]) -> tuple[bool, str]:
    """Every training of the arms diverges."""
    found = [outcome.diverged for arm in arms for outcome in o.found[panel, arm]]
    return all(found), f"{sum(found)} of {len(found)} diverged"


def opposite(check: Check) -> Check:
    """The statement that another one is false."""

    def judge(outcomes: Outcomes) -> Judgement:
        judged = check(outcomes)
        return judged and (not judged[0], judged[1])

    return judge
