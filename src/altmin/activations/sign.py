"""The sign of a number, in two values."""

from __future__ import annotations

import math

from altmin.activations.estimated import Estimated
from altmin.activations.piecewise import Piece, PiecewiseLinear
from altmin.activations.tanh import Tanh


class Sign(PiecewiseLinear):
    """The sign, ``s(z) = 1`` for ``z > 0`` and -1 elsewhere: it has two values, unlike `torch.sign`.

    Its derivative is zero; `estimated` has the straight-through estimator's, 1.0 where ``|z| <= 1``.

    Examples:
        >>> import torch
        >>> Sign()(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([-1., -1.,  1.])
    """

    def __init__(self):
        below, above = Piece(-math.inf, 0.0, 0.0, -1.0), Piece(0.0, math.inf, 0.0, 1.0, above=True)
        super().__init__((below, above))

    def smoothed(self) -> Tanh:
        """The hyperbolic tangent, which has the same sign."""
        return Tanh()

    def estimated(self) -> Estimated:
        """The same values with the derivative 1.0 where ``|z| <= 1``, else 0."""
        return Estimated(self, 1.0)
