"""The prox of binary cross-entropy (P2), ``argmin_z log(1 + exp z) - y z + r/2 (z - v)^2``, elementwise.

The derivative ``sigmoid(z) - y + r (z - v)`` rises, is convex below zero and concave above it: Newton's steps from the
outer end of the half-line that holds the root never pass it, and need neither a bracket nor a line search. They are
made in float64 whatever the dtype of `v`: at the papers' ``r = 1e-6`` the sigmoid differs from `y` by less than float32
resolves.
"""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.errors import DivergenceError

STEPS = 800  # from the least r of float64 the way down the exponential takes some 700


def sigmoid_prox(v: Tensor, r: float, y: Tensor) -> Tensor:
    """``argmin_z log(1 + exp z) - y z + r/2 (z - v)^2`` by Newton's method, elementwise (P2).

    Args:
        v: Centres, of any shape.
        r: Weight of the proximal term, > 0.
        y: Targets from 0 to 1, the shape of `v`.

    Raises:
        DivergenceError: `v` holds nan or inf.

    Examples:
        >>> v, y = torch.zeros(1, 1), torch.ones(1, 1)
        >>> z = sigmoid_prox(v, 1.0, y)  # stationary: sigmoid(z) - y + z - v = 0
        >>> bool((torch.sigmoid(z) - y + z - v).abs() < 1e-6)
        True
    """
    if not bool(torch.isfinite(v).all()):
        raise DivergenceError("outputs", "nan or inf in the centres of the loss's prox", "smaller steps")
    centre, target = v.double(), y.double()
    low, high = centre - (1.0 - target) / r, centre + target / r
    z = torch.where(0.5 - target >= r * centre, high.clamp_max(0.0), low.clamp_min(0.0))
    tol = 4 * torch.finfo(z.dtype).eps
    for _ in range(STEPS):
        p, q = torch.sigmoid(z), torch.sigmoid(-z)
        step = (bce_derivative(z, target) + r * (z - centre)) / (p * q + r)
        z = z - step
        if not (step.abs() > tol * (1.0 + z.abs())).any():
            break
    return z.to(v.dtype)


def bce_derivative(z: Tensor, y: Tensor) -> Tensor:
    """``sigmoid(z) - y``, with all its digits where it is nearly zero."""
    return (1.0 - y) * torch.sigmoid(z) - y * torch.sigmoid(-z)
