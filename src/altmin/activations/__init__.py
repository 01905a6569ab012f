"""Activation functions, one class a file: value, derivative, activation prox (P1) and constraint interval.

Every class answers the same questions about an elementwise function ``s``:

- ``s(z)`` and ``s.derivative(z)`` (a one-sided one at kinks), and ``s.vjp(g, z)``, its product with `g`;
- ``s.prox(v, r, target)``, the *global* minimiser of ``1/2 (s(z) - target)^2 + r/2 (z - v)^2``;
- ``s.interval(a, eps)``, the ends of ``{z : |s(z) - a| <= eps}`` for monotone ``s``.

A class registers the PyTorch module that it stands for by `altmin.converts`.
"""

# The order of registration is that of the names on the command line and of the tables in the documentation.
# isort: off
from altmin.activations.base import Activation
from altmin.activations.piecewise import Piece, PiecewiseLinear
from altmin.activations.smooth import Smooth
from altmin.activations.identity import Identity
from altmin.activations.relu import ReLU
from altmin.activations.leaky_relu import LeakyReLU
from altmin.activations.hardtanh import Hardtanh
from altmin.activations.sigmoid import Sigmoid
from altmin.activations.tanh import Tanh
from altmin.activations.softplus import Softplus
from altmin.activations.elu import ELU
from altmin.activations.gated import Gated
from altmin.activations.gelu import GELU, TanhGELU
from altmin.activations.silu import SiLU
from altmin.activations.mish import Mish
from altmin.activations.sign import Sign
from altmin.activations.step import Step
from altmin.activations.dropout import DropoutBefore
from altmin.activations.estimated import Estimated
# isort: on

__all__ = [
    "ELU",
    "GELU",
    "Activation",
    "DropoutBefore",
    "Estimated",
    "Gated",
    "Hardtanh",
    "Identity",
    "LeakyReLU",
    "Mish",
    "Piece",
    "PiecewiseLinear",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Smooth",
    "Softplus",
    "Step",
    "Tanh",
    "TanhGELU",
]
