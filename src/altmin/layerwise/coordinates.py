"""How large a layer's inputs are, and the coordinates in which inputs far from unit scale are near it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from altmin.core.memory import Memory

LARGE = 6.0
SMALL = 0.0625
SHIFTED = 5.0
PART = 256  # samples that are looked at at once, and stay in cache


@dataclass(frozen=True)
class Scale:
    """The size of inputs as the intercept sees them, whose own column is 1.

    A relative damping weighs all columns alike. Where entries are far larger than 1 it holds the intercept fast; where
    whole samples are far smaller than 1, the intercept's column alone decides how strong it is; and where columns lie
    far from zero, what differs between samples is small beside what does not.

    Attributes:
        entry: Root mean square of the entries.
        width: Entries of a sample.
        offset: Root mean square of the columns' means.
        spread: Root mean square of the columns' standard deviations.

    Example:
        >>> Scale.of(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
        Scale(entry=1.0, width=2, offset=0.0, spread=1.0)
    """

    entry: float
    width: int
    offset: float
    spread: float

    @classmethod
    def of(cls, rows: Tensor) -> Self:
        """That of samples ``(N, ...)``."""
        rows = rows.flatten(1)
        mean = rows.mean(0)
        # PyTorch's variances of columns take eight times as long.
        squares = sum(float(torch.linalg.vector_norm(part - mean)) ** 2 for part in rows.split(PART))
        return cls.from_moments(mean, mean.new_tensor(squares / rows.numel()))

    @classmethod
    def from_moments(cls, mean: Tensor, var: Tensor) -> Self:
        """That of columns with these means and variances."""
        offset, spread = float(mean.square().mean()), float(var.mean())
        return cls((offset + spread) ** 0.5, mean.shape[-1], offset**0.5, spread**0.5)

    @property
    def large(self) -> bool:
        """Whether entries are so large that the intercept's column is nothing beside them."""
        return self.entry > LARGE

    @property
    def small(self) -> bool:
        """Whether whole samples are so small that they are nothing beside the intercept's column."""
        return 0.0 < self.entry * self.width**0.5 < SMALL

    @property
    def shifted(self) -> bool:
        """Whether columns differ between samples, but by far less than they are off zero."""
        return self.offset > SHIFTED * self.spread > 0.0

    @property
    def far(self) -> bool:
        """Whether these are inputs far from unit scale."""
        return self.large or self.small or self.shifted


@dataclass(eq=False)
class Coordinates(Memory):
    """Weights ``theta`` of ``[(a - mean)/scale, 1]`` that stand for weights of ``[a, 1]``.

    A relative damping in these coordinates depends on the inputs' scale and offset no more. They are the given ones,
    and nothing is computed, unless inputs are far from unit scale (`Scale.far`).

    Attributes:
        mean: ``(..., 1, p)``, for a layer of several groups one for each.
        scale: A scalar.
        given: Whether they are the given coordinates.
    """

    mean: Tensor
    scale: Tensor
    given: bool = True

    @classmethod
    def of(cls, gram: Tensor, intercept: bool) -> Self:
        """Those for inputs with this ``[a, 1]^T [a, 1] / N``, ``(..., p + 1, p + 1)``.

        Without an intercept a relative damping has no scale, and there is nothing to take an offset up.
        """
        mean = gram[..., -1:, :-1]
        if not intercept or not mean.numel():
            return cls(torch.zeros_like(mean), gram.new_ones(()))
        square = gram.diagonal(dim1=-2, dim2=-1)[..., None, :-1]
        scale = Scale.from_moments(mean, (square - mean.square()).clamp_min(0.0))
        if not scale.far:
            return cls(torch.zeros_like(mean), gram.new_ones(()))
        return cls(mean.clone(), gram.new_tensor(scale.spread or scale.entry), given=False)

    def gradient(self, G: Tensor) -> Tensor:
        """The gradient in these coordinates, ``(..., q, p + 1)``, of what has `G` in the given ones."""
        if self.given:
            return G
        W, b = G[..., :-1], G[..., -1:]
        return torch.cat([(W - b * self.mean) / self.scale, b], -1)

    def movement(self, V: Tensor) -> Tensor:
        """The movement in the given coordinates, ``(..., q, p + 1)``, that is `V` in these."""
        if self.given:
            return V
        W = V[..., :-1] / self.scale
        return torch.cat([W, V[..., -1:] - (W * self.mean).sum(-1, keepdim=True)], -1)

    def gram(self, M: Tensor) -> Tensor:
        """The quadratic form `M` of the given coordinates, ``(..., p + 1, p + 1)``, in these."""
        return M if self.given else self.gradient(self.gradient(M).mT)

    def decay(self, weights: Tensor | float) -> Tensor | float:
        """The weights of squares for each column, none for the last, in these coordinates."""
        return weights if self.given else weights / self.scale.square()

    def inverse(self, inverse: Tensor) -> Tensor:
        """The inverse of a quadratic form of these coordinates, ``(..., p + 1, p + 1)``, in the given ones."""
        return inverse if self.given else self.movement(self.movement(inverse).mT)
