"""A small chart as inline SVG: lines with their names at their ends, and axes that fit them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import inf, isfinite, log10
from typing import Literal

from matplotlib.ticker import LogLocator, MaxNLocator

from altmin.study.plots import PERCENT
from altmin.train.picture import COLOURS, DASHES

WIDTH, LEFT, TOP, BOTTOM, LETTER, LINE = 340.0, 46.0, 8.0, 30.0, 5.6, 12.0
LEAST_HEIGHT, LETTERS_HIGH = 170.0, 10.0
DASHED = {"-": "", "--": "6 3", "-.": "6 3 1.5 3", ":": "1.5 3"}
TINY = 1e-300
LONGEST = 18  # letters of a name


@dataclass(frozen=True)
class ChartCurve:
    """A line of a chart.

    Attributes:
        name: What stands at its end.
        x: Places, which rise.
        y: A value at each place, perhaps nan.
        spread: What the band reaches to, above and below; empty for no band.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] = ()


@dataclass(frozen=True)
class ChartScale:
    """Values to places on the page.

    Equal steps are equal differences (``linear``), equal factors (``log``; values that are not positive have no place
    then), or equal factors of what lacks to 101 (``percent``, which gives room to accuracies near 100 %).

    Attributes:
        low: The least value.
        high: The largest.
        kind: ``linear``, ``log`` or ``percent``.
        start: The place of the least value.
        end: That of the largest.
    """

    low: float
    high: float
    kind: Literal["linear", "log", "percent"]
    start: float
    end: float

    @classmethod
    def of(cls, values: Sequence[float], start: float, end: float) -> ChartScale:
        """One that fits values: logarithmic where they span a factor of ten."""
        positive = [value for value in values if value > 0]
        if positive and max(positive) >= 10 * min(positive):
            return cls(min(positive), max(positive), "log", start, end)
        low, high = min(values, default=0.0), max(values, default=1.0)
        room = 0.04 * (high - low) or 0.5 * abs(high) or 1.0
        return cls(low - room, high + room, "linear", start, end)

    def __call__(self, value: float) -> float | None:
        """The place; `None` where there is none."""
        if not isfinite(value) or (self.kind == "log" and value <= 0):
            return None
        low, high, at = map(self._warped, (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def _warped(self, value: float) -> float:
        return {"linear": value, "log": log10(max(value, TINY)), "percent": -log10(max(101 - value, 0.1))}[self.kind]

    def ticks(self, most: int) -> list[float]:
        """Round values between its ends."""
        if self.kind == "percent":
            found = PERCENT
        elif self.kind == "log":
            few = log10(self.high / self.low) < 1.5
            found = LogLocator(subs=(1, 2, 5) if few else (1,), numticks=most).tick_values(self.low, self.high)
        else:
            found = MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(value) for value in found if self.low <= value <= self.high]


def chart(title: str, curves: Sequence[ChartCurve], percent: tuple[float, float] | None = None) -> str:
    """The SVG of curves by iteration; hovering reads `data-y`, which has every value.

    Args:
        title: What a screen reader says.
        curves: At least one with a finite value.
        percent: The least and the largest value of an axis in percent; by default there is one that fits the curves.
    """
    height = max(LEAST_HEIGHT, LINE * len(curves) + TOP + BOTTOM)
    right = LETTER * min(LONGEST, max(len(curve.name) for curve in curves)) + 10
    xs = [x for curve in curves for x in curve.x]
    across = ChartScale(min(xs), max(xs), "linear", LEFT, WIDTH - right)
    values = [y for curve in curves for y in curve.y if isfinite(y)]
    places = height - BOTTOM, TOP
    up = ChartScale.of(values, *places) if percent is None else ChartScale(*percent, "percent", *places)
    drawn = [_curve(i, curve, across, up) for i, curve in enumerate(curves)]
    labels = _labels(curves, up, WIDTH - right + 5, height - BOTTOM - 4)
    axes = _axes(across, up, height, WIDTH - right)
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title)}" '
        f'data-left="{LEFT:g}" data-right="{WIDTH - right:g}">{axes}{"".join(drawn)}{labels}</svg>'
    )


def number(value: float) -> str:
    """A value in four digits."""
    return f"{value:.4g}"


