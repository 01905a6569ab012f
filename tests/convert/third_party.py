"""What a user's own file would hold: a map, an operation, an activation, a loss and a regulariser, all registered."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import altmin
from altmin.activations import Piece, PiecewiseLinear
from altmin.losses import Loss
from altmin.maps import LinearMap
from altmin.operations import LinearOperation
from altmin.regularizers import Regularizer


class Bent(nn.Module):
    """``max(z, z/2 - 1/2)``: half the slope below -1."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.maximum(x, 0.5 * x - 0.5)


@altmin.converts(Bent)
class BentActivation(PiecewiseLinear):
    """The activation of `Bent`."""

    def __init__(self):
        super().__init__((Piece(-math.inf, -1.0, 0.5, -0.5), Piece(-1.0, math.inf, 1.0, 0.0)))


class Scaled(nn.Module):
    """``scale a W^T + b`` with the weights stored transposed, ``(inputs, outputs)``."""

    def __init__(self, inputs: int, outputs: int, scale: float, bias: bool = True):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(inputs, outputs) / inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        z = self.scale * x @ self.weight
        return z if self.bias is None else z + self.bias


@altmin.converts(Scaled)
@dataclass(frozen=True)
class ScaledMap(LinearMap):
    """The map of `Scaled`."""

    inputs: int
    outputs: int
    scale: float
    bias: bool = True

    @classmethod
    def of(cls, module: Scaled) -> ScaledMap:
        inputs, outputs = module.weight.shape
        return cls(inputs, outputs, module.scale, module.bias is not None)

    @property
    def shape(self) -> tuple[int, int]:
        return self.outputs, self.inputs

    @property
    def sample_size(self) -> int:
        return self.inputs

    def matrix(self, weight: Tensor) -> Tensor:
        return weight.T

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        return self.scale * a @ W.T + b

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        return self.scale * d @ W.T

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        return self.scale * r @ W

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        return self.scale * r.T @ a

    def rows(self, a: Tensor) -> Tensor:
        return self.scale * a

    def targets(self, z: Tensor) -> Tensor:
        return z


class Flip(nn.Module):
    """The features in reverse."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(1)


@altmin.converts(Flip)
@dataclass(frozen=True)
class FlipOperation(LinearOperation):
    """The operation of `Flip`."""

    feature = None
    keeps_width = True

    def sample_size(self, behind: int | None) -> int | None:
        return behind

    def __call__(self, a: Tensor) -> Tensor:
        return a.flip(1)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        return r.flip(1)


@altmin.register_loss("scaled_squares")
@dataclass(frozen=True)
class ScaledSquares(Loss):
    """``||z - y||^2`` on one-hot rows."""

    lipschitz = 2.0

    def __call__(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y).square().sum()

    def grad(self, z: Tensor, y: Tensor) -> Tensor:
        return 2.0 * (z - y)

    def prox(self, v: Tensor, r: float, target: Tensor, start: Tensor | None = None) -> Tensor:
        return (2.0 * target + r * v) / (2.0 + r)

    def encode(self, labels: Tensor, outputs: int, dtype: torch.dtype) -> Tensor:
        return torch.eye(outputs, dtype=dtype)[labels]


@altmin.register_regularizer("elastic")
@dataclass(frozen=True)
class Elastic(Regularizer):
    """``lasso ||W||_1 + ridge/2 ||W||^2``."""

    lasso: float
    ridge: float

    def __call__(self, W: Tensor) -> Tensor:
        return self.lasso * W.abs().sum() + 0.5 * self.ridge * W.square().sum()

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        return v.sign() * (r * v.abs() - self.lasso).clamp_min(0.0) / (r + self.ridge)
