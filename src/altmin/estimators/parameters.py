"""The parameters of the estimators, checked when training begins, as scikit-learn wants it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from altmin.methods.base import Method
from altmin.methods.registry import entry
from altmin.study.activation_names import ACTIVATION_NAMES

Check = tuple[Callable[[Any], bool], str]


def _whole(value: Any, least: int = 1) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _widths(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(map(_whole, value))


def _weights(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_real(weight) and weight >= 0 for weight in value.values())
    return value is None or (isinstance(value, str) and value == "balanced")


ANYTHING: Check = (lambda _: True, "")
CHECKS: dict[str, Check] = {
    "method": (lambda v: isinstance(v, str | Method), "a method's name or an altmin.Method"),
    "hidden_layer_sizes": (_widths, "a tuple of whole numbers >= 1"),
    "activation": (lambda v: v in ACTIVATION_NAMES, f"one of {', '.join(ACTIVATION_NAMES)}"),
    "alpha": (lambda v: _real(v) and v >= 0, "a number >= 0"),
    "batch_size": (lambda v: v == "auto" or _whole(v), "'auto' or a whole number >= 1"),
    "max_iter": (_whole, "a whole number >= 1"),
    "tol": (lambda v: _real(v) and v >= 0, "a number >= 0"),
    "early_stopping": (lambda v: isinstance(v, bool), "True or False"),
    "validation_fraction": (lambda v: _real(v) and 0 < v < 1, "a number between 0 and 1"),
    "n_iter_no_change": (_whole, "a whole number >= 1"),
    "warm_start": (lambda v: isinstance(v, bool), "True or False"),
    "class_weight": (_weights, "a dict of label to a weight >= 0, 'balanced' or None"),
    "verbose": (lambda v: isinstance(v, bool | int), "True or False"),
}


def check_parameters(estimator: Any) -> None:
    """Refuse what training could not use.

    Raises:
        ValueError: A parameter that does not fit; the message names it, what was expected, and what came.
    """
    for name, value in estimator.get_params(deep=False).items():
        fits, expected = CHECKS.get(name, ANYTHING)
        if not fits(value):
            raise ValueError(f"`{name}` must be {expected}, got {value!r}")
    if isinstance(estimator.method, str):
        entry(estimator.method)
