"""The variables of a method at one iteration, and the network's forward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from altmin.problem import BatchNorm, Problem

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Norm:
    """A layer's batch normalisation: scale and shift are trained, mean and variance follow the batches; ``(n_l,)``."""

    scale: Tensor
    shift: Tensor
    mean: Tensor
    var: Tensor


@dataclass(frozen=True)
class State:
    """The variables at one iteration. Layers count from 0; ``a[l]`` is the activation of layer ``l``, ``l < L - 1``.

    Attributes:
        W: Weights, ``(n_l, n_{l-1})`` each; replicated on every process.
        b: Intercepts, ``(n_l,)`` each; replicated.
        z: Pre-activations (or codes), ``(N, n_l)`` each; per sample.
        a: Activations of the hidden layers, ``(N, n_l)`` each; per sample.
        u: Dual variable of the last layer, where a method has one.
        norm: Batch normalisation, `None` for a layer without; replicated.
        k: Steps done.
        epoch: Passes over the data done.
        extra: The method's own memory.
    """

    W: tuple[Tensor, ...]
    b: tuple[Tensor, ...]
    z: tuple[Tensor, ...] = ()
    a: tuple[Tensor, ...] = ()
    u: Tensor | None = None
    norm: tuple[Norm | None, ...] = ()
    k: int = 0
    epoch: int = 0
    extra: Any = None

    @classmethod
    def from_module(cls, model: nn.Sequential) -> State:
        """The weights of `model`, copied; no per-sample variables yet (a method's `init` adds them)."""
        from altmin.modules import weights_of

        return weights_of(model)

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with the paper's name for it, layers counted from 1."""
        for name, group in (("W", self.W), ("b", self.b), ("Z", self.z), ("A", self.a)):
            yield from ((f"{name}_{i + 1}", t) for i, t in enumerate(group))
        for i, norm in enumerate(self.norm):
            yield from ((f"{k}_{i + 1}", getattr(norm, k)) for k in ("scale", "shift") if norm is not None)
        if self.u is not None:
            yield "U", self.u

    def weights(self) -> State:
        """A copy of what a network needs: `W`, `b` and `norm`."""
        clone = tuple(None if n is None else Norm(*(t.detach().clone() for t in vars(n).values())) for n in self.norm)
        return State(tuple(w.detach().clone() for w in self.W), tuple(b.detach().clone() for b in self.b), norm=clone)


def block(problem: Problem, state: State, layer: int, a: Tensor) -> Tensor:
    """Layer `layer`'s pre-activation of input `a`, batch normalisation by its running statistics."""
    z = problem.layers[layer].map(state.W[layer], state.b[layer], a)
    norm, numbers = state.norm[layer] if state.norm else None, problem.layers[layer].norm
    return z if norm is None or numbers is None else normalise(z, norm, numbers, norm.mean, norm.var)


def normalise(z: Tensor, norm: Norm, numbers: BatchNorm, mean: Tensor, var: Tensor) -> Tensor:
    """``scale (z - mean)/sqrt(var + eps) + shift``."""
    return (z - mean) * (norm.scale * torch.rsqrt(var + numbers.eps)) + norm.shift


def forward(problem: Problem, state: State, x: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A forward pass: pre-activations of all layers, and activations of the hidden ones."""
    zs, as_ = [], []
    for layer, parts in enumerate(problem.layers):
        zs.append(block(problem, state, layer, x))
        if layer + 1 < len(problem.layers):
            x = parts.activation(zs[-1])
            as_.append(x)
    return tuple(zs), tuple(as_)


def with_forward(problem: Problem, start: State, x: Tensor) -> State:
    """A fresh state with `start`'s weights and ``Z``, ``A`` by a forward pass."""
    weights = start.weights()
    z, a = forward(problem, weights, x)
    return replace(weights, z=z, a=tuple(t.clone() if t is zt else t for t, zt in zip(a, z, strict=False)))


def put(state: State, **changes: tuple[int, Tensor]) -> State:
    """`state` with one tensor of a group replaced: ``put(state, W=(2, new))``."""
    groups = {name: (*(g := getattr(state, name))[:i], new, *g[i + 1 :]) for name, (i, new) in changes.items()}
    return replace(state, **groups)
