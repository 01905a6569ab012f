"""Mean pooling of images, by windows or to a given size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, avg_pool1d

from altmin.errors import absent
from altmin.operations.base import LinearOperation
from altmin.operations.windows import pair
from altmin.registration import converts

Pair = tuple[int, int]


class Average(LinearOperation):
    """Means over windows, each an interval of rows times one of columns: ``P a Q^T`` for each channel."""

    keeps_width = True

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices `P`, that acts on columns, and `Q`, on rows, for images of the size of `a`."""
        raise absent(self, "matrices")

    def __call__(self, a: Tensor) -> Tensor:
        """``P a Q^T``, the means of images `a`, ``(N, channels, h, w)``."""
        P, Q = self.matrices(a)
        return P @ a @ Q.T

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """``P^T r Q``, the transposed means: the shape of `a`."""
        P, Q = self.matrices(a)
        return P.T @ r @ Q


@converts(nn.AvgPool2d)
@dataclass(frozen=True)
class AvgPool2d(Average):
    """`torch.nn.AvgPool2d`: the mean of each window.

    Attributes:
        kernel: Height and width of the windows.
        stride: Step of their positions.
        padding: Zeros around the images.
        ceil: Whether a last window may leave the image.
        count_padding: Whether the zeros count where a mean divides.

    Examples:
        >>> import torch
        >>> AvgPool2d((2, 2), (2, 2))(torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]]))
        tensor([[[[1.5000]]]])
    """

    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil: bool = False
    count_padding: bool = True

    @classmethod
    def of(cls, module: nn.AvgPool2d) -> Self:
        """The operation of an `nn.AvgPool2d`; `ValueError` where it has a divisor of its own."""
        if module.divisor_override is not None:
            raise ValueError("divisor_override is not supported")
        kernel, stride, padding = (pair(v) for v in (module.kernel_size, module.stride, module.padding))
        return cls(kernel, stride, padding, module.ceil_mode, module.count_include_pad)

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices `P` and `Q` of these windows for images of the size of `a`."""
        P, Q = (
            _pooled(n, a.dtype, a.device, k, s, p, self.ceil, self.count_padding)
            for n, k, s, p in zip(a.shape[-2:], self.kernel, self.stride, self.padding, strict=True)
        )
        return P, Q


@converts(nn.AdaptiveAvgPool2d)
@dataclass(frozen=True)
class AdaptiveAvgPool2d(Average):
    """`torch.nn.AdaptiveAvgPool2d`: means that make images of one size of images of any.

    Attributes:
        size: Height and width of what is made; `None` keeps the images' own.

    Examples:
        >>> import torch
        >>> AdaptiveAvgPool2d((1, None))(torch.tensor([[[[1.0, 2.0], [3.0, 0.0]]]]))
        tensor([[[[2., 1.]]]])
    """

    size: tuple[int | None, int | None]

    @classmethod
    def of(cls, module: nn.AdaptiveAvgPool2d) -> Self:
        """The operation of an `nn.AdaptiveAvgPool2d`."""
        size: Any = module.output_size
        height, width = size if isinstance(size, tuple | list) else (size, size)
        return cls((height, width))

    def matrices(self, a: Tensor) -> tuple[Tensor, Tensor]:
        """The matrices `P` and `Q` of these windows for images of the size of `a`."""
        P, Q = (_adapted(n, size or n, a.dtype, a.device) for n, size in zip(a.shape[-2:], self.size, strict=True))
        return P, Q


@lru_cache
def _pooled(
    n: int, dtype: torch.dtype, device: torch.device, k: int, s: int, p: int, ceil: bool, count: bool
) -> Tensor:
    return avg_pool1d(torch.eye(n, dtype=dtype, device=device), k, s, p, ceil, count).T.contiguous()


@lru_cache
def _adapted(n: int, size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return adaptive_avg_pool1d(torch.eye(n, dtype=dtype, device=device), size).T.contiguous()
