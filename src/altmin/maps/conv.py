"""Convolution as an affine map: its least squares stand on unfolded patches, a row for each position of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import conv2d, unfold
from torch.nn.grad import conv2d_input, conv2d_weight

Pair = tuple[int, int]


@dataclass(frozen=True)
class Conv2d:
    """`torch.nn.Conv2d` with zero padding; `W` is its kernel as ``(outputs, inputs kh kw)``.

    With several groups `W` is ``(groups, outputs/groups, inputs/groups kh kw)``.

    Attributes:
        inputs: Channels of the images below.
        outputs: Channels of the images it makes.
        kernel: Height and width of the kernel.
        stride: Step of the positions.
        padding: Zeros around the images.
        dilation: Distance between the kernel's entries.
        groups: Blocks of channels that do not see each other.
        bias: Whether the intercept, one number a channel, is trained.
    """

    inputs: int
    outputs: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    unfolds = True
    piecewise = False
    features = None

    @property
    def shape(self) -> tuple[int, ...]:
        """``(q, p)``, with several groups ``(groups, q, p)``."""
        q, p = self.outputs // self.groups, self.inputs // self.groups * self.kernel[0] * self.kernel[1]
        return (q, p) if self.groups == 1 else (self.groups, q, p)

    def at(self, a: Tensor) -> Self:
        """The same."""
        return self

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The convolution of `a` ``(N, inputs, h, w)``, ``(N, outputs, h', w')``."""
        return conv2d(a, self._kernel(W), b, self.stride, self.padding, self.dilation, self.groups)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The convolution of `d`, without the intercept."""
        return conv2d(d, self._kernel(W), None, self.stride, self.padding, self.dilation, self.groups)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed convolution of `r`, the shape of `a`."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d_input(a.shape, self._kernel(W), r, *options)  # type: ignore[arg-type]

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The correlation of `r` with `a`, the shape of `W`."""
        size = (self.outputs, self.inputs // self.groups, *self.kernel)
        options = (self.stride, self.padding, self.dilation, self.groups)
        if self.inputs == 1 and a.device.type == "cpu":  # PyTorch is some three times as fast so, for one channel
            a, r = (t.to(memory_format=torch.channels_last) for t in (a, r))
        return conv2d_weight(a, size, r, *options).reshape(self.shape)  # type: ignore[arg-type]

    def rows(self, a: Tensor) -> Tensor:
        """The patches of `a`, one row for each position of each image."""
        patches = unfold(a, self.kernel, self.dilation, self.padding, self.stride)
        return self._split(patches, self.shape[-1])

    def targets(self, z: Tensor) -> Tensor:
        """The channels of `z` at each position of each image."""
        return self._split(z.flatten(2), self.shape[-2])

    def _kernel(self, W: Tensor) -> Tensor:
        return W.reshape(self.outputs, self.inputs // self.groups, *self.kernel)

    def _split(self, t: Tensor, width: int) -> Tensor:
        """``(N, groups width, positions)`` as ``(groups, N positions, width)``; one group has no axis."""
        rows = t.unflatten(1, (self.groups, width)).permute(1, 0, 3, 2).flatten(1, 2)
        return rows[0] if self.groups == 1 else rows
