"""Rows as samples with axes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from altmin.operations.base import LinearOperation
from altmin.registration import converts


@converts(nn.Unflatten)
@dataclass(frozen=True)
class Unflatten(LinearOperation):
    """Rows as samples of a shape, `torch.nn.Unflatten` of axis 1.

    Attributes:
        shape: The shape of a sample.

    Examples:
        >>> import torch
        >>> Unflatten((2, 3))(torch.ones(5, 6)).shape
        torch.Size([5, 2, 3])
    """

    shape: tuple[int, ...]

    @classmethod
    def of(cls, module: nn.Unflatten) -> Self:
        """The operation of an `nn.Unflatten` of axis 1 to fixed sizes; `ValueError` for others."""
        sizes = tuple(module.unflattened_size)
        if module.dim != 1 or any(not isinstance(n, int) or n < 1 for n in sizes):
            raise ValueError(f"only dimension 1 with fixed sizes is supported, got {module.dim}, {sizes}")
        return cls(sizes)  # type: ignore[arg-type]

    def sample_size(self, behind: int | None) -> int:
        """The length of a row, whatever stands behind."""
        return math.prod(self.shape)

    def __call__(self, a: Tensor) -> Tensor:
        """Rows `a`, ``(N, n)``, as ``(N, *shape)``."""
        return a.unflatten(1, self.shape)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """Samples `r` as rows, the shape of `a`."""
        return r.flatten(1)
