"""Samples of other numbers than the model's: made such, which is said."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from altmin.errors import ConversionWarning

STRETCH = 2**18  # numbers that are compared at once, in cache


def converted(name: str, part: str, t: Tensor, dtype: torch.dtype) -> Tensor:
    """Real numbers of any kind in the model's dtype.

    Args:
        name: The argument's name, for errors.
        part: Which part of it.
        t: The numbers.
        dtype: The model's.

    Raises:
        TypeError: Complex or quantised numbers.
    """
    if t.is_complex() or t.is_quantized:
        raise TypeError(f"`{name}`: {part} must hold real numbers, got {t.dtype}; convert it: {part}.to({dtype})")
    return t.to(dtype)


def warn_of_conversion(name: str, given: dict[str, torch.dtype], dtype: torch.dtype) -> None:
    """Say which parts of an argument were converted.

    Args:
        name: The argument's name.
        given: Their dtypes.
        dtype: The model's.
    """
    parts = " and ".join(f"{part} of {own}" for part, own in given.items())
    text = f"{parts} {'are' if len(given) > 1 else 'is'} converted to {dtype}, the model's"
    advice = "hand in such numbers, or say by `precision` what model and data are to be"
    warnings.warn(f"`{name}`: {text}; {advice}", ConversionWarning, stacklevel=4)


def holds(own: Tensor, array: NDArray) -> bool:
    """Whether `own` was converted from such an array, without a copy of all of it; no where it has the same dtype."""
    if array.dtype == torch.empty(0, dtype=own.dtype).numpy().dtype or array.dtype.kind not in "biuf":
        return False
    if len(array) != len(own) or array.size != own.numel():
        return False
    rows = max(1, STRETCH * len(own) // max(1, own.numel()))
    return all(_same(own[i : i + rows], array[i : i + rows]) for i in range(0, len(own), rows))


def _same(own: Tensor, array: NDArray) -> bool:
    native = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    return torch.equal(torch.as_tensor(native, device="cpu").to(own).view(own.shape), own)
