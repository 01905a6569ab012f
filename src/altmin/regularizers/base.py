"""What every regulariser offers, and their names."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from altmin.checks import Checked
from altmin.errors import absent
from altmin.registration import Registry


class Regularizer(Checked):
    """A function ``Omega(W)`` of one layer's weights, convex unless it says that it is discrete, with its prox.

    A subclass gives a call and `prox`; `altmin.register_regularizer` gives it a name. Methods ask no more of it than
    whether it is zero and whether it is a square, for which weights have closed forms. In a dataclass, fields made by
    `altmin.checks.number` are checked.

    Class attributes:
        name: What it is called in text such as ``"l1:1e-4"``.
        constraint: Whether it is zero on a set of weights and infinite elsewhere; its prox is the projection.
        discrete: Whether that set is finite.
    """

    name: ClassVar[str] = "a regulariser"
    constraint: ClassVar[bool] = False
    discrete: ClassVar[bool] = False

    @property
    def is_zero(self) -> bool:
        """Whether it is identically zero, so that closed forms without it apply."""
        return False

    @property
    def curvature(self) -> float | None:
        """``w`` where ``Omega(W) = w/2 ||W||^2``, so 0 where it is zero; `None` where it is no such square."""
        return None

    def __call__(self, W: Tensor) -> Tensor:
        """``Omega(W)``, a scalar, for weights of any shape."""
        raise absent(self, "__call__")

    def prox(self, v: Tensor, r: float | Tensor, target: Tensor | None = None, start: Tensor | None = None) -> Tensor:
        """``argmin_W Omega(W) + r/2 ||W - v||^2``, the shape of `v`.

        Args:
            v: Centre, weights of any shape.
            r: Weight of the proximal term, > 0; a number or a scalar tensor.
            target: Not used: a regulariser has none.
            start: Not used by closed forms.
        """
        raise absent(self, "prox")

    def least_subgradient(self, W: Tensor, g: Tensor) -> Tensor:
        """The element of least norm of ``g + dOmega(W)``, the shape of `W`.

        Squares and l1 have it in closed form. By default it is the prox mapping ``W - prox_Omega(W - g)``, which is
        never longer, and zero at the same points.

        Args:
            W: Weights of any shape.
            g: A further gradient, the same shape.
        """
        return W - self.prox(W - g, 1.0) if self.curvature is None else g + self.curvature * W

    def complete_square(self, center: Tensor, d: float) -> tuple[Tensor, float]:
        """Centre and weight of the one square that ``d/2 ||W - center||^2 + Omega(W)`` is, up to a constant.

        Args:
            center: Centre of the proximal term, weights of any shape.
            d: Its weight, >= 0.

        Raises:
            TypeError: The regulariser is no square.
        """
        if self.curvature is None:
            raise TypeError(f"{self!r} is no square: only none and l2 are")
        weight = d + self.curvature
        return (center * (d / weight), weight) if self.curvature else (center, d)


REGULARIZERS: Registry[Regularizer] = Registry("regularizer")
"""The regularisers by name."""
register_regularizer = REGULARIZERS.register


def make_regularizer(regularizer: str | Regularizer | None) -> Regularizer:
    """A regulariser from its name and weight, such as ``"l1:1e-4"``; `None` is zero, an object is passed through.

    Raises:
        TypeError: Neither text nor a regulariser.
        ValueError: An unknown name; the message has the nearest known one. Or a weight that is none.
    """
    if regularizer is None or isinstance(regularizer, str):
        return REGULARIZERS.make("none" if regularizer is None else regularizer)
    if not isinstance(regularizer, Regularizer):
        raise TypeError(
            f"`regularizer` must be text such as 'l1:1e-4' or an object such as altmin.L1(1e-4), got {regularizer!r}"
        )
    return regularizer


def check_weight(weight: float) -> None:
    """Raise `ValueError` where the weight of a regulariser is negative, infinite or nan."""
    if not 0.0 <= weight < float("inf"):
        raise ValueError(f"`weight` of a regulariser must be >= 0 and finite, got {weight}")


def indicator(inside: Tensor, W: Tensor) -> Tensor:
    """Zero where all of `inside` is true, else infinity; a scalar like `W`."""
    return W.new_zeros(()).masked_fill(~inside.all(), float("inf"))
