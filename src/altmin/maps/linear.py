"""Affine maps between layers: how the weights act on activations, and the least-squares problem they pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor


class LinearMap(Protocol):
    """A map that is linear in its weights, plus an intercept, and linear in its input (max pooling: piecewise).

    The weights `W` are the matrix of the least-squares problem ``targets(z) ~ rows(a) W^T``: ``(q, p)``, or
    ``(groups, q, p)`` for a map of several groups of channels.
    """

    @property
    def bias(self) -> bool:
        """Whether the intercept is trained; where it is not, it stays zero."""
        ...

    @property
    def features(self) -> int | None:
        """The numbers that a flat sample has; `None` where samples have axes of their own."""
        ...

    @property
    def outputs(self) -> int:
        """Units, or channels, of the pre-activation."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `W`."""
        ...

    @property
    def unfolds(self) -> bool:
        """Whether `rows` copies: statistics are then added up over pieces of the samples."""
        ...

    @property
    def piecewise(self) -> bool:
        """Whether the map is linear in its input on pieces only."""
        ...

    def at(self, a: Tensor) -> Self:
        """The linear map that this is near `a`: worth having where derivatives at one point are taken repeatedly."""
        ...

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The pre-activation of input `a`."""
        ...

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The derivative in the input at `a`, applied to the movement `d` (no intercept)."""
        ...

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transpose of `image`: its product with any `d` is that of ``image(W, d, a)`` with `r`."""
        ...

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative in `W`, ``targets(r)^T rows(a)``, in the shape of `W`."""
        ...

    def rows(self, a: Tensor) -> Tensor:
        """The least-squares design, ``(N', p)``, for several groups ``(groups, N', p)``."""
        ...

    def targets(self, z: Tensor) -> Tensor:
        """The least-squares right-hand side that belongs to `rows`, ``(N', q)`` or ``(groups, N', q)``."""
        ...


@dataclass(frozen=True)
class Linear:
    """``a W^T + b`` with `W` of shape ``(outputs, inputs)``, as in `torch.nn.Linear`.

    Attributes:
        inputs: Width of the layer below.
        outputs: Width of this layer.
        bias: Whether the intercept `b` is trained.
    """

    inputs: int
    outputs: int
    bias: bool = True
    unfolds = False
    piecewise = False

    @property
    def features(self) -> int:
        """`inputs`."""
        return self.inputs

    @property
    def shape(self) -> tuple[int, int]:
        """``(outputs, inputs)``."""
        return self.outputs, self.inputs

    def at(self, a: Tensor) -> Self:
        """The same."""
        return self

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """``a W^T + b``, shape ``(N, outputs)``."""
        return b.addmm(a, W.T)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """``d W^T``, shape ``(N, outputs)``."""
        return d @ W.T

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """``r W``, shape ``(N, inputs)``."""
        return r @ W

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """``r^T a``, shape ``(outputs, inputs)``."""
        return r.T @ a

    def rows(self, a: Tensor) -> Tensor:
        """`a` itself: one row a sample."""
        return a

    def targets(self, z: Tensor) -> Tensor:
        """`z` itself: one row a sample."""
        return z
