"""What every map offers: how weights act on activations, and the least-squares problem that they pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from altmin.errors import absent
from altmin.operations.base import OperationAt


class Map:
    """A module with weights: its shape, and its weights as the matrix of a least-squares problem.

    The weights `W` are the matrix of ``targets ~ rows W^T``: ``(q, p)``, or ``(groups, q, p)`` for a map of several
    groups of channels.

    Class attributes:
        role: What `altmin.converts` knows it as.
        feature: The name under which a method may refuse it; `None` where every method takes it.
        normalised_by: The modules of normalisation that may stand behind it.
        recurrent: Whether it takes sequences, which are the data.
        dense: Whether its value is ``a W^T + b`` for samples that are rows, so that `rows` makes no copies.
        unfolds: Whether `rows` copies: statistics are then added up over pieces of the samples.

    Attributes:
        inputs: Width, or channels, of what it takes.
        outputs: Units, or channels, of what it gives.
        bias: Whether the intercept is trained; where it is not, it stays zero.
    """

    role: ClassVar[str] = "map"
    feature: ClassVar[str | None] = None
    normalised_by: ClassVar[tuple[type[nn.Module], ...]] = ()
    recurrent: ClassVar[bool] = False
    dense: ClassVar[bool] = False
    unfolds: bool = True

    inputs: int
    outputs: int
    bias: bool

    @classmethod
    def of(cls, module: Any) -> Self:
        """The map that a module computes.

        Args:
            module: Of a class that `altmin.converts` names, with parameters ``weight`` and ``bias`` (or `None`).

        Raises:
            ValueError: Options of the module that are not supported.
        """
        raise absent(cls, "of")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `W`."""
        raise absent(self, "shape")

    @property
    def sample_size(self) -> int | None:
        """The numbers of a sample that is a row; `None` where samples have axes of their own."""
        return None

    @property
    def piecewise(self) -> bool:
        """Whether the map is linear in its input on pieces only."""
        return False

    @property
    def random(self) -> bool:
        """Whether the map is to be drawn anew for every batch, by `sample`."""
        return False

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports."""
        return () if self.feature is None else (self.feature,)

    def matrix(self, weight: Tensor) -> Tensor:
        """The module's ``weight`` in the shape of `W`: a view, so that what is written there changes the module."""
        return weight

    def sample(self, a: Tensor, generator: torch.Generator | None) -> Self:
        """The map of one batch, with what is random in it drawn for the samples of `a`."""
        return self

    def at(self, a: Tensor) -> MapAt:
        """Its value and its derivatives at `a`, of which what both need is made once."""
        return MapAt(self, a)

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The pre-activation of input `a`, ``(N, outputs, ...)``."""
        raise absent(self, "__call__")


@dataclass(frozen=True)
class MapAt:
    """A map, and the operations before it, at one input: its value there, and the linear map that its derivative is.

    Attributes:
        map: The map with the weights.
        a: What it takes, ``(N, ...)``: what the operations make of the input.
        before: The operations at their points, first to last.

    Example:
        >>> import torch
        >>> from altmin.maps import Linear
        >>> near = Linear(2, 1).at(torch.tensor([[1.0, 2.0]]))
        >>> near.value(torch.tensor([[3.0, 4.0]]), torch.ones(1)), near.gradient(torch.ones(1, 1))
        (tensor([[12.]]), tensor([[1., 2.]]))
    """

    map: Any
    a: Tensor
    before: tuple[OperationAt, ...] = ()

    def value(self, W: Tensor, b: Tensor) -> Tensor:
        """The pre-activation, ``(N, outputs, ...)``."""
        return self.map(W, b, self.a)

    def image(self, W: Tensor, d: Tensor) -> Tensor:
        """The derivative in the input, applied to a movement `d` of its shape."""
        for f in self.before:
            d = f.image(d)
        return self.map.image(W, d, self.a)

    def adjoint(self, W: Tensor, r: Tensor) -> Tensor:
        """The transposed derivative in the input, the shape of the input."""
        r = self.map.adjoint(W, r, self.a)
        for f in reversed(self.before):
            r = f.adjoint(r)
        return r

    def gradient(self, r: Tensor) -> Tensor:
        """The transposed derivative in `W`, the shape of `W`."""
        return self.map.gradient(r, self.a)


class LinearMap(Map):
    """A map that is linear in its weights, plus an intercept, and linear in its input (max pooling: piecewise).

    A subclass gives `of`, `shape`, a call, and `image`, `adjoint`, `gradient`, `rows` and `targets`;
    `altmin.converts` registers it for a module.
    """

    def product(self, W: Tensor, a: Tensor) -> Tensor:
        """The value without the intercept, ``A W^T``; where the map is linear, the image of the input itself."""
        return self.image(W, a, a)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The derivative in the input at `a`, applied to the movement `d` of the shape of `a`; no intercept."""
        raise absent(self, "image")

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in the input: ``<adjoint(W, r, a), d> = <r, image(W, d, a)>``, the shape of `a`."""
        raise absent(self, "adjoint")

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in `W`, ``targets(r)^T rows(a)``, in the shape of `W`."""
        raise absent(self, "gradient")

    def rows(self, a: Tensor) -> Tensor:
        """The least-squares design, ``(N', p)``, for several groups ``(groups, N', p)``."""
        raise absent(self, "rows")

    def targets(self, z: Tensor) -> Tensor:
        """The least-squares right-hand side that belongs to `rows`, ``(N', q)`` or ``(groups, N', q)``."""
        raise absent(self, "targets")
