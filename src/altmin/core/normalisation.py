"""Normalisations behind a layer's map: of each channel over the batch, or of each sample over its channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from altmin.core.state import Norm
from altmin.errors import absent
from altmin.registration import converts


class NormStatistics(NamedTuple):
    """What a normalisation knows of a batch.

    Attributes:
        raw: The map's value, before it, ``(N, q, ...)``.
        mean: Its means, ``(q,)`` over the batch, or ``(N, groups)``.
        inverse: ``1/sqrt(variance + eps)``, the shape of `mean`.
    """

    raw: Tensor
    mean: Tensor
    inverse: Tensor


class Normalisation:
    """What every normalisation offers; its trained numbers are the state's, a `Norm`.

    Class attributes:
        role: What `altmin.converts` knows it as.
        feature: The name under which a method may refuse it.
        by_batch: Whether samples of a batch depend on each other, so that one alone may have no variance.
    """

    role: ClassVar[str] = "normalisation"
    feature: ClassVar[str]
    by_batch: ClassVar[bool] = False

    @classmethod
    def of(cls, module: Any) -> Self:
        """The normalisation that a module computes; `ValueError` for options that are not supported."""
        raise absent(cls, "of")

    @staticmethod
    def width(module: Any) -> int:
        """How many channels a module takes."""
        raise NotImplementedError

    def value(self, z: Tensor, norm: Norm) -> Tensor:
        """``z`` normalised as for predictions, the shape of `z`."""
        raise absent(self, "value")

    def factors(self, z: Tensor, norm: Norm) -> Tensor:
        """What each channel of `z` is then multiplied by, ``(N, q)``, or ``(1, q)`` where that is one for all."""
        raise absent(self, "factors")

    def at(self, raw: Tensor, norm: Norm) -> tuple[Tensor, NormStatistics]:
        """A batch normalised as in training, and what its derivatives need."""
        raise absent(self, "at")

    def vjp(self, r: Tensor, norm: Norm, at: NormStatistics, params: bool) -> tuple[Tensor, list[Tensor]]:
        """The cotangent `r` of the value pulled back to `raw`, and those of scale and shift where `params` asks."""
        raise absent(self, "vjp")

    def track(self, norm: Norm, at: NormStatistics) -> None:
        """Let running statistics follow the batch, in place, where there are any."""

    def magnitude(self, z: Tensor, norm: Norm) -> Tensor:
        """The size of the sums by which the value is rounded, the shape of `z`."""
        factors = self.factors(z, norm).abs()
        return self.value(z, norm).abs() + z.abs() * factors.view(*factors.shape, *[1] * (z.ndim - 2))


@converts(nn.BatchNorm1d, nn.BatchNorm2d)
@dataclass(frozen=True)
class BatchNorm(Normalisation):
    """Batch normalisation after a layer's map, as in `torch.nn.BatchNorm1d`.

    Attributes:
        eps: What is added to the variance.
        momentum: Weight of a batch in the running statistics.

    Examples:
        >>> BatchNorm.of(nn.BatchNorm1d(3, eps=0.1))
        BatchNorm(eps=0.1, momentum=0.1)
    """

    eps: float = 1e-5
    momentum: float = 0.1
    feature = "batch normalisation"
    by_batch = True

    @classmethod
    def of(cls, module: nn.BatchNorm1d | nn.BatchNorm2d) -> Self:
        """The normalisation of a module; `ValueError` where it has no scale, or no running statistics."""
        if not module.affine or not module.track_running_stats or module.momentum is None:
            raise ValueError("batch normalisation must be affine and track running statistics with a fixed momentum")
        return cls(module.eps, module.momentum)

    @staticmethod
    def width(module: nn.BatchNorm1d | nn.BatchNorm2d) -> int:
        """How many channels a module takes."""
        return module.num_features

    def value(self, z: Tensor, norm: Norm) -> Tensor:
        """``scale (z - mean)/sqrt(var + eps) + shift`` by the running statistics of each channel."""
        factor = self.factors(z, norm)[0]
        return (z - per_channel(norm.mean, z)) * per_channel(factor, z) + per_channel(norm.shift, z)

    def factors(self, z: Tensor, norm: Norm) -> Tensor:
        """``scale/sqrt(var + eps)`` by the running variances, ``(1, q)``."""
        return (norm.scale * torch.rsqrt(norm.var + self.eps))[None]

    def at(self, raw: Tensor, norm: Norm) -> tuple[Tensor, NormStatistics]:
        """The batch normalised by its own statistics."""
        z, mean, inverse = torch.native_batch_norm(raw, norm.scale, norm.shift, None, None, True, 0.0, self.eps)
        return z, NormStatistics(raw, mean, inverse)

    def vjp(self, r: Tensor, norm: Norm, at: NormStatistics, params: bool) -> tuple[Tensor, list[Tensor]]:
        """See `Normalisation`; the batch's statistics move with its samples."""
        found = torch.ops.aten.native_batch_norm_backward(
            r, at.raw, norm.scale, None, None, at.mean, at.inverse, True, self.eps, [True, params, params]
        )
        return found[0], list(found[1:]) if params else []

    def track(self, norm: Norm, at: NormStatistics) -> None:
        """Move the running mean and variance towards the batch's, in place, as `torch.nn.BatchNorm1d` does."""
        n = at.raw.numel() // at.raw.shape[1]
        var = at.inverse.pow(-2).sub_(self.eps).clamp_min_(0.0)
        norm.mean.lerp_(at.mean, self.momentum)
        norm.var.lerp_(var.mul_(n / max(n - 1, 1)), self.momentum)


