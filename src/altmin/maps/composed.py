"""A map with operations before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor

from altmin.maps.base import LinearMap, MapAt
from altmin.operations.base import Operation, OperationAt


@dataclass(frozen=True)
class Composed(LinearMap):
    """``core(W, b, f(a))``: pooling, reshaping and dropout `f` belong to the map behind them.

    Attributes:
        before: The operations, first to last; at least one.
        core: The map with the weights.

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

    def at(self, a: Tensor) -> MapAt:
        """The operations one after the other at `a`, every maximum taken where it is there, then the map."""
        before: list[OperationAt] = []
        for f in self.before:
            before.append(f.at(a))
            a = before[-1].value
        return MapAt(self.core, a, tuple(before))

    def sample(self, a: Tensor, generator: torch.Generator | None) -> Composed:
        """The map of one batch, its dropouts drawn for the samples of `a`."""
        out: list[Operation] = []
        for f in self.before:
            out.append(f.sample(a, generator))
            a = out[-1](a)
        return replace(self, before=tuple(out))

    def prepared(self, a: Tensor) -> Tensor:
        """``f(a)``, what the map with the weights takes."""
        return reduce(lambda value, f: f(value), self.before, a)

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The pre-activation ``core(W, b, f(a))``, ``(N, outputs, ...)``."""
        return self.core(W, b, self.prepared(a))

    def product(self, W: Tensor, a: Tensor) -> Tensor:
        """The value without the intercept."""
        return self.core.product(W, self.prepared(a))

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The derivative in the input at `a`, applied to `d`: the operations' in turn, then the map's."""
        return self.at(a).image(W, d)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in the input, the shape of `a`: the map's, then the operations' from the last."""
        return self.at(a).adjoint(W, r)

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in `W`, the shape of `W`: the map's at ``f(a)``."""
        return self.core.gradient(r, self.prepared(a))

    def rows(self, a: Tensor) -> Tensor:
        """The design of least squares, the map's at ``f(a)``."""
        return self.core.rows(self.prepared(a))

    def targets(self, z: Tensor) -> Tensor:
        """The right-hand side of least squares, as the map with the weights has it."""
        return self.core.targets(z)
