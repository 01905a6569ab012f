"""Autograd's entrances from Python, and what stands in their place while there is an audit on any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.autograd.graph import saved_tensors_hooks

from altmin.audit.labels import BackpropError
from altmin.audit.threads import here, inherited

Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def _refused(what: str) -> Wrapper:
    """What stands in the place of a function that an audited thread must not call."""

    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            if here.audited:
                raise BackpropError(what)
            return original(*args, **kwargs)

        return guarded

    return wrapper


# Autograd that starts from Python goes through one of the first four, however `backward`, `grad`, `vjp`, `jvp` were
# imported; only `enter_dual_level` and `make_dual` are seen by these names alone.
_DOORS: tuple[tuple[Any, str, Wrapper], ...] = (
    (torch.autograd, "_engine_run_backward", _refused("an autograd graph is run (torch.autograd.backward, grad)")),
    (
        torch.autograd.graph,
        "disable_saved_tensors_hooks",
        _refused("a transform of torch.func is called (grad, vjp, jacrev)"),
    ),
    (forward_ad, "enter_dual_level", _refused("forward-mode differentiation is entered (torch.func.jvp, dual_level)")),
    (forward_ad, "make_dual", _refused("a tensor is given a tangent (torch.autograd.forward_ad.make_dual)")),
    (threading.Thread, "start", inherited),
)


class _Guards:
    """What replaces the doors: in place while there is an audit on any thread, in force on the threads audited."""

    def __init__(self) -> None:
        self.lock, self.count, self.kept = threading.Lock(), 0, []

    def add(self) -> None:
        with self.lock:
            if not self.count:
                self.kept = [getattr(owner, name) for owner, name, _ in _DOORS]
                for (owner, name, wrapper), original in zip(_DOORS, self.kept, strict=True):
                    setattr(owner, name, wrapper(original))
            self.count += 1

    def remove(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count:
                for (owner, name, _), original in zip(_DOORS, self.kept, strict=True):
                    setattr(owner, name, original)


guards = _Guards()


def _unpack(t: Tensor) -> Tensor:
    """What a graph saved, when it is run. Packing is no offence: most graphs that are built are never run."""
    if here.audited:
        raise BackpropError("an autograd graph is run")
    return t


hooks = saved_tensors_hooks(lambda t: t, _unpack)