@converts(nn.GroupNorm, nn.LayerNorm)
@dataclass(frozen=True)
class GroupNorm(Normalisation):
    """`torch.nn.GroupNorm` after a layer's map, and `torch.nn.LayerNorm` of rows, which has one group.

    Attributes:
        groups: How many groups of channels have statistics of their own, in every sample.
        eps: What is added to the variance.

    Examples:
        >>> GroupNorm.of(nn.LayerNorm(3, eps=0.1))
        GroupNorm(groups=1, eps=0.1)
    """

    groups: int = 1
    eps: float = 1e-5
    feature = "layer or group normalisation"

    @classmethod
    def of(cls, module: nn.GroupNorm | nn.LayerNorm) -> Self:
        """The normalisation of a module; `ValueError` without scale or shift, or for several axes."""
        if module.weight is None or module.bias is None:
            raise ValueError("layer and group normalisation must have a scale and a shift")
        if isinstance(module, nn.GroupNorm):
            return cls(module.num_groups, module.eps)
        if len(module.normalized_shape) > 1:
            raise ValueError(
                f"only rows are supported, got {tuple(module.normalized_shape)}; nn.GroupNorm takes images"
            )
        return cls(1, module.eps)

    @staticmethod
    def width(module: nn.GroupNorm | nn.LayerNorm) -> int:
        """How many channels a module takes."""
        return module.num_channels if isinstance(module, nn.GroupNorm) else module.normalized_shape[0]

    def value(self, z: Tensor, norm: Norm) -> Tensor:
        """``scale (z - mean)/sqrt(var + eps) + shift`` by the statistics of each sample and group."""
        return self.at(z, norm)[0]

    def factors(self, z: Tensor, norm: Norm) -> Tensor:
        """``scale/sqrt(var + eps)`` of each sample, ``(N, q)``."""
        inverse = self.at(z, norm)[1].inverse
        return inverse.repeat_interleave(z.shape[1] // self.groups, 1) * norm.scale

    def at(self, raw: Tensor, norm: Norm) -> tuple[Tensor, NormStatistics]:
        """Every sample normalised, in training as ever."""
        raw = raw.contiguous()
        z, *statistics = torch.native_group_norm(raw, norm.scale, norm.shift, *self._sizes(raw), self.eps)
        return z, NormStatistics(raw, *statistics)

    def vjp(self, r: Tensor, norm: Norm, at: NormStatistics, params: bool) -> tuple[Tensor, list[Tensor]]:
        """See `Normalisation`; the statistics of a sample move with it."""
        found = torch.ops.aten.native_group_norm_backward(
            r.contiguous(), *at, norm.scale, *self._sizes(at.raw), [True, params, params]
        )
        return found[0], list(found[1:]) if params else []

    def _sizes(self, z: Tensor) -> tuple[int, int, int, int]:
        """Samples, channels, positions and groups."""
        return z.shape[0], z.shape[1], z.shape[2:].numel(), self.groups


def per_channel(numbers: Tensor, z: Tensor) -> Tensor:
    """`numbers` ``(n_l,)`` in a shape that broadcasts over `z` ``(N, n_l, ...)``."""
    return numbers.view(-1, *[1] * (z.ndim - 2))
