"""How far gradients reach in a method, and the error of a method that lets them reach too far."""

from __future__ import annotations

from enum import StrEnum


class Gradients(StrEnum):
    """How far gradients reach in a method: its label.

    Example:
        >>> print(Gradients.LAYER)
        gradients within a layer
    """

    NONE = "no gradients at all"
    LAYER = "gradients within a layer"
    STRAIGHT_THROUGH = "straight-through"
    BACKPROP = "full backpropagation"


class BackpropError(RuntimeError):
    """Backpropagation where an audit forbids it."""

    def __init__(self, what: str):
        label = f"Gradients.BACKPROP, {Gradients.BACKPROP.value!r}"
        super().__init__(f"{what}: `audit=True` and `no_backprop()` forbid it; the label of such a method is {label}")
