"""Which of PyTorch's two libraries multiplies float32 matrices faster on this CPU: MKL, its default, or oneDNN.

Under the setting ``torch.set_float32_matmul_precision("medium")`` PyTorch hands products to oneDNN, which may round
their operands to bfloat16, and does where the processor has units for that. Elsewhere it rounds nothing, and on AMD's
processors with AVX-512 it takes half of MKL's time or less, which uses AVX2 there. So one tries.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import Tensor, nn

LARGE = 2**15  # numbers of a weight matrix from which on the products of its layer outweigh what oneDNN's calls cost
SIDE = 384  # of the matrices that are multiplied to find out
TRIALS = 5
ROUNDING = 2e-6  # relative: some times what float32 products have, a thousandth of what bfloat16's have
GAIN = 0.8  # a nearly equal time is no reason to leave the default


@contextmanager
def products(setting: str) -> Iterator[None]:
    """A context in which PyTorch makes products of float32 matrices so; on leaving its setting is restored."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def largest_weights(model: nn.Module) -> int:
    """The numbers of a model's largest parameter."""
    return max(p.numel() for p in model.parameters())


def default_setting() -> bool:
    """Whether PyTorch's setting is the one that it comes with; false where someone uses the settings by backend."""
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:  # PyTorch refuses to tell once a setting by backend was made
        return False


@cache
def onednn_is_faster() -> bool:
    """Whether products under ``"medium"`` have float32's digits on this CPU, in every layout, and clearly less time."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(SIDE, SIDE, generator=generator) for _ in range(2))
    if not all(_keeps_digits(x, y) for x, y in ((a, b), (a.T, b), (a, b.T), (a[:, :100], b[:100]))):
        return False
    times = [[_seconds(setting, a, b) for setting in ("highest", "medium")] for _ in range(TRIALS)]
    highest, medium = (min(of_one) for of_one in zip(*times, strict=True))
    return medium < GAIN * highest


def _keeps_digits(a: Tensor, b: Tensor) -> bool:
    with products("medium"):
        found = a @ b
    fine = a.double() @ b.double()
    return bool((found - fine).norm() <= ROUNDING * fine.norm())


def _seconds(setting: str, a: Tensor, b: Tensor) -> float:
    with products(setting):
        start = time.perf_counter()
        torch.mm(a, b)
        return time.perf_counter() - start
