"""Metrics that users name or write, ``f(y_true, y_pred)``, as scikit-learn has them, for every record."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any

from altmin.core.batch import Batch
from altmin.core.forward import outputs
from altmin.core.problem import Problem
from altmin.core.score import labels_of, predict
from altmin.core.state import State
from altmin.errors import nearest

Metric = Callable[[Any, Any], Any]
Chosen = Mapping[str, str | Metric] | Sequence[str | Metric]


def check_metrics(name: str, value: Any) -> None:
    """Raise `TypeError` or `ValueError` where an argument names no metrics."""
    named_metrics(name, value)


def named_metrics(name: str, chosen: Chosen) -> dict[str, Metric]:
    """The metrics by their names.

    Args:
        name: The argument's name, for errors.
        chosen: Names of functions of `sklearn.metrics`, with or without ``_score``, and functions; or a dict of names
            to functions.

    Raises:
        TypeError: Something else.
        ValueError: An unknown name, or two metrics of one name.
    """
    if isinstance(chosen, Mapping):
        pairs = [(str(key), _function(name, value)) for key, value in chosen.items()]
    elif isinstance(chosen, Sequence) and not isinstance(chosen, str):
        pairs = [(value if isinstance(value, str) else _name(value), _function(name, value)) for value in chosen]
    else:
        raise TypeError(f"`{name}` must be a list of names and functions, or a dict of names to them, got {chosen!r}")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"`{name}` has two metrics of one name; hand in a dict of names to functions")
    return found


def metrics_of(
    problem: Problem, state: State[Any], classes: bool, parts: Mapping[str, Batch], metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """Each metric on each part of the samples, as ``validation_f1``.

    Args:
        problem: Gives the layers.
        state: Gives the weights.
        classes: Whether the targets are encoded classes.
        parts: The samples, by name.
        metrics: The metrics by name.

    Raises:
        ValueError: A metric that fails, or gives no number; the message names it.
    """
    found = {}
    for part, batch in parts.items():
        z = outputs(problem, state, batch.x)
        pair = (labels_of(batch.y), predict(z, problem.loss.middle)) if classes else (batch.y, z)
        y_true, y_pred = (t.cpu().numpy()[:, 0] if t.shape[1:] == (1,) else t.cpu().numpy() for t in pair)
        for name, metric in metrics.items():
            found[f"{part}_{name}"] = _value(name, metric, y_true, y_pred)
    return found


def _value(name: str, metric: Metric, y_true: Any, y_pred: Any) -> float:
    try:
        value = metric(y_true, y_pred)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`metrics`: {name} cannot be computed: {error}") from error
    if not isinstance(value, Real):
        raise ValueError(f"`metrics`: {name} must give a number, got {value!r}")
    return float(value)


def _function(argument: str, metric: Any) -> Metric:
    if callable(metric):
        return metric
    if not isinstance(metric, str):
        raise TypeError(f"`{argument}` must hold names and functions f(y_true, y_pred), got {metric!r}")
    from sklearn import metrics  # slow to import, and needed for names alone

    for name in (metric, f"{metric}_score"):
        if name in metrics.__all__ and callable(getattr(metrics, name)):
            return getattr(metrics, name)
    known = [name.removesuffix("_score") for name in metrics.__all__ if name.endswith(("_score", "_error", "_loss"))]
    raise ValueError(f"`{argument}`: sklearn.metrics has no {metric!r}; {nearest(metric, known)}")


def _name(metric: Any) -> str:
    if isinstance(metric, partial):
        return _name(metric.func)
    return getattr(metric, "__name__", type(metric).__name__)
