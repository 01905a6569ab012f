"""One layer as a differentiable function, in closed form: what the code and weight steps of online methods need.

A block is ``z = W a + b``, followed by batch normalisation over the batch where the layer has it. The derivatives stay
within the block: no autograd graph is made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.problem import Layer, Problem
from altmin.state import Norm, State, normalise

POWER_STEPS = 4
TINY = 1e-30


@dataclass(frozen=True)
class Block:
    """A layer's weights at work.

    Attributes:
        layer: The layer.
        W: Weights, ``(q, p)``.
        b: Intercept, ``(q,)``.
        norm: Batch normalisation, or `None`.
    """

    layer: Layer
    W: Tensor
    b: Tensor
    norm: Norm | None = None

    def params(self) -> list[Tensor]:
        """What is trained: ``W``, ``b`` where the layer has one, scale and shift where it is normalised."""
        out = [self.W, *([self.b] if self.layer.map.bias else [])]
        return out if self.norm is None else [*out, self.norm.scale, self.norm.shift]

    def gain(self) -> Tensor:
        """An estimate of ``||dz/da||_2^2`` by power iteration, normalised by the running variance; a scalar."""
        W = self.W
        if self.norm is not None and self.layer.norm is not None:
            W = (self.norm.scale * torch.rsqrt(self.norm.var + self.layer.norm.eps))[:, None] * W
        v = W[W.square().sum(1).argmax()]
        for _ in range(POWER_STEPS):
            v = W.T @ (W @ (v / v.norm().clamp_min(TINY)))
        return v.norm()

    def __call__(self, a: Tensor) -> Forward:
        """The block's value at `a`, with what its derivatives need."""
        raw = self.layer.map(self.W, self.b, a)
        if self.norm is None or self.layer.norm is None:
            return Forward(self, a, raw)
        mean, var = raw.mean(0), raw.var(0, unbiased=False)
        unit = (raw - mean) * torch.rsqrt(var + self.layer.norm.eps)
        z = normalise(raw, self.norm, self.layer.norm, mean, var)
        return Forward(self, a, z, unit, mean, var)


@dataclass(frozen=True)
class Forward:
    """A block's value `z` at `a`; with batch normalisation also the unit rows and the batch's mean and variance."""

    block: Block
    a: Tensor
    z: Tensor
    unit: Tensor | None = None
    mean: Tensor | None = None
    var: Tensor | None = None

    def _raw(self, r: Tensor) -> Tensor:
        """The cotangent `r` of `z`, pulled back through batch normalisation."""
        norm, numbers = self.block.norm, self.block.layer.norm
        if norm is None or numbers is None or self.unit is None or self.var is None:
            return r
        centred = r - r.mean(0) - self.unit * (r * self.unit).mean(0)
        return centred * (norm.scale * torch.rsqrt(self.var + numbers.eps))

    def to_input(self, r: Tensor) -> Tensor:
        """``(dz/da)^T r``, the shape of `a`."""
        return self.block.layer.map.adjoint(self.block.W, self._raw(r))

    def to_params(self, r: Tensor) -> list[Tensor]:
        """``(dz/dparams)^T r``, in the order of `Block.params`."""
        raw = self._raw(r)
        out = [raw.T @ self.a, *([raw.sum(0)] if self.block.layer.map.bias else [])]
        return out if self.unit is None else [*out, (r * self.unit).sum(0), r.sum(0)]

    @torch.no_grad()
    def track(self) -> None:
        """Move the running mean and variance towards this batch's, in place, as `torch.nn.BatchNorm1d` does."""
        norm, numbers = self.block.norm, self.block.layer.norm
        if norm is None or numbers is None or self.mean is None or self.var is None:
            return
        n = len(self.a)
        norm.mean.lerp_(self.mean, numbers.momentum)
        norm.var.lerp_(self.var * (n / max(n - 1, 1)), numbers.momentum)


def blocks(problem: Problem, state: State) -> list[Block]:
    """The layers with their weights."""
    norms = state.norm or (None,) * len(problem.layers)
    return [Block(*parts) for parts in zip(problem.layers, state.W, state.b, norms, strict=True)]
