"""Pooling of sequences, as of images that are one number high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from altmin.operations.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from altmin.operations.base import Operation, OperationAt
from altmin.operations.max_pooling import MaxPool2d
from altmin.registration import converts


def _single(value: Any) -> Any:
    """The one number of an option, which PyTorch keeps as it came: a number, or a tuple of one."""
    return value[0] if isinstance(value, tuple | list) else value


@converts(nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d)
@dataclass(frozen=True)
class PooledSequences(Operation):
    """`torch.nn.MaxPool1d`, `AvgPool1d` or `AdaptiveAvgPool1d` of samples ``(channels, length)``.

    Attributes:
        pooling: What it does to images ``(channels, 1, length)``.

    Examples:
        >>> import torch
        >>> PooledSequences.of(nn.MaxPool1d(2))(torch.tensor([[[1.0, 2.0, 5.0, 3.0]]]))
        tensor([[[2., 5.]]])
    """

    pooling: Operation
    keeps_width = True

    @classmethod
    def of(cls, module: nn.MaxPool1d | nn.AvgPool1d | nn.AdaptiveAvgPool1d) -> PooledSequences:
        """The pooling of a module; `ValueError` where it is to return places."""
        if isinstance(module, nn.AdaptiveAvgPool1d):
            return cls(AdaptiveAvgPool2d((1, _single(module.output_size))))
        numbers = ((1, module.kernel_size), (1, module.stride), (0, module.padding))
        kernel, stride, padding = ((height, _single(width)) for height, width in numbers)
        if isinstance(module, nn.AvgPool1d):
            return cls(AvgPool2d(kernel, stride, padding, module.ceil_mode, module.count_include_pad))
        if module.return_indices:
            raise ValueError("return_indices is not supported")
        return cls(MaxPool2d(kernel, stride, padding, (1, _single(module.dilation)), module.ceil_mode))

    @property
    def piecewise(self) -> bool:  # type: ignore[reportIncompatibleVariableOverride]
        """Whether it is linear on pieces only, as max pooling is."""
        return self.pooling.piecewise

    def at(self, a: Tensor) -> PooledSequencesAt:
        """Its value and its derivatives at `a`, of which what both need is made once."""
        return PooledSequencesAt(self, a, self.pooling.at(a.unsqueeze(2)))

    def __call__(self, a: Tensor) -> Tensor:
        """The pooled sequences ``(N, channels, length')``."""
        return self.pooling(a.unsqueeze(2)).squeeze(2)

    def image(self, d: Tensor, a: Tensor) -> Tensor:
        """The derivative at `a`, applied to the movement `d`."""
        return self.at(a).image(d)

    def adjoint(self, r: Tensor, a: Tensor) -> Tensor:
        """The transposed derivative at `a`, the shape of `a`."""
        return self.at(a).adjoint(r)


@dataclass(frozen=True)
class PooledSequencesAt(OperationAt):
    """The pooling of sequences at one point.

    Attributes:
        operation: The pooling.
        point: Sequences, ``(N, channels, length)``.
        images: The same as images.
    """

    images: OperationAt

    @property
    def value(self) -> Tensor:
        """The pooled sequences of the point."""
        return self.images.value.squeeze(2)

    def image(self, d: Tensor) -> Tensor:
        """The derivative, applied to a movement `d` of the point."""
        return self.images.image(d.unsqueeze(2)).squeeze(2)

    def adjoint(self, r: Tensor) -> Tensor:
        """The transposed derivative, the shape of the point."""
        return self.images.adjoint(r.unsqueeze(2)).squeeze(2)
