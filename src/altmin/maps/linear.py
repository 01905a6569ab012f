"""Affine maps between layers: how the weights act on activations, and the least-squares problem they pose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


class LinearMap(Protocol):
    """A map that is linear in its weights and in its input, plus an intercept."""

    bias: bool

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The pre-activation of input `a`."""
        ...

    def adjoint(self, W: Tensor, r: Tensor) -> Tensor:
        """What the transpose in `a` makes of `r`: ``<a W^T, r>`` is the inner product of `a` and this."""
        ...

    def rows(self, a: Tensor) -> Tensor:
        """The least-squares design ``(N', p)`` of the weights."""
        ...

    def targets(self, z: Tensor) -> Tensor:
        """The least-squares right-hand side ``(N', q)`` that belongs to `rows`."""
        ...


@dataclass(frozen=True)
class Linear:
    """``a W^T + b`` with `W` of shape ``(outputs, inputs)``, as in `torch.nn.Linear`.

    Attributes:
        inputs: Width of the layer below.
        outputs: Width of this layer.
        bias: Whether the intercept `b` is trained; where it is not, `b` stays zero.
    """

    inputs: int
    outputs: int
    bias: bool = True

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """``a W^T + b``, shape ``(N, outputs)``."""
        return b.addmm(a, W.T)

    def adjoint(self, W: Tensor, r: Tensor) -> Tensor:
        """``r W``, shape ``(N, inputs)``."""
        return r @ W

    def rows(self, a: Tensor) -> Tensor:
        """`a` itself: one row a sample."""
        return a

    def targets(self, z: Tensor) -> Tensor:
        """`z` itself: one row a sample."""
        return z
