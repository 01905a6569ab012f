"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from altmin.maps.base import LinearMap
from altmin.registration import converts


@converts(nn.Linear)
@dataclass(frozen=True)
class Linear(LinearMap):
    """``a W^T + b`` with `W` of shape ``(outputs, inputs)``, as in `torch.nn.Linear`.

    Attributes:
        inputs: Width of the layer below.
        outputs: Width of this layer.
        bias: Whether the intercept `b` is trained.

    Examples:
        >>> import torch
        >>> Linear(2, 1)(torch.tensor([[1.0, 2.0]]), torch.tensor([3.0]), torch.tensor([[10.0, 1.0]]))
        tensor([[15.]])
    """

    inputs: int
    outputs: int
    bias: bool = True
    normalised_by = nn.BatchNorm1d, nn.LayerNorm, nn.GroupNorm
    dense = True
    unfolds = False

    @classmethod
    def of(cls, module: nn.Linear) -> Self:
        """The map of an `nn.Linear`."""
        return cls(module.in_features, module.out_features, module.bias is not None)

    @property
    def sample_size(self) -> int:
        """The numbers of a sample, `inputs`."""
        return self.inputs

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of `W`, ``(outputs, inputs)``."""
        return self.outputs, self.inputs

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """``a W^T + b``, ``(N, outputs)``, for `a` of shape ``(N, inputs)``."""
        return b.addmm(a, W.T)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """``d W^T``, ``(N, outputs)``: the derivative in the input, applied to `d`."""
        return d @ W.T

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """``r W``, ``(N, inputs)``: the transposed derivative in the input."""
        return r @ W

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """``r^T a``, ``(outputs, inputs)``: the transposed derivative in `W`."""
        return r.T @ a

    def rows(self, a: Tensor) -> Tensor:
        """The design of least squares: `a` itself, one row a sample."""
        return a

    def targets(self, z: Tensor) -> Tensor:
        """The right-hand side of least squares: `z` itself, one row a sample."""
        return z