def colour(i: int) -> str:
    """That of the line `i`."""
    return COLOURS[i % len(COLOURS)]


def _curve(i: int, curve: ChartCurve, across: ChartScale, up: ChartScale) -> str:
    dashes = DASHED[DASHES[(i + i // len(COLOURS)) % len(DASHES)]]
    style = f'stroke="{colour(i)}"' + (f' stroke-dasharray="{dashes}"' if dashes else "")
    values = ",".join(number(y) if isfinite(y) else "" for y in curve.y)
    data = f'data-name="{escape(curve.name)}" data-x="{",".join(f"{x:g}" for x in curve.x)}" data-y="{values}"'
    if curve.spread:
        data += f' data-spread="{",".join(number(s) if isfinite(s) else "" for s in curve.spread)}"'
    return f'{_band(i, curve, across, up)}<path class="line" {data} {style} d="{_path(curve, across, up)}"/>'


def _path(curve: ChartCurve, across: ChartScale, up: ChartScale) -> str:
    """Strokes over all values that have a place; a dot where one has no neighbour."""
    places = [(across(x) or 0.0, up(y)) for x, y in zip(curve.x, curve.y, strict=True)]
    text, before = [], False
    for i, (x, y) in enumerate(places):
        if y is not None:
            alone = not before and (i + 1 == len(places) or places[i + 1][1] is None)
            text.append(f"{'L' if before else 'M'}{x:.1f} {y:.1f}{'h.1' if alone else ''}")
        before = y is not None
    return "".join(text)


def _band(i: int, curve: ChartCurve, across: ChartScale, up: ChartScale) -> str:
    """From a spread below the values to one above, clipped to the axis."""
    rows = [(across(x), y, s) for x, y, s in zip(curve.x, curve.y, curve.spread, strict=False) if isfinite(y + s)]
    sides = [[(x, up(min(max(y + sign * s, up.low), up.high))) for x, y, s in rows] for sign in (1, -1)]
    if len(rows) < 2:
        return ""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*sides[0], *reversed(sides[1])))
    return f'<polygon fill="{colour(i)}" opacity=".15" points="{points}"/>'


def _labels(curves: Sequence[ChartCurve], up: ChartScale, x: float, bottom: float) -> str:
    """Names beside the ends of the lines, moved apart."""
    ends = {i: _end(curve, up, bottom) for i, curve in enumerate(curves)}
    order = sorted(ends, key=ends.__getitem__)
    places = _apart([ends[i] for i in order], bottom)
    return "".join(
        f'<text x="{x:.1f}" y="{y + 3.5:.1f}" fill="{colour(i)}">{escape(_short(curves[i].name))}</text>'
        for i, y in zip(order, places, strict=True)
    )


def _end(curve: ChartCurve, up: ChartScale, bottom: float) -> float:
    found = [place for y in curve.y if (place := up(y)) is not None]
    return found[-1] if found else bottom


def _apart(places: Sequence[float], bottom: float) -> list[float]:
    """Places, which rise, at least a line apart, and none below `bottom`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + LINE if moved else -inf))
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], bottom - LINE * (len(moved) - 1 - i))
    return moved


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _axes(across: ChartScale, up: ChartScale, height: float, right: float) -> str:
    bottom = height - BOTTOM
    rows = {place: value for value in reversed(up.ticks(5)) if (place := up(value)) is not None}
    parts = [
        f'<path class="grid" d="M{LEFT:g} {y:.1f}H{right:g}"/>{_tick(LEFT - 4, y + 3.5, "end", _short_number(rows[y]))}'
        for y in _sparse(rows)
    ]
    whole = [x for x in across.ticks(5) if x == round(x)] or [across.low]
    parts += [_tick(across(x) or LEFT, bottom + 13, "middle", f"{x:g}") for x in whole]
    parts.append(f'<path class="axis" d="M{LEFT:g} {bottom:g}H{right:g}"/>')
    return "".join([*parts, _tick((LEFT + right) / 2, bottom + 26, "middle", "iteration")])


def _sparse(places: Iterable[float]) -> list[float]:
    """Those places, which rise, that have room for a number each."""
    found: list[float] = []
    for place in places:
        if not found or place - found[-1] >= LETTERS_HIGH:
            found.append(place)
    return found


def _short_number(value: float) -> str:
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:g}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _tick(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
