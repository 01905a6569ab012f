"""Inputs and targets as users have them, tensors, arrays, frames, lists or a `Dataset`, as two tensors."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, TensorDataset

from altmin.data import Split
from altmin.train.frames import is_frame, numbers_of
from altmin.train.place import Place

NUMBERED = "number the classes from 0: classes, y = numpy.unique(labels, return_inverse=True)"
MOST = 8  # labels that a message has


def pair_of(x: Any, y: Any) -> tuple[Any, Any]:
    """The pair of inputs and the targets that stand behind them.

    Raises:
        TypeError: In the place of the inputs something that holds targets itself.
    """
    if isinstance(x, tuple | Split | Dataset | DataLoader):
        what = "a pair (x, y)" if isinstance(x, tuple) else f"a {type(x).__name__}"
        raise TypeError(f"`y` was given beside {what}, which holds its targets; leave `y` out, or hand in x and y")
    return x, y


def tensors_of(name: str, data: Any, place: Place) -> tuple[Tensor, Tensor]:
    """Inputs and targets of all samples of `data`.

    Args:
        name: The argument's name, for errors.
        data: A pair ``(x, y)`` of tensors or arrays, a `Split`, or a `Dataset` of such pairs.
        place: Where they are to be.

    Raises:
        TypeError: No pair, or something else than numbers.
        ValueError: Samples of several shapes.
    """
    data = (data.x, data.y) if isinstance(data, Split) else data
    x, y = _pair(name, data, place.like.dtype)
    in_pair = isinstance(data, tuple | list)  # a tensor in a pair stays where it is, unless a device is named
    x = place.tensor(_tensor(name, "x", x), always=not (in_pair and isinstance(x, Tensor)))
    y = place.tensor(_tensor(name, "y", y), always=not (in_pair and isinstance(y, Tensor)))
    return x, y


def _pair(name: str, data: Any, dtype: torch.dtype) -> tuple[Any, Any]:
    """The pair ``(x, y)`` that `data` is or holds, with Python's real numbers in `dtype`."""
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        return data.tensors[0], data.tensors[1]
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return data[0], data[1]
    if isinstance(data, Dataset) and hasattr(data, "__len__"):
        samples = [data[i] for i in range(len(data))]  # type: ignore[arg-type]
        if samples and all(isinstance(s, (tuple, list)) and len(s) == 2 for s in samples):
            return _stack(name, "x", [s[0] for s in samples], dtype), _stack(name, "y", [s[1] for s in samples], dtype)
    raise TypeError(
        f"`{name}` must be a pair (x, y) of tensors or arrays, or a non-empty Dataset of pairs; got {_kind(data)}"
    )


def _kind(data: Any) -> str:
    return f"{type(data).__name__} of length {len(data)}" if hasattr(data, "__len__") else type(data).__name__


def _stack(name: str, part: str, values: list, dtype: torch.dtype) -> Tensor:
    if isinstance(values[0], str):
        return _tensor(name, part, values)  # the error of an array of texts
    try:
        return torch.stack([_sample(v, dtype) for v in values])
    except RuntimeError as error:
        raise ValueError(f"`{name}`: the samples' {part} cannot be stacked: {error}") from error


def _sample(value: Any, dtype: torch.dtype) -> Tensor:
    """A tensor as it is, an array as a tensor on the CPU; Python's real numbers have no dtype but `dtype`."""
    if isinstance(value, Tensor):
        return value
    own = dtype if type(value) is float else None
    return torch.as_tensor(value, dtype=own, device="cpu")


def _tensor(name: str, part: str, values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.clone() if values.is_inference() else values.detach()
    try:
        array = numbers_of(name, part, values) if is_frame(values) else np.asarray(values)
    except ValueError as error:
        if is_frame(values):
            raise
        raise ValueError(f"`{name}`: {part} is no array: {error}") from error
    if array.dtype.kind not in "biuf":
        kind = f"got an array of dtype {array.dtype}"
        if part == "y" and array.dtype.kind in "USO":
            raise TypeError(
                f"`{name}`: y holds the labels {_listed(array)} ({kind}), and a model has no names; {NUMBERED}"
            )
        raise TypeError(f"`{name}`: {part} must hold numbers, {kind}")
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "W"])
    return torch.as_tensor(array, device="cpu")


def _listed(labels: np.ndarray) -> str:
    """The different labels in words, the first ones of many."""
    return listed(sorted(set(map(reprlib.repr, labels.ravel().tolist()))))


def listed(values: Sequence[Any]) -> str:
    """Values in words, the first ones of many."""
    shown = ", ".join(map(str, values[:MOST]))
    return shown if len(values) <= MOST else f"{shown} and {len(values) - MOST} more"
