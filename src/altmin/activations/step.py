"""The step from 0 to 1."""

from __future__ import annotations

import math

from altmin.activations.estimated import Estimated
from altmin.activations.piecewise import Piece, PiecewiseLinear
from altmin.activations.sigmoid import Sigmoid


class Step(PiecewiseLinear):
    """The Heaviside function, ``s(z) = 1`` for ``z > 0`` and 0 elsewhere.

    Its derivative is zero; `estimated` has the straight-through estimator's, 0.5 where ``|z| <= 1``.

    Examples:
        >>> import torch
        >>> Step()(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """

    def __init__(self):
        below, above = Piece(-math.inf, 0.0, 0.0, 0.0), Piece(0.0, math.inf, 0.0, 1.0, above=True)
        super().__init__((below, above))

    def smoothed(self) -> Sigmoid:
        """The logistic function, which is above 0.5 where this is 1."""
        return Sigmoid()

    def estimated(self) -> Estimated:
        """The same values with the derivative 0.5 where ``|z| <= 1``, else 0."""
        return Estimated(self, 0.5)
