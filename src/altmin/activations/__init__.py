"""Activation functions: value, derivative, activation prox (P1) and constraint interval.

Every class answers the same questions about an elementwise function ``s``:

- ``s(z)`` and ``s.derivative(z)`` (a one-sided one at kinks), and ``s.vjp(g, z)``, its product with `g`;
- ``s.prox(v, r, a)``, the *global* minimiser of ``(s(z) - a)^2 + r (z - v)^2``;
- ``s.interval(a, eps)``, the ends of ``{z : |s(z) - a| <= eps}`` for monotone ``s``.
"""

from altmin.activations.base import Activation
from altmin.activations.dropout import DropoutBefore
from altmin.activations.estimated import Estimated, estimated
from altmin.activations.piecewise import Hardtanh, Identity, LeakyReLU, Piece, PiecewiseLinear, ReLU, Sign, Step
from altmin.activations.smooth import Sigmoid, Smooth, Softplus, Tanh

__all__ = [
    "Activation",
    "DropoutBefore",
    "Estimated",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "Piece",
    "PiecewiseLinear",
    "ReLU",
    "Sigmoid",
    "Sign",
    "Smooth",
    "Softplus",
    "Step",
    "Tanh",
    "estimated",
]
