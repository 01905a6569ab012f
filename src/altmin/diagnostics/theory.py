"""What a method's convergence theory says of an iteration: its Lyapunov function, its `c_k` and its inequalities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from altmin.diagnostics.observed import Change
from altmin.diagnostics.stationarity import stationarity
from altmin.methods.base import Method
from altmin.sweep import Sweep


@dataclass(frozen=True)
class Look:
    """A method's objective at some variables.

    Attributes:
        terms: Its summands by name.
        residuals: Norms of the residuals by name.
        extra: What the method's Lyapunov function adds to it.
        numbers: The method's own changing numbers, such as ``rho``.
    """

    terms: dict[str, float]
    residuals: dict[str, float]
    extra: float
    numbers: dict[str, float]

    @property
    def lyapunov(self) -> float:
        """The value of the Lyapunov function."""
        return sum(self.terms.values()) + self.extra

    @property
    def size(self) -> float:
        """The sum of the summands' absolute values, in which rounding is measured."""
        return sum(map(abs, self.terms.values())) + abs(self.extra)


@dataclass(frozen=True)
class Iteration:
    """One iteration that was watched.

    Attributes:
        method: Whose it is.
        sweep: Its variables behind it.
        changes: What its block updates did, in their order.
        before: The objective before it.
        after: The objective behind it.
    """

    method: Any
    sweep: Sweep[Any]
    changes: list[Change]
    before: Look
    after: Look

    @property
    def k(self) -> int:
        """Its number, from 1."""
        return self.sweep.state.k

    @property
    def steady(self) -> bool:
        """Whether the method's own numbers stayed, so that it minimised what it had minimised before."""
        return self.before.numbers == self.after.numbers

    @property
    def descent(self) -> float:
        """By how much the Lyapunov function fell."""
        return self.before.lyapunov - self.after.lyapunov

    @property
    def plain(self) -> bool:
        """Whether all maps are fully connected layers: derivatives in the input are then products with ``W``."""
        return all(layer.map.dense for layer in self.sweep.layers) and not self.sweep.skip_targets

    @cached_property
    def stationarity(self) -> dict[str, float]:
        """The distance of each block from stationarity, behind the iteration."""
        return stationarity(self.sweep)

    def last(self, kind: str, layer: int) -> Change:
        """The last update of a block; no change where there was none."""
        found = [c for c in self.changes if (c.kind, c.layer) == (kind, layer)]
        return found[-1] if found else Change(kind, layer, 0.0)

    def lies_on_pieces(self, change: Change) -> bool:
        """Whether the layer above these activations has max pooling, so that they are lowered and not minimised."""
        return change.kind == "a" and change.layer + 1 < len(self.sweep.layers) and self._piecewise(change.layer + 1)

    def _piecewise(self, layer: int) -> bool:
        return self.sweep.layers[layer].map.piecewise


@dataclass
class Claims:
    """What a theory says of an iteration.

    Attributes:
        descent: By how much the Lyapunov function falls at least; `None` where nothing is claimed.
        bounds: Pairs ``(value, bound)`` by a property's name, ``value <= bound``; `None` where what it supposes fails.
        figures: Further numbers for the record.
    """

    descent: float | None = None
    bounds: dict[str, tuple[float, float] | None] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


class Theory:
    """What is known of any penalty method: nothing but how far its blocks move."""

    descent = "sufficient descent"

    def extra(self, method: Any, sweep: Sweep[Any]) -> float:
        """What the Lyapunov function adds to the objective."""
        return 0.0

    def squares(self, it: Iteration) -> float:
        """What ``c_k`` is the running minimum of: ``sum_v ||v_{k+1} - v_k||^2`` unless the paper has another sum."""
        return sum(c.square for c in it.changes)

    def claims(self, it: Iteration) -> Claims:
        """What is claimed of an iteration."""
        return Claims()


THEORIES: dict[type[Method], Theory] = {}
"""The theory of each class of methods, and of those that derive from it."""


def theory(*methods: type[Method]) -> Callable[[type[Theory]], type[Theory]]:
    """Register a class of theories for classes of methods."""

    def register(cls: type[Theory]) -> type[Theory]:
        THEORIES.update(dict.fromkeys(methods, cls()))
        return cls

    return register


def theory_of(method: Method) -> Theory:
    """The theory of a method: that of its class, or of the nearest one that it derives from."""
    return next((THEORIES[cls] for cls in type(method).__mro__ if cls in THEORIES), Theory())
