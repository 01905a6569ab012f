"""What outlives a step, and how it is saved: dataclasses of tensors and numbers."""

from __future__ import annotations

import copy
from dataclasses import fields
from typing import Any, Self

import torch
from torch import Tensor


class Memory:
    """Base class of everything that a method keeps between steps; subclasses are dataclasses.

    A field holds a tensor, a number, a text, `None`, another `Memory`, a `torch.optim.Optimizer`, a `torch.Generator`,
    or a list, tuple or dict of these. Functions and compiled code have no place in it: whatever is in a memory can be
    copied and saved.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass
        ... class Velocity(Memory):
        ...     v: list[Tensor]
        ...     steps: int = 0
        >>> saved = Velocity([torch.ones(2)], steps=3).state_dict()
        >>> fresh = Velocity([torch.zeros(2)])
        >>> fresh.load_state_dict(saved)
        >>> fresh
        Velocity(v=[tensor([1., 1.])], steps=3)
    """

    def clone(self) -> Self:
        """A copy that shares no tensor with this one; parts that share a tensor go on sharing its copy."""
        return copy.deepcopy(self)

    def state_dict(self) -> dict[str, Any]:
        """All fields as nested dicts and lists of tensors, numbers, texts and `None`; tensors are not copied."""
        return {f.name: packed(getattr(self, f.name), f.name) for f in fields(self)}  # type: ignore[arg-type]

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take the values that `state_dict` gave; tensors of the same shape are written in place.

        Args:
            saved: What `state_dict` of a memory of the same kind returned.

        Raises:
            ValueError: Fields are missing, or there are others; the message names them.
        """
        self._load(saved, "")

    def _load(self, saved: Any, prefix: str) -> None:
        self._check_fields(saved, prefix)
        for name, value in saved.items():
            setattr(self, name, restored(getattr(self, name), value, prefix + name))

    def _check_fields(self, saved: Any, prefix: str) -> None:
        names = {f.name for f in fields(self)}  # type: ignore[arg-type]
        if not isinstance(saved, dict) or set(saved) != names:
            found = sorted(map(str, saved)) if isinstance(saved, dict) else type(saved).__name__
            place = f"`{prefix.rstrip('.')}`" if prefix else type(self).__name__
            raise ValueError(f"{place}: expected the fields {sorted(names)}, got {found}")


def packed(value: Any, name: str = "value") -> Any:
    """`value` as nested dicts and lists of tensors, numbers, texts and `None`.

    Raises:
        TypeError: A value that no memory may hold; the message has its `name`.
    """
    if isinstance(value, Memory | torch.optim.Optimizer):
        return value.state_dict()
    if isinstance(value, torch.Generator):
        return value.get_state()
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, list | tuple):
        return [packed(v, f"{name}.{i}") for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {key: packed(v, f"{name}.{key}") for key, v in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"`{name}`: a {type(value).__name__} cannot be saved; a memory holds tensors, numbers and texts")


def restored(now: Any, saved: Any, name: str) -> Any:
    """What `packed` made `saved` of, written into `now` where that is possible.

    Args:
        now: The present value, which says what is expected.
        saved: What `packed` returned.
        name: Whose value it is, for errors.
    """
    if isinstance(now, Memory):
        now._load(saved, f"{name}.")
    elif isinstance(now, torch.optim.Optimizer):
        _load_optimizer(now, saved)
    elif isinstance(now, torch.Generator):
        now.set_state(saved)
    elif isinstance(saved, Tensor):
        return _tensor(now, saved, name)
    elif isinstance(saved, list):
        return _sequence(now, saved, name)
    elif isinstance(saved, dict):
        return {key: restored(dict(now or {}).get(key), value, f"{name}.{key}") for key, value in saved.items()}
    else:
        return saved
    return now


def _load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """PyTorch's own loading, and the saved dtypes again where it has given numbers those of their parameter."""
    optimizer.load_state_dict(copy.deepcopy(saved))
    params = [p for group in optimizer.param_groups for p in group["params"]]
    for i, values in saved["state"].items():
        own = optimizer.state[params[i]]
        for name, value in values.items():
            if isinstance(value, Tensor) and own[name].dtype != value.dtype:
                own[name] = value.to(own[name].device, copy=True)


def _tensor(now: Any, saved: Tensor, name: str) -> Tensor:
    if not isinstance(now, Tensor) or now.shape != saved.shape:
        return saved.detach().clone()
    if now.dtype != saved.dtype:
        raise ValueError(f"`{name}` has dtype {now.dtype}, the saved one {saved.dtype}")
    with torch.no_grad():
        return now.copy_(saved)


def _sequence(now: Any, saved: list[Any], name: str) -> Any:
    known = isinstance(now, list | tuple) and len(now) == len(saved)
    before = list(now) if known else [None] * len(saved)
    values = [restored(old, value, f"{name}.{i}") for i, (old, value) in enumerate(zip(before, saved, strict=True))]
    if known and isinstance(now, list):  # the very list, which others may have too
        now[:] = values
        return now
    return type(now)(values) if isinstance(now, list | tuple) else values
