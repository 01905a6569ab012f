"""The identity."""

from __future__ import annotations

import math

from torch import Tensor

from altmin.activations.piecewise import Piece, PiecewiseLinear


class Identity(PiecewiseLinear):
    """The identity ``s(z) = z``, the activation of a layer that has none.

    Examples:
        >>> import torch
        >>> Identity()(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """

    def __init__(self):
        super().__init__((Piece(-math.inf, math.inf, 1.0, 0.0),))

    def __call__(self, z: Tensor) -> Tensor:
        """``s(z) = z``: `z` itself, no copy."""
        return z

    def vjp(self, g: Tensor, z: Tensor) -> Tensor:
        """``s'(z) g = g``: `g` itself, no copy."""
        return g
