"""Nested values as JSON beside the tensors that they hold: what is decoded is what was encoded, to the bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from altmin.train.shards import Cut

KIND = "$"  # the key that tells an object of this module's from a dict of the user's


class Encoder:
    """Makes JSON of nested dicts, lists, tuples, tensors, numbers and texts.

    Attributes:
        tensors: The tensors that were met, by names that say where; one that is met twice is there once.

    Example:
        >>> import json, torch
        >>> encoder = Encoder()
        >>> text = json.dumps(encoder.encode({"a": [torch.ones(2), float("inf"), (1, None)]}, "run"))
        >>> decode(json.loads(text), encoder.tensors)
        {'a': [tensor([1., 1.]), inf, (1, None)]}
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[Any, str] = {}

    def encode(self, value: Any, name: str) -> Any:
        """`value` as JSON has it.

        Args:
            value: What is encoded.
            name: Whose value it is, for errors and the tensors' names.

        Raises:
            TypeError: A value that is none of these.
        """
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
            return value
        if isinstance(value, float):
            return {KIND: "float", "value": repr(float(value))}
        if isinstance(value, Tensor):
            return self._tensor(value.detach(), name)
        if isinstance(value, list | tuple):
            items = [self.encode(item, f"{name}.{i}") for i, item in enumerate(value)]
            return items if isinstance(value, list) else {KIND: "tuple", "items": items}
        if isinstance(value, dict):
            return self._dict(value, name)
        raise TypeError(f"`{name}`: a {type(value).__name__} cannot be saved; tensors, numbers and texts can")

    def _dict(self, value: dict[Any, Any], name: str) -> Any:
        if all(isinstance(key, str) for key in value) and KIND not in value:
            return {key: self.encode(item, f"{name}.{key}") for key, item in value.items()}
        items = [[self.encode(key, name), self.encode(item, f"{name}.{key}")] for key, item in value.items()]
        return {KIND: "dict", "items": items}

    def _tensor(self, t: Tensor, name: str) -> Any:
        """The tensor's name and the order of its dimensions in memory: rounding may depend on it."""
        order = sorted(range(t.ndim), key=lambda i: (-t.stride(i), i))
        order = order if t.permute(order).is_contiguous() else list(range(t.ndim))
        place = (t.device, t.data_ptr(), t.dtype, t.shape, t.stride()) if t.numel() else object()
        if place not in self._names:
            self._names[place] = name = self._unused(name)
            self.tensors[name] = t.permute(order)
        return {KIND: "tensor", "name": self._names[place], "shape": list(t.permute(order).shape), "order": order}

    def _unused(self, name: str) -> str:
        """A name of its own for a tensor: keys with dots can make the same one of two places."""
        name = name.replace(":", "_")  # which names pieces
        return name if name not in self.tensors else f"{name}-{len(self.tensors)}"


def decode(value: Any, tensors: Mapping[str, Tensor | list[Tensor]]) -> Any:
    """What `Encoder.encode` was given.

    Args:
        value: What it returned.
        tensors: Those of the encoder by name, or the pieces of one (`read_shards`).
    """
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value.get(KIND)
    if kind is None:
        return {key: decode(item, tensors) for key, item in value.items()}
    if kind == "float":
        return float(value["value"])
    if kind == "tuple":
        return tuple(decode(item, tensors) for item in value["items"])
    if kind == "dict":
        return {decode(key, tensors): decode(item, tensors) for key, item in value["items"]}
    return _decoded_tensor(value, tensors[value["name"]])


def _decoded_tensor(value: dict[str, Any], stored: Tensor | list[Tensor]) -> Tensor | Cut:
    """The tensor with the dimensions that it had; one that was cut and lies in their order is not put together yet."""
    order = value["order"]
    if isinstance(stored, list):
        cut = Cut(stored, tuple(value["shape"]))
        if order == sorted(order):
            return cut
        stored = cut.whole()
    return stored.permute([order.index(i) for i in range(len(order))])
