"""Samples as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from altmin.operations.base import LinearOperation
from altmin.registration import converts


@converts(nn.Flatten)
@dataclass(frozen=True)
class Flatten(LinearOperation):
    """Samples as rows, `torch.nn.Flatten`.

    Examples:
        >>> import torch
        >>> Flatten()(torch.ones(5, 2, 3)).shape
        torch.Size([5, 6])
    """

    idle_on_rows = True

    @classmethod
    def of(cls, module: nn.Flatten) -> Self:
        """The operation of an `nn.Flatten` of all axes but the first; `ValueError` for others."""
        if (module.start_dim, module.end_dim) != (1, -1):
            raise ValueError("only start_dim=1 and end_dim=-1 are supported")
        return cls()

    def __call__(self, a: Tensor) -> Tensor:
        """Samples `a`, ``(N, ...)``, as ``(N, numbers of a sample)``."""
        return a.flatten(1)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """Rows `r` in the shape of `a`."""
        return r.reshape(a.shape)
