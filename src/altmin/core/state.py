"""The variables of a method: what a step changes, and what is saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from altmin.core.memory import Memory
from altmin.core.variables import Variables

M = TypeVar("M", bound=Memory)


@dataclass(eq=False)
class Norm(Memory):
    """A layer's normalisation, ``(n_l,)`` each: scale and shift are trained.

    Mean and variance follow the batches; a normalisation of each sample by itself has none, they are empty.
    """

    scale: Tensor
    shift: Tensor
    mean: Tensor
    var: Tensor

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Scale, shift, mean and variance."""
        return self.scale, self.shift, self.mean, self.var


@dataclass(eq=False)
class Nothing(Memory):
    """The memory of a method that keeps nothing but the variables."""


@dataclass(eq=False)
class Iterate(Memory):
    """The variables of an earlier iteration, from which inertia and momentum extrapolate.

    Attributes:
        W: Weights.
        b: Intercepts.
        z: Pre-activations; per sample.
        a: Activations; per sample.
    """

    W: list[Tensor] = field(default_factory=Variables)
    b: list[Tensor] = field(default_factory=Variables)
    z: list[Tensor] = field(default_factory=Variables)
    a: list[Tensor] = field(default_factory=Variables)


@dataclass(eq=False)
class State(Memory, Generic[M]):
    """The variables at one iteration, which a step changes in place, as a PyTorch optimiser changes its parameters.

    Layers count from 0: ``a[l]`` is the activation of layer ``l``. `clone` copies a state; `state_dict` and
    `load_state_dict` save and restore all of it.

    Attributes:
        W: Weights as the matrices of least squares, ``(n_l, n_{l-1})`` for a linear layer; replicated on every process.
        b: Intercepts, ``(n_l,)`` each; replicated.
        z: Pre-activations, ``(N, n_l)`` each, images ``(N, n_l, h, w)``; per sample.
        a: Activations of the hidden layers, in the shape of `z`, and where a method has one, the output variable that
            the loss stands on; per sample.
        u: Dual variable of the last layer, where a method has one; per sample.
        norm: Numbers of normalisations, `None` for a layer without; replicated.
        k: Steps done.
        epoch: Passes over the data done.
        samples: Samples of the whole training set over all processes, which a regulariser is spread over.
        generator: Draws dropout, noise and random starts.
        previous: The iterate before the present one, where a method extrapolates.
        memory: What else the method keeps.

    Example:
        >>> state = State([torch.zeros(2, 3)], [torch.zeros(2)])
        >>> saved = state.clone().state_dict()
        >>> _ = state.W[0].fill_(1.0)
        >>> state.load_state_dict(saved)
        >>> float(state.W[0].sum())
        0.0
    """

    W: list[Tensor]
    b: list[Tensor]
    z: list[Tensor] = field(default_factory=Variables)
    a: list[Tensor] = field(default_factory=Variables)
    u: Tensor | None = None
    norm: list[Norm | None] = field(default_factory=list)
    k: int = 0
    epoch: int = 0
    samples: float = 0
    generator: torch.Generator | None = None
    previous: Iterate | None = None
    memory: M = field(default_factory=Nothing)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.W, self.b, self.z, self.a = (Variables(group) for group in (self.W, self.b, self.z, self.a))
        self.norm = list(self.norm) or [None] * len(self.W)

    @property
    def per_sample(self) -> bool:
        """Whether there are variables of single samples, which a step on a part of the data gathers."""
        return bool(self.z or self.a) or self.u is not None

    def of_samples(self, pick: Callable[[Tensor], Tensor]) -> State[M]:
        """The state of some samples: what `pick` gives of every per-sample variable, with the same weights and memory.

        Args:
            pick: The rows of these samples, copied or as a view.
        """

        def rows(group: list[Tensor]) -> Variables:
            return Variables(map(pick, group))

        before = self.previous
        previous = None if before is None else Iterate(before.W, before.b, rows(before.z), rows(before.a))
        u = None if self.u is None else pick(self.u)
        part = replace(self, z=rows(self.z), a=rows(self.a), u=u, previous=previous)
        part.W, part.b = self.W, self.b  # the very lists, so that a replaced tensor is replaced for all
        return part

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Every variable with the paper's name for it, layers counted from 1."""
        for name, group in (("W", self.W), ("b", self.b), ("Z", self.z), ("A", self.a)):
            yield from ((f"{name}_{i + 1}", t) for i, t in enumerate(group))
        for i, norm in enumerate(self.norm):
            if norm is not None:
                yield from ((f"scale_{i + 1}", norm.scale), (f"shift_{i + 1}", norm.shift))
        if self.u is not None:
            yield "U", self.u

    def weights(self) -> State[Nothing]:
        """A copy of what the network needs: `W`, `b` and `norm`."""
        W, b = ([t.detach().clone() for t in group] for group in (self.W, self.b))
        norm = [None if n is None else Norm(*(t.detach().clone() for t in n.tensors())) for n in self.norm]
        return State(W, b, norm=norm)

    def set_weights(self, other: State[Any]) -> None:
        """Write the weights, intercepts and batch normalisation of `other` into this state, in place."""
        with torch.no_grad():
            for into, value in zip(self._network_tensors(), other._network_tensors(), strict=True):
                into.copy_(value)

    def to(self, like: Tensor) -> State[Nothing]:
        """The weights in the dtype and on the device of `like`."""
        norm = [None if n is None else Norm(*(t.to(like) for t in n.tensors())) for n in self.norm]
        return State([W.to(like) for W in self.W], [b.to(like) for b in self.b], norm=norm)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take the values that `state_dict` gave; variables are written in place.

        Raises:
            ValueError: Another method's fields, another number of layers, or tensors of another shape or dtype; the
                message names the variable.
        """
        self._check_fields(saved, "")
        for name in ("W", "b", "z", "a"):
            _check_tensors(name, getattr(self, name), saved[name])
        for name in ("u", "generator", "previous"):
            _check_presence(f"`{name}`", getattr(self, name), saved[name])
        for i, (mine, other) in enumerate(zip(self.norm, saved["norm"], strict=True)):
            _check_presence(f"`norm` of layer {i + 1}", mine, other)
        if self.u is not None:
            _check_tensor("`u`", self.u, saved["u"])
        self.memory._check_fields(saved["memory"], "memory.")
        super().load_state_dict(saved)

    def _network_tensors(self) -> Iterator[Tensor]:
        yield from self.W
        yield from self.b
        for norm in self.norm:
            yield from () if norm is None else norm.tensors()


def _check_tensors(name: str, now: list[Tensor], saved: Any) -> None:
    if not isinstance(saved, list) or len(saved) != len(now):
        found = f"{len(saved)} of them" if isinstance(saved, list) else saved
        raise ValueError(f"`{name}`: this state has {len(now)} tensors, the saved one {found}")
    for i, (mine, other) in enumerate(zip(now, saved, strict=True)):
        _check_tensor(f"`{name}` of layer {i + 1}", mine, other)


def _check_tensor(name: str, mine: Tensor, other: Tensor) -> None:
    if mine.shape != other.shape:
        raise ValueError(f"{name} has the shape {tuple(mine.shape)}, the saved one {tuple(other.shape)}")
    if mine.dtype != other.dtype:
        raise ValueError(f"{name} has dtype {mine.dtype}, the saved one {other.dtype}")


def _check_presence(name: str, mine: Any, other: Any) -> None:
    if (mine is None) != (other is None):
        has, had = ("none", "one") if mine is None else ("one", "none")
        raise ValueError(f"{name}: this state has {has}, the saved one {had}")
