"""A map with operations before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

import torch
from torch import Tensor

from altmin.maps.base import LinearMap
from altmin.operations.base import Operation


@dataclass(frozen=True)
class Composed(LinearMap):
    """``core(W, b, f(a))``: pooling, reshaping and dropout `f` belong to the map behind them.

    Attributes:
        before: The operations, first to last; at least one.
        core: The map with the weights.
        points: An input and what each operation makes of the one before, where `at` has computed them.

    Examples:
        >>> import torch
        >>> from altmin.maps import Linear
        >>> from altmin.operations import Flatten
        >>> flat = Composed((Flatten(),), Linear(4, 1))
        >>> flat(torch.ones(1, 4), torch.zeros(1), torch.ones(3, 1, 2, 2)).flatten()
        tensor([4., 4., 4.])
    """

    before: tuple[Operation, ...]
    core: LinearMap
    points: tuple[Tensor, ...] = field(default=(), compare=False, repr=False)

    @property
    def inputs(self) -> int:  # type: ignore[reportIncompatibleVariableOverride]
        """Width, or channels, of what the map with the weights takes."""
        return self.core.inputs

    @property
    def outputs(self) -> int:  # type: ignore[reportIncompatibleVariableOverride]
        """Units, or channels, of the pre-activation."""
        return self.core.outputs

    @property
    def bias(self) -> bool:  # type: ignore[reportIncompatibleVariableOverride]
        """Whether the intercept is trained."""
        return self.core.bias

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `W`."""
        return self.core.shape

    @property
    def sample_size(self) -> int | None:
        """The numbers of a sample that is a row, as the operations and the map behind them take it."""
        return reduce(lambda size, f: f.sample_size(size), reversed(self.before), self.core.sample_size)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports: the map's, then the operations'."""
        return tuple(dict.fromkeys(name for part in (self.core, *self.before) for name in part.features))

    @property
    def piecewise(self) -> bool:
        """Whether an operation is linear on pieces only, as max pooling is."""
        return any(f.piecewise for f in self.before)

    @property
    def random(self) -> bool:
        """Whether an operation is to be drawn anew for every batch, as dropout is."""
        return any(f.random for f in self.before)

    def matrix(self, weight: Tensor) -> Tensor:
        """The module's ``weight`` in the shape of `W`, a view."""
        return self.core.matrix(weight)

    def at(self, a: Tensor) -> Composed:
        """The map with every maximum taken where it is at `a`, and the operations' values there."""
        fixed: list[Operation] = []
        points = [a]
        for f in self.before:
            fixed.append(f.at(points[-1]))
            points.append(fixed[-1](points[-1]))
        return replace(self, before=tuple(fixed), points=tuple(points))

    def sample(self, a: Tensor, generator: torch.Generator | None) -> Composed:
        """The map of one batch, its dropouts drawn for the samples of `a`."""
        out: list[Operation] = []
        for f in self.before:
            out.append(f.sample(a, generator))
            a = out[-1](a)
        return replace(self, before=tuple(out))

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The pre-activation ``core(W, b, f(a))``, ``(N, outputs, ...)``."""
        return self.core(W, b, self._points(a)[-1])

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The derivative in the input at `a`, applied to `d`: the operations' in turn, then the map's."""
        for f, point in zip(self.before, self._points(a), strict=False):
            d = f.image(d, point)
        return self.core.image(W, d, a)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in the input, the shape of `a`: the map's, then the operations' from the last."""
        points = self._points(a)
        r = self.core.adjoint(W, r, points[-1])
        for f, point in zip(reversed(self.before), reversed(points[:-1]), strict=True):
            r = f.adjoint(r, point)
        return r

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in `W`, the shape of `W`: the map's at ``f(a)``."""
        return self.core.gradient(r, self._points(a)[-1])

    def rows(self, a: Tensor) -> Tensor:
        """The design of least squares, the map's at ``f(a)``."""
        return self.core.rows(self._points(a)[-1])

    def targets(self, z: Tensor) -> Tensor:
        """The right-hand side of least squares, as the map with the weights has it."""
        return self.core.targets(z)

    def _points(self, a: Tensor) -> Sequence[Tensor]:
        """`a`, and what each operation makes of the one before."""
        if self.points and a is self.points[0]:
            return self.points
        points = [a]
        for f in self.before:
            points.append(f(points[-1]))
        return points
