"""Convex regularisers of the weights: value and prox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Regularizer(Protocol):
    """A convex function of one layer's weights.

    Attributes:
        curvature: `w` where ``Omega(W) = w/2 ||W||^2``, so 0 for none; `None` for any other function.
    """

    @property
    def curvature(self) -> float | None:
        """See the class."""
        ...

    def __call__(self, W: Tensor) -> Tensor:
        """``Omega(W)``, a scalar."""
        ...

    def prox(self, v: Tensor, r: float | Tensor, target: None = None, start: None = None) -> Tensor:
        """``argmin_W Omega(W) + r/2 ||W - v||^2``; there is neither a target nor an iteration to start."""
        ...


@dataclass(frozen=True)
class NoRegularizer:
    """``Omega = 0``."""

    curvature = 0.0

    def __call__(self, W: Tensor) -> Tensor:
        """Zero."""
        return W.new_zeros(())

    def prox(self, v: Tensor, r: float | Tensor, target: None = None, start: None = None) -> Tensor:
        """`v` itself."""
        return v


@dataclass(frozen=True)
class L1:
    """``weight`` times the sum of absolute values."""

    weight: float
    curvature = None

    def __post_init__(self):
        _check(self.weight)

    def __call__(self, W: Tensor) -> Tensor:
        """``weight ||W||_1``."""
        return self.weight * W.abs().sum()

    def prox(self, v: Tensor, r: float | Tensor, target: None = None, start: None = None) -> Tensor:
        """Soft thresholding at ``weight/r``."""
        return torch.sign(v) * (v.abs() - 1.0 / r * self.weight).clamp_min(0.0)


@dataclass(frozen=True)
class L2:
    """``weight/2`` times the squared Frobenius norm."""

    weight: float

    @property
    def curvature(self) -> float:
        """`weight`."""
        return self.weight

    def __post_init__(self):
        _check(self.weight)

    def __call__(self, W: Tensor) -> Tensor:
        """``weight/2 ||W||^2``."""
        return 0.5 * self.weight * W.square().sum()

    def prox(self, v: Tensor, r: float | Tensor, target: None = None, start: None = None) -> Tensor:
        """``v/(1 + weight/r)``."""
        return v / (1.0 + 1.0 / r * self.weight)


def _check(weight: float) -> None:
    if not 0.0 <= weight < float("inf"):
        raise ValueError(f"`weight` of a regulariser must be >= 0 and finite, got {weight}")


def is_none(regularizer: Regularizer) -> bool:
    """Whether the regulariser is identically zero, so that closed forms without it apply."""
    return isinstance(regularizer, NoRegularizer)


def make(text: str | None) -> Regularizer:
    """A regulariser from its name and weight, such as ``"l1:1e-4"``; `None` and ``"none"`` are zero.

    Raises:
        ValueError: Another form than ``l1:WEIGHT`` or ``l2:WEIGHT``.
    """
    if text in (None, "none"):
        return NoRegularizer()
    kind, _, weight = text.partition(":")
    kinds = {"l1": L1, "l2": L2}
    try:
        return kinds[kind](float(weight))
    except (KeyError, ValueError) as error:
        expected = "`regularizer` must be 'none', 'l1:WEIGHT' or 'l2:WEIGHT' with a weight >= 0"
        raise ValueError(f"{expected}, got {text!r}") from error


def make_regularizer(regularizer: str | Regularizer | None) -> Regularizer:
    """A regulariser from its text (`altmin.regularizers.make`); an object is passed through."""
    if regularizer is None or isinstance(regularizer, str):
        return make(regularizer)
    if isinstance(regularizer, type) or not hasattr(regularizer, "prox"):
        raise TypeError(
            f"`regularizer` must be text such as 'l1:1e-4' or an object such as altmin.L1(1e-4), got {regularizer!r}"
        )
    return regularizer
