"""A map with operations before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from altmin.maps.linear import LinearMap
from altmin.operations.base import Dropout, Operation, Unflatten
from altmin.operations.pooling import MaxPool2d


@dataclass(frozen=True)
class Composed:
    """``core(W, b, f(a))``: pooling, reshaping and dropout `f` belong to the map behind them.

    Attributes:
        before: The operations, first to last; at least one.
        core: The map with the weights.
        known: An input and what each operation makes of the one before, where `at` has seen them.
    """

    before: tuple[Operation, ...]
    core: LinearMap
    known: tuple[Tensor, ...] = field(default=(), compare=False, repr=False)
    unfolds = True

    @property
    def bias(self) -> bool:
        """The core's."""
        return self.core.bias

    @property
    def outputs(self) -> int:
        """The core's."""
        return self.core.outputs

    @property
    def shape(self) -> tuple[int, ...]:
        """The core's."""
        return self.core.shape

    @property
    def features(self) -> int | None:
        """What the first operation that shapes the samples takes; `None` where they have axes of their own."""
        if not self.shaping:
            return self.core.features
        first = next(f for f in self.before if not isinstance(f, Dropout))
        return first.numbers if isinstance(first, Unflatten) else None

    @property
    def shaping(self) -> bool:
        """Whether there is more than dropout."""
        return not all(isinstance(f, Dropout) for f in self.before)

    @property
    def piecewise(self) -> bool:
        """Whether there is max pooling."""
        return any(isinstance(f, MaxPool2d) for f in self.before)

    @property
    def random(self) -> bool:
        """Whether there is dropout."""
        return any(isinstance(f, Dropout) for f in self.before)

    def at(self, a: Tensor) -> Composed:
        """The map with every maximum taken where it is at `a`, and the operations' values there."""
        fixed: list[Operation] = []
        points = [a]
        for f in self.before:
            fixed.append(f.at(points[-1]) if isinstance(f, MaxPool2d) else f)
            points.append(fixed[-1](points[-1]))
        return replace(self, before=tuple(fixed), known=tuple(points))

    def drawn(self, a: Tensor, generator: torch.Generator | None) -> Composed:
        """The map with its dropouts drawn for the samples of `a`."""
        out: list[Operation] = []
        for f in self.before:
            out.append(f.drawn(a, generator) if isinstance(f, Dropout) else f)
            a = out[-1](a)
        return replace(self, before=tuple(out))

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The core's value at ``f(a)``."""
        return self.core(W, b, self._points(a)[-1])

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The chain of the operations' derivatives and the core's."""
        for f, point in zip(self.before, self._points(a), strict=False):
            d = f.image(d, point)
        return self.core.image(W, d, a)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The same, transposed."""
        points = self._points(a)
        r = self.core.adjoint(W, r, points[-1])
        for f, point in zip(reversed(self.before), reversed(points[:-1]), strict=True):
            r = f.adjoint(r, point)
        return r

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The core's at ``f(a)``."""
        return self.core.gradient(r, self._points(a)[-1])

    def rows(self, a: Tensor) -> Tensor:
        """The core's at ``f(a)``."""
        return self.core.rows(self._points(a)[-1])

    def targets(self, z: Tensor) -> Tensor:
        """The core's."""
        return self.core.targets(z)

    def _points(self, a: Tensor) -> Sequence[Tensor]:
        """`a`, and what each operation makes of the one before."""
        if self.known and a is self.known[0]:
            return self.known
        points = [a]
        for f in self.before:
            points.append(f(points[-1]))
        return points
