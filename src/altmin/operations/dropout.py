"""Dropout, and the mask that is drawn for a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from altmin.draws import dropout_mask
from altmin.operations.base import LinearOperation
from altmin.registration import converts


@converts(nn.Dropout)
@dataclass(frozen=True)
class Dropout(LinearOperation):
    """`torch.nn.Dropout`: the identity, until `sample` draws the mask of a batch.

    Attributes:
        p: The probability of a zero in the mask, below 1.

    Examples:
        >>> import torch
        >>> Dropout(0.0).sample(torch.ones(2), None)
        Mask(mask=tensor([1., 1.]))
    """

    p: float
    feature = "dropout"
    random = True
    keeps_width = True

    @classmethod
    def of(cls, module: nn.Dropout) -> Self:
        """The operation of an `nn.Dropout`; `ValueError` where it drops all."""
        if module.p >= 1:
            raise ValueError("p must be below 1")
        return cls(module.p)

    def sample_size(self, behind: int | None) -> int | None:
        """What stands behind takes the same samples."""
        return behind

    def sample(self, like: Tensor, generator: torch.Generator | None) -> Mask:
        """A mask for samples shaped as `like`: 0 with probability `p`, else ``1/(1 - p)``."""
        return Mask(dropout_mask(like, self.p, generator))

    def __call__(self, a: Tensor) -> Tensor:
        """`a` itself: the network without dropout."""
        return a

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """`r` itself: the network without dropout."""
        return r


@dataclass(frozen=True)
class Mask(LinearOperation):
    """Multiplication of each number by its own, as dropout does in one batch.

    Attributes:
        mask: The factors, of a shape that broadcasts over samples.

    Examples:
        >>> import torch
        >>> Mask(torch.tensor([0.0, 2.0]))(torch.tensor([[3.0, 3.0]]))
        tensor([[0., 6.]])
    """

    mask: Tensor
    feature = None
    keeps_width = True

    def sample_size(self, behind: int | None) -> int | None:
        """What stands behind takes the same samples."""
        return behind

    def __call__(self, a: Tensor) -> Tensor:
        """``mask a``, elementwise."""
        return self.mask * a

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``mask r``, elementwise: the product is its own transpose."""
        return self.mask * r
