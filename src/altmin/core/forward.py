"""The network's forward pass: the only one in which layers are evaluated one after the other without dropout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor

from altmin.core.problem import Layer, Problem
from altmin.core.state import State
from altmin.core.variables import Variables

CHUNK = 8192  # samples of a forward pass that is made for its outputs alone
STRETCH = 2**18  # numbers of a per-sample tensor that are worked on at once: what is made of them then stays in cache
_share: ContextVar[float] = ContextVar("share", default=1.0)


@contextmanager
def scaled(share: float) -> Iterator[None]:
    """A context in which so many samples are worked on at once as are `share` of the usual ones.

    A few samples then use memory as all of them will, but for their number.
    """
    token = _share.set(share)
    try:
        yield
    finally:
        _share.reset(token)


def layer_value(problem: Problem, state: State[Any], layer: int, a: Tensor) -> Tensor:
    """Layer `layer`'s value at input `a`, batch normalisation by its running statistics; no residual connection."""
    z = problem.layers[layer].map(state.W[layer], state.b[layer], a)
    numbers, normalisation = state.norm[layer], problem.layers[layer].norm
    return z if numbers is None or normalisation is None else normalisation.value(z, numbers)


def skip_value(layer: Layer, x: Tensor, z: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor | None:
    """What a residual connection adds to a layer's pre-activation; `None` where there is none."""
    if layer.skip is None:
        return None
    kind, i = layer.skip
    if kind == "z":
        return z[i]
    return x if i < 0 else a[i]


def forward(problem: Problem, state: State[Any], x: Tensor, first: Tensor | None = None) -> tuple[Variables, Variables]:
    """A forward pass: pre-activations of all layers, and activations of the hidden ones.

    Args:
        problem: Gives the layers.
        state: Gives the weights.
        x: Samples, ``(N, ...)``.
        first: The first layer's pre-activation, where somebody has made it.

    Raises:
        ValueError: The two ends of a residual connection differ in shape.
    """
    zs, as_ = Variables(), Variables()
    for i, layer in enumerate(problem.layers):
        if i == 0 and first is not None:
            zs.append(first)
        else:
            zs.append(_pre_activation(problem, state, i, x, zs, as_))
        if i + 1 < len(problem.layers):
            as_.append(layer.activation(zs[-1]))
    return zs, as_


def _pre_activation(problem: Problem, state: State[Any], i: int, x: Tensor, z: Variables, a: Variables) -> Tensor:
    """That of layer `i` in a forward pass, from those of the layers below."""
    value = layer_value(problem, state, i, a[-1] if a else x)
    skip = skip_value(problem.layers[i], x, z, a)
    if skip is None:
        return value
    if skip.shape != value.shape:  # PyTorch would broadcast
        ends = f"{tuple(skip.shape[1:])} to {tuple(value.shape[1:])}"
        raise ValueError(f"the residual connection to layer {i + 1} adds samples of shape {ends}")
    return value + skip


def start_forward(problem: Problem, state: State[Any], x: Tensor) -> None:
    """Give `state` the ``Z`` and ``A`` of a forward pass, tensors of their own."""
    state.z, state.a = forward(problem, state, x)
    for i, (z, a) in enumerate(zip(state.z, state.a, strict=False)):
        if a is z:  # the identity makes no copy
            state.a[i] = a.clone()


@torch.no_grad()
def outputs(problem: Problem, state: State[Any], x: Tensor) -> Tensor:
    """The network's outputs, ``(N, n_L)``, computed in chunks of the samples."""
    return torch.cat([forward(problem, state, chunk)[0][-1] for chunk in x.split(_scaled(CHUNK))])


def numel_per_sample(*tensors: Tensor) -> int:
    """How many numbers these tensors have for a sample, together."""
    return sum(t.shape[1:].numel() for t in tensors)


def stretches(t: Tensor, whole: bool = False) -> list[slice]:
    """Slices of the samples of `t` that stay in cache (larger ones on other devices), or one for all."""
    if whole:
        return [slice(None)]
    step = max(1, _scaled(STRETCH if t.device.type == "cpu" else 64 * STRETCH) // numel_per_sample(t))
    return [slice(i, i + step) for i in range(0, len(t), step)]


def _scaled(count: int) -> int:
    return max(1, int(count * _share.get()))
