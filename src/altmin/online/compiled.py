"""A function of a state and a batch, compiled: the same numbers by fewer and larger operators."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from altmin.core.batch import Batch
from altmin.core.state import Norm, State

Function = Callable[[State, Batch], Any]
COMPILERS = ("g++", "clang++", "c++", "cl")


class Compiled:
    """`function` by `torch.compile`, recorded on the first batch.

    Batches of other shapes have it as it is, and so have all while a `TorchDispatchMode` looks at every operator.

    Args:
        function: Returns tensors, in tuples and lists. It draws nothing, and what it depends on beside the tensors of
            the state (weights, norms and ``extra.stretched``) and of the batch never changes.
        device: Where it runs.

    Raises:
        RuntimeError: `device` is a CPU, and there is no C++ compiler.
    """

    def __init__(self, function: Function, device: torch.device):
        if device.type == "cpu" and not any(map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])):
            raise RuntimeError("`compile=True` needs a C++ compiler such as g++, and none was found; install one")
        self.function = function
        self.shapes: list[torch.Size] = []
        self.run: Callable[..., Any] | None = None

    def __call__(self, state: State, batch: Batch) -> Any:
        """The function's value."""
        if _get_current_dispatch_mode() is not None:  # under one `torch.compile` gives up, and for good
            return self.function(state, batch)
        tensors = _tensors(state, batch)
        if self.run is None:
            self.shapes, self.run = [t.shape for t in tensors], self._recorded(state, batch, tensors)
        same = self.shapes == [t.shape for t in tensors]
        return self.run(*tensors) if same else self.function(state, batch)

    def _recorded(self, state: State, batch: Batch, tensors: list[Tensor]) -> Callable[..., Any]:
        from torch.fx.experimental.proxy_tensor import make_fx  # slow to import, and seldom wanted

        copies = [t.clone() for t in tensors]  # recording runs it, and running statistics are written in place
        graph = make_fx(lambda *given: self.function(*_put(state, batch, list(given))))(*copies)
        return torch.compile(graph, dynamic=False)


def _tensors(state: State, batch: Batch) -> list[Tensor]:
    norms = [t for norm in state.norm if norm is not None for t in vars(norm).values()]
    return [batch.x, batch.y, *state.W, *state.b, *norms, *state.extra.stretched]


def _put(state: State, batch: Batch, given: list[Tensor]) -> tuple[State, Batch]:
    """The same with the tensors `given`, in the order of `_tensors`."""
    left = iter(given)
    batch = replace(batch, x=next(left), y=next(left))
    W, b = (tuple(next(left) for _ in group) for group in (state.W, state.b))
    norm = tuple(None if n is None else Norm(**{name: next(left) for name in vars(n)}) for n in state.norm)
    return replace(state, W=W, b=b, norm=norm, extra=replace(state.extra, stretched=tuple(left))), batch
