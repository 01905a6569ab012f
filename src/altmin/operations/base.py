"""What every operation offers: a map without weights between an activation and the next map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from altmin.errors import absent


class Operation:
    """A map `f` without weights that is linear, or, as max pooling is, linear on pieces.

    A subclass gives a call, `image` and `adjoint`; `altmin.converts` registers it for a module.

    Class attributes:
        role: What `altmin.converts` knows it as.
        feature: The name under which a method may refuse it; `None` where every method takes it.
        piecewise: Whether it is linear on pieces only.
        random: Whether it is to be drawn anew for every batch, by `sample`.
        keeps_width: Whether it gives as many features or channels as it takes.
        idle_on_rows: Whether it does nothing to samples that are rows.
    """

    role: ClassVar[str] = "operation"
    feature: ClassVar[str | None] = "pooling or reshaping"
    piecewise: ClassVar[bool] = False
    random: ClassVar[bool] = False
    keeps_width: ClassVar[bool] = False
    idle_on_rows: ClassVar[bool] = False

    @classmethod
    def of(cls, module: Any) -> Self:
        """The operation that a module computes.

        Args:
            module: Of a class that `altmin.converts` names.

        Raises:
            ValueError: Options of the module that are not supported.
        """
        return cls()

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports."""
        return () if self.feature is None else (self.feature,)

    def sample_size(self, behind: int | None) -> int | None:
        """The numbers of a sample that is a row, as the operation takes it; `None` where samples have axes.

        Args:
            behind: The same of what stands behind the operation.
        """
        return None

    def at(self, a: Tensor) -> OperationAt:
        """Its value and its derivatives at `a`, of which what both need is made once."""
        return OperationAt(self, a)

    def sample(self, like: Tensor, generator: torch.Generator | None) -> Operation:
        """The operation of one batch, with what is random in it drawn for samples shaped as `like`."""
        return self

    def __call__(self, a: Tensor) -> Tensor:
        """``f(a)`` for samples `a`, ``(N, ...)``."""
        raise absent(self, "__call__")

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f'(a) d``, the derivative at `a` applied to the movement `d`: the shape of ``f(a)``."""
        raise absent(self, "image")

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``f'(a)^T r``, the transposed derivative at `a`: the shape of `a`."""
        raise absent(self, "adjoint")


@dataclass(frozen=True)
class OperationAt:
    """An operation at one point: its value there and the linear operation that its derivative is.

    Attributes:
        operation: The operation.
        point: Samples, ``(N, ...)``.
    """

    operation: Operation
    point: Tensor

    @property
    def value(self) -> Tensor:
        """``f(a)`` at the point."""
        return self.operation(self.point)

    def image(self, d: Tensor) -> Tensor:
        """The derivative, applied to a movement `d` of the point: the shape of the value."""
        return self.operation.image(d, self.point)

    def adjoint(self, r: Tensor) -> Tensor:
        """The transposed derivative, the shape of the point."""
        return self.operation.adjoint(r, self.point)


class LinearOperation(Operation):
    """An operation that is its own derivative: ``f'(a) d = f(d)``."""

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """``f(d)``, the derivative at any `a` applied to the movement `d`."""
        return self(d)
