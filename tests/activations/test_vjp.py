"""The product with a cotangent, which PyTorch's kernels make for some functions, is the closed form's."""

from __future__ import annotations

import pytest
import torch

from altmin.activations import ELU, GELU, Activation, LeakyReLU, Mish, ReLU, Sigmoid, SiLU, Softplus, Tanh
from altmin.activations.elu import SELU
from altmin.activations.gelu import TanhGELU

ALL = [
    *(ELU(), ELU(0.3), ELU(2.0), ELU(*SELU)),
    *(GELU(), TanhGELU(), SiLU(), Mish()),
    *(ReLU(), LeakyReLU(0.1), Sigmoid(), Softplus(), Tanh()),
]


@pytest.mark.parametrize("s", ALL, ids=repr)
def test_it_is_the_derivative_times_the_cotangent(s: Activation):
    z = torch.linspace(-12, 12, 2401, dtype=torch.float64)
    g = torch.randn(2401, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(s.vjp(g, z), g * s.derivative(z), rtol=1e-12, atol=1e-14)
