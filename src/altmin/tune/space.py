"""Which numbers of a method a search takes, and from where to where, made from what the numbers say of themselves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from numbers import Real
from typing import Any, NamedTuple, TypeVar, get_args, get_type_hints

from altmin.checks import check_number
from altmin.errors import nearest

SPREAD = 30.0
FLAG = "--search"
T = TypeVar("T")


@dataclass(frozen=True)
class Axis:
    """The values that a search may give to one number.

    Attributes:
        name: The number, those of a method's parts dotted: ``rule.lr``.
        start: What the first trial has; `None` where it is drawn as well.
        low: The least value.
        high: The largest value.
        log: Whether values are spread evenly by their logarithms.
        whole: Whether values are whole numbers.
        choices: The values where they are no range, such as names; else none.

    Example:
        >>> import altmin
        >>> [axis.name for axis in axes_of(altmin.BCD())]
        ['gamma', 'alpha']
        >>> axes_of(altmin.BCD(), ["gamma=0.01:10"])[0].high
        10.0
    """

    name: str
    start: Any
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    choices: tuple[Any, ...] = ()

    def distribution(self) -> Any:
        """The same in optuna's words."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


def axes_of(method: object, search: Sequence[str] = ()) -> tuple[Axis, ...]:
    """What is searched of a method's numbers.

    Args:
        method: The method, with the numbers that the first trial has.
        search: Numbers by name, or as ``NAME=LOW:HIGH``. Without any these are all positive real ones. A range that is
            not given goes from a thirtieth of the number to thirty times as much, by logarithms, cut to what is
            allowed; of a number that is bounded on both sides it is all that is allowed, evenly.

    Raises:
        ValueError: A number that does not exist, stands there twice, or has no range of that kind; nothing to search.
    """
    known = {number.name: number for number in _numbers(method)}
    if not search:
        found = tuple(_axis(number) for number in known.values() if number.searched)
        if not found:
            raise ValueError(f"{FLAG} must name what to search, such as NAME=LOW:HIGH: no number is positive and real")
        return found
    axes = [_named(text, known) for text in search]
    names = [axis.name for axis in axes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{FLAG} names {twice[0]} twice; keep one")
    return tuple(axes)


def with_numbers(method: T, values: Mapping[str, Any]) -> T:
    """`method` with other numbers, by their dotted names.

    Raises:
        ValueError: Numbers that the method refuses.

    Example:
        >>> import altmin
        >>> with_numbers(altmin.OnlineAM(), {"rule.lr": 0.5}).rule.lr
        0.5
    """
    parts: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        part, _, inner = name.partition(".")
        parts.setdefault(part, {})[inner] = value
    changes = {
        part: inner[""] if "" in inner else with_numbers(getattr(method, part), inner) for part, inner in parts.items()
    }
    return replace(method, **changes)  # type: ignore[type-var]


class _Number(NamedTuple):
    """A number of a method: its dotted name, present value, default, and what its field says of it."""

    name: str
    value: Any
    whole: bool
    default: Any
    allowed: Mapping[str, Any]

    @property
    def searched(self) -> bool:
        """Whether it is searched where nobody names what is."""
        value = self.value
        return isinstance(value, Real) and not isinstance(value, bool) and not self.whole and float(value) > 0

    @property
    def least(self) -> float:
        """The least value that is allowed."""
        above, least = self.allowed["above"], self.allowed["least"]
        return -math.inf if above is least is None else least if above is None else math.nextafter(above, math.inf)

    @property
    def most(self) -> float:
        """The largest value that is allowed."""
        return math.inf if self.allowed["most"] is None else self.allowed["most"]

    @property
    def bounded(self) -> bool:
        """Whether only so many values are allowed."""
        return math.isfinite(self.least) and math.isfinite(self.most)


def _numbers(method: Any, prefix: str = "") -> Iterator[_Number]:
    kinds = get_type_hints(type(method))
    for f in fields(method):
        value, kind = getattr(method, f.name), kinds[f.name]
        if is_dataclass(value):
            yield from _numbers(value, f"{prefix}{f.name}.")
        elif "help" in f.metadata:
            whole = int in (get_args(kind) or (kind,))
            yield _Number(f"{prefix}{f.name}", value, whole, f.default, f.metadata)


def _named(text: str, known: Mapping[str, _Number]) -> Axis:
    """The axis that a user's text stands for."""
    name, equals, ends = text.partition("=")
    number = known.get(name.replace("-", "_"))
    if number is None:
        raise ValueError(f"{FLAG} {text}: there is no number {name!r}; {nearest(name, list(known))}")
    if not equals:
        return _axis(number)
    low, colon, high = ends.partition(":")
    try:
        values = [(int if number.whole else float)(end) for end in (low, high)]
        for value in values:
            check_number(number.name, value, None, **number.allowed)
    except ValueError as error:
        wanted = "two whole numbers" if number.whole else "two numbers"
        raise ValueError(f"{FLAG} {text}: a range is {wanted}, LOW:HIGH ({error})") from error
    if not colon or not values[0] < values[1] < math.inf:
        raise ValueError(f"{FLAG} {text}: a range is LOW:HIGH, the lower number first")
    return _between(number, *values, log=values[0] > 0 and not number.bounded)


def _axis(number: _Number) -> Axis:
    """The axis that a number has without a range of its own."""
    if number.allowed["choices"] is not None or isinstance(number.value, bool):
        return Axis(number.name, number.value, choices=number.allowed["choices"] or (False, True))
    if number.bounded and not number.whole:
        return _between(number, number.least, number.most, log=False)
    if not isinstance(number.value, int | float) or number.value <= 0:
        why = f"{number.name} is {number.value}, which no range can be made around"
        raise ValueError(f"{FLAG} {number.name}: {why}; give one, such as {FLAG} {number.name}=LOW:HIGH")
    low, high = max(number.value / SPREAD, number.least), min(number.value * SPREAD, number.most)
    return _between(number, max(1, math.ceil(low)) if number.whole else low, high, log=True)


def _between(number: _Number, low: float, high: float, log: bool) -> Axis:
    value = number.value
    start = min(max(value, low), high) if isinstance(value, int | float) else None
    return Axis(number.name, start, low, high, log, number.whole)
