"""What samples count by, as users say it: a number for each of them, or for each class."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.score import labels_of
from altmin.methods.base import Method

UNWEIGHED = "batch normalisation", "Elman"  # features that do not know what samples count by


def check_class_weight(name: str, value: Any) -> None:
    """Raise `TypeError` or `ValueError` where an argument is neither "balanced" nor a dict of class index to weight."""
    if isinstance(value, str) and value == "balanced":
        return
    if not isinstance(value, Mapping):
        raise TypeError(f"`{name}` must be 'balanced', a dict of class index to weight or None, got {value!r}")
    for label, weight in value.items():
        if not isinstance(label, Integral) or isinstance(label, bool) or label < 0:
            raise ValueError(f"`{name}` must have class indices as keys, 0, 1, ..., got {label!r}")
        if not isinstance(weight, Real) or not 0.0 <= float(weight) < math.inf:
            raise ValueError(f"`{name}` must have weights >= 0, got {weight!r} for class {label}")


def check_weighs(method: Method, problem: Problem) -> None:
    """Refuse weights of samples where they would not count everywhere.

    Raises:
        TypeError: The method adds up samples as they are, or a layer's normalisation or recurrence does.
    """
    name = type(method).__name__
    if not method.weighs:
        raise TypeError(f"`sample_weight`: {name} does not weigh samples (`weighs` is False); OnlineAM does")
    if getattr(method, "compile", False):
        raise TypeError(f"`sample_weight`: the compiled steps of {name} count every sample once; leave `compile` out")
    for i, layer in enumerate(problem.layers):
        for feature in layer.features:
            if feature in UNWEIGHED:
                raise TypeError(f"`sample_weight`: {feature} (layer {i + 1}) counts every sample once; leave it out")


def weigh(
    samples: Batch, classes: bool, sample_weight: Any = None, class_weight: Mapping[int, float] | str | None = None
) -> Batch:
    """The samples that count, with what they count by.

    Args:
        samples: All of them.
        classes: Whether their targets are encoded classes.
        sample_weight: A number for each, >= 0; `None`: 1.
        class_weight: What they are multiplied by, class by class; ``"balanced"``: inversely to how many there are.

    Raises:
        TypeError: Weights that are no real numbers; weights of classes where targets are none.
        ValueError: Another shape than ``(N,)``, negative weights, nan or inf, or no weight above 0.
    """
    weights = samples.y.new_ones(len(samples.y))
    if sample_weight is not None:
        weights = _checked(sample_weight, weights)
    if class_weight is not None:
        if not classes:
            raise TypeError("`class_weight` needs class labels, and the targets are numbers; use `sample_weight`")
        labels = labels_of(samples.y)
        weights = weights * _of_classes(class_weight, labels, max(samples.y.shape[1], 2)).to(weights)[labels]
    counting = weights.nonzero()[:, 0]
    if len(counting) == 0:
        name = "class_weight" if sample_weight is None else "sample_weight"
        raise ValueError(f"`{name}` is 0 for every sample; one or more must count")
    weighed = replace(samples, sample_weight=weights)
    return weighed if len(counting) == len(weights) else weighed.part(counting)


def _checked(given: Any, like: Tensor) -> Tensor:
    """Weights as users have them, in the model's dtype."""
    weights = given.detach() if isinstance(given, Tensor) else torch.as_tensor(_numbers(given), device="cpu")
    if weights.is_complex():
        raise TypeError(f"`sample_weight` must hold real numbers, got {weights.dtype}")
    if weights.shape != like.shape:
        shape = tuple(weights.shape)
        raise ValueError(f"`sample_weight` must have shape ({len(like)},), a number for each sample, got {shape}")
    weights = weights.to(like)
    bad = (~torch.isfinite(weights) | (weights < 0)).nonzero()
    if len(bad):
        i = int(bad[0])
        raise ValueError(f"`sample_weight` must be finite and >= 0, got {float(weights[i])} for sample {i}")
    return weights


def _numbers(given: Any) -> np.ndarray:
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"`sample_weight` must hold numbers, got an array of dtype {array.dtype}")
    return np.require(array, array.dtype.newbyteorder("="), ["C", "W"])


def _of_classes(class_weight: Mapping[int, float] | str, labels: Tensor, outputs: int) -> Tensor:
    """What each class counts by, ``(outputs,)``."""
    if isinstance(class_weight, str):
        counts = torch.bincount(labels, minlength=outputs).double()
        return len(labels) / (int((counts > 0).sum()) * counts.clamp_min(1.0))
    strangers = [label for label in class_weight if label >= outputs]
    if strangers:
        raise ValueError(f"`class_weight` names class {strangers[0]}, and there are 0..{outputs - 1}")
    return torch.tensor([float(class_weight.get(i, 1.0)) for i in range(outputs)], device=labels.device)
