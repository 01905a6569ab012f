"""Convolution as an affine map: its least squares stand on unfolded patches, a row for each position of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, unfold
from torch.nn.grad import conv2d_input, conv2d_weight

from altmin.maps.base import LinearMap
from altmin.registration import converts

Pair = tuple[int, int]


@converts(nn.Conv2d)
@dataclass(frozen=True)
class Conv2d(LinearMap):
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

    Examples:
        >>> import torch
        >>> Conv2d(1, 2, (2, 2))(torch.ones(2, 4), torch.zeros(2), torch.ones(1, 1, 3, 3)).shape
        torch.Size([1, 2, 2, 2])
    """

    inputs: int
    outputs: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True
    feature = "Conv2d"
    normalised_by = nn.BatchNorm2d, nn.GroupNorm

    @classmethod
    def of(cls, module: Any) -> Self:
        """The map of an `nn.Conv2d` with zeros around its images.

        Raises:
            ValueError: Another padding mode, or ``padding="same"`` that is not symmetric.
        """
        if module.padding_mode != "zeros":
            raise ValueError(f"padding_mode={module.padding_mode!r} is not supported: only zeros")
        kernel, dilation, padding = module.kernel_size, module.dilation, module.padding
        if padding == "same":
            around = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
            if any(n % 2 for n in around):
                raise ValueError(f"padding='same' with a kernel of {kernel} is not symmetric, which is not supported")
            padding = tuple(n // 2 for n in around)
        padding = (0,) * len(kernel) if padding == "valid" else padding
        height = 2 - len(kernel)  # axes that sequences do not have
        sizes = [
            (1,) * height + kernel,
            (1,) * height + module.stride,
            (0,) * height + padding,
            (1,) * height + dilation,
        ]
        return cls(module.in_channels, module.out_channels, *sizes, groups=module.groups, bias=module.bias is not None)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `W`, ``(q, p)``, with several groups ``(groups, q, p)``."""
        q, p = self.outputs // self.groups, self.inputs // self.groups * self.kernel[0] * self.kernel[1]
        return (q, p) if self.groups == 1 else (self.groups, q, p)

    def matrix(self, weight: Tensor) -> Tensor:
        """The kernel ``(outputs, inputs/groups, kh, kw)`` in the shape of `W`, a view.

        Raises:
            ValueError: The kernel's numbers do not lie in that order in memory.
        """
        if not weight.is_contiguous():
            raise ValueError("a kernel must be contiguous; call model.to(memory_format=torch.contiguous_format) first")
        return weight.view(self.shape)

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The convolution of `a` ``(N, inputs, h, w)``, ``(N, outputs, h', w')``."""
        return conv2d(a, self._kernel(W), b, self.stride, self.padding, self.dilation, self.groups)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The convolution of `d`, the derivative in the input: the shape of the value, no intercept."""
        return conv2d(d, self._kernel(W), None, self.stride, self.padding, self.dilation, self.groups)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed convolution of `r`, the transposed derivative in the input: the shape of `a`."""
        options = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d_input(a.shape, self._kernel(W), r, *options)  # type: ignore[arg-type]

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The correlation of `r` with `a`, the transposed derivative in `W`: the shape of `W`."""
        size = (self.outputs, self.inputs // self.groups, *self.kernel)
        options = (self.stride, self.padding, self.dilation, self.groups)
        if self.inputs == 1 and a.device.type == "cpu":  # PyTorch is some three times as fast so, for one channel
            a, r = (t.to(memory_format=torch.channels_last) for t in (a, r))
        return conv2d_weight(a, size, r, *options).reshape(self.shape)  # type: ignore[arg-type]

    def rows(self, a: Tensor) -> Tensor:
        """The design of least squares: the patches of `a`, one row for each position of each image."""
        patches = unfold(a, self.kernel, self.dilation, self.padding, self.stride)
        return self._split(patches, self.shape[-1])

    def targets(self, z: Tensor) -> Tensor:
        """The right-hand side of least squares: the channels of `z` at each position of each image."""
        return self._split(z.flatten(2), self.shape[-2])

    def _kernel(self, W: Tensor) -> Tensor:
        return W.reshape(self.outputs, self.inputs // self.groups, *self.kernel)

    def _split(self, t: Tensor, width: int) -> Tensor:
        """``(N, groups width, positions)`` as ``(groups, N positions, width)``; one group has no axis."""
        rows = t.unflatten(1, (self.groups, width)).permute(1, 0, 3, 2).flatten(1, 2)
        return rows[0] if self.groups == 1 else rows


@converts(nn.Conv1d)
class Conv1d(Conv2d):
    """`torch.nn.Conv1d` with zero padding, as a convolution of images that are one number high.

    Its samples are sequences ``(channels, length)``; its attributes are those of `Conv2d`, whose first numbers count
    for the height.

    Examples:
        >>> import torch
        >>> Conv1d(1, 2, (1, 2))(torch.ones(2, 2), torch.zeros(2), torch.ones(1, 1, 4)).shape
        torch.Size([1, 2, 3])
    """

    feature = "Conv1d"
    normalised_by = nn.BatchNorm1d, nn.GroupNorm

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The convolution of `a` ``(N, inputs, length)``, ``(N, outputs, length')``."""
        return super().__call__(W, b, a.unsqueeze(2)).squeeze(2)

    def image(self, W: Tensor, d: Tensor, a: Tensor) -> Tensor:
        """The convolution of `d`, the derivative in the input: the shape of the value, no intercept."""
        return super().image(W, d.unsqueeze(2), a.unsqueeze(2)).squeeze(2)

    def adjoint(self, W: Tensor, r: Tensor, a: Tensor) -> Tensor:
        """The transposed convolution of `r`, the transposed derivative in the input: the shape of `a`."""
        return super().adjoint(W, r.unsqueeze(2), a.unsqueeze(2)).squeeze(2)

    def gradient(self, r: Tensor, a: Tensor) -> Tensor:
        """The correlation of `r` with `a`, the transposed derivative in `W`: the shape of `W`."""
        return super().gradient(r.unsqueeze(2), a.unsqueeze(2))

    def rows(self, a: Tensor) -> Tensor:
        """The design of least squares: the patches of `a`, one row for each position of each sequence."""
        return super().rows(a.unsqueeze(2))
