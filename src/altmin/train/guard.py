"""Whether a method keeps to what every method promises: found out at once, before wrong figures are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Any

from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.methods.base import Method


class Guard:
    """Compares a method's state and samples with what they were: pointers and versions, a few a layer.

    Args:
        method: Whose `init` has given `state` its variables.
        state: Its weights share the memory of the user's model.

    Raises:
        TypeError: A memory that cannot be saved, or too few variables for the method's penalty.
    """

    def __init__(self, method: Method, state: State[Any]):
        self.name = type(method).__name__
        self._places = _places(state)
        kind = type(state.memory)
        if not isinstance(state.memory, Memory) or not is_dataclass(kind):
            raise TypeError(
                f"{self.name}.init left a {kind.__name__} as the state's memory; make it an object of a dataclass that "
                "derives from altmin.Memory, so that it can be saved"
            )
        if type(method).penalty is not Method.penalty and len(state.z) != len(state.W):
            raise TypeError(
                f"{self.name}.init left {len(state.z)} pre-activations `z` for {len(state.W)} layers, which its "
                "penalty needs; begin it with super().init(sweep)"
            )

    def check_weights(self, state: State[Any]) -> None:
        """Raise `RuntimeError` where a variable of the network is no longer in the model's memory."""
        if (places := _places(state)) != self._places:
            changed = next((name for name, p in places.items() if p != self._places.get(name)), "a layer's weights")
            raise RuntimeError(
                f"{self.name}.step put a new tensor in the place of {changed}, which training then does not share with "
                f"the model; write in place, such as layer.{changed[0] if changed[0] in 'Wb' else 'W'}.copy_(...)"
            )

    def check_frozen(self, tensors: list[Tensor], versions: list[int]) -> None:
        """Raise `RuntimeError` where frozen weights were written to since they had these versions."""
        if versions_of(tensors) != versions:
            raise RuntimeError(
                f"{self.name}.step wrote into the weights of a frozen layer (requires_grad=False); move those alone "
                "whose `layer.layer.frozen` is False"
            )

    def check_samples(self, batch: Batch, versions: list[int]) -> None:
        """Raise `RuntimeError` where the samples were written to since they had these versions."""
        if versions_of([batch.x, batch.y]) != versions:
            raise RuntimeError(
                f"{self.name}.step wrote into the samples: the first layer's `input` is the data, `sweep.batch.y` the "
                "targets; work on a copy, such as layer.input.clone()"
            )


def _places(state: State[Any]) -> dict[str, int]:
    """Where the weights, intercepts and normalisations lie, by the names of `State.named`."""
    return {f"{name}_{i + 1}": t.data_ptr() for name in ("W", "b") for i, t in enumerate(getattr(state, name))}


def frozen_weights(problem: Problem, state: State[Any]) -> list[Tensor]:
    """Weights and intercepts of the frozen layers."""
    pairs = zip(problem.layers, state.W, state.b, strict=True)
    return [t for layer, W, b in pairs if layer.frozen for t in (W, b)]


def versions_of(tensors: Sequence[Tensor]) -> list[int]:
    """How often each tensor was written to."""
    return [_version(t) for t in tensors]


def _version(t: Tensor) -> int:
    return 0 if t.is_inference() else t._version
