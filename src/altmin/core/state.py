"""The variables of a method at one iteration, and the network's forward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from altmin.core.problem import BatchNorm, Layer, Problem

if TYPE_CHECKING:
    from torch import nn


PART = 2**18  # numbers of a per-sample tensor that are worked on at once: what is made of them then stays in cache
CHUNK = 8192  # samples of a forward pass that is made for its outputs alone


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
        W: Weights as the matrices of least squares, ``(n_l, n_{l-1})`` for a linear layer; replicated on every process.
        b: Intercepts, ``(n_l,)`` each; replicated.
        z: Pre-activations (or codes), ``(N, n_l)`` each, images ``(N, n_l, h, w)``; per sample.
        a: Activations of the hidden layers, in the shape of `z`; per sample.
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
        from altmin.convert.weights import weights_of

        return weights_of(model)

    def named(self) -> Iterator[tuple[str, Tensor]]:
        """Every tensor with the paper's name for it, layers counted from 1."""
        for name, group in (("W", self.W), ("b", self.b), ("Z", self.z), ("A", self.a)):
            yield from ((f"{name}_{i + 1}", t) for i, t in enumerate(group))
        for i, norm in enumerate(self.norm):
            yield from ((f"{k}_{i + 1}", getattr(norm, k)) for k in ("scale", "shift") if norm is not None)
        if self.u is not None:
            yield "U", self.u

    def samples(self, rows: Tensor | slice) -> State:
        """The same with the per-sample variables of some samples: views where `rows` is a slice, else copies."""
        z, a = (tuple(t[rows] for t in group) for group in (self.z, self.a))
        return replace(self, z=z, a=a, u=None if self.u is None else self.u[rows])

    def to(self, like: Tensor) -> State:
        """`W`, `b` and `norm` in the dtype and on the device of `like`."""
        norm = tuple(None if n is None else Norm(*(t.to(like) for t in vars(n).values())) for n in self.norm)
        return State(tuple(W.to(like) for W in self.W), tuple(b.to(like) for b in self.b), norm=norm)

    def with_own_last(self) -> State:
        """The same state, the last layer's numbers copied, so that they can be written in place."""
        W, b = (*self.W[:-1], self.W[-1].clone()), (*self.b[:-1], self.b[-1].clone())
        norm = self.norm and (*self.norm[:-1], self.weights().norm[-1])
        return replace(self, W=W, b=b, norm=norm)

    def weights(self) -> State:
        """A copy of what a network needs: `W`, `b` and `norm`."""
        clone = tuple(None if n is None else Norm(*(t.detach().clone() for t in vars(n).values())) for n in self.norm)
        return State(tuple(w.detach().clone() for w in self.W), tuple(b.detach().clone() for b in self.b), norm=clone)


def block(problem: Problem, state: State, layer: int, a: Tensor) -> Tensor:
    """Layer `layer`'s value at input `a`, batch normalisation by its running statistics; no residual connection."""
    z = problem.layers[layer].map(state.W[layer], state.b[layer], a)
    norm, numbers = state.norm[layer] if state.norm else None, problem.layers[layer].norm
    return z if norm is None or numbers is None else normalise(z, norm, numbers, norm.mean, norm.var)


def normalise(z: Tensor, norm: Norm, numbers: BatchNorm, mean: Tensor, var: Tensor) -> Tensor:
    """``scale (z - mean)/sqrt(var + eps) + shift``, the numbers of each channel."""
    factor = norm.scale * torch.rsqrt(var + numbers.eps)
    return (z - per_channel(mean, z)) * per_channel(factor, z) + per_channel(norm.shift, z)


def per_channel(numbers: Tensor, z: Tensor) -> Tensor:
    """`numbers` ``(n_l,)`` in a shape that broadcasts over `z` ``(N, n_l, ...)``."""
    return numbers.view(-1, *[1] * (z.ndim - 2))


def skipped(layer: Layer, x: Tensor, z: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor | None:
    """What a residual connection adds to a layer's pre-activation; `None` where there is none."""
    if layer.skip is None:
        return None
    kind, i = layer.skip
    if kind == "z":
        return z[i]
    return x if i < 0 else a[i]


def forward(problem: Problem, state: State, x: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A forward pass: pre-activations of all layers, and activations of the hidden ones.

    Raises:
        ValueError: The two ends of a residual connection differ in shape.
    """
    zs: list[Tensor] = []
    as_: list[Tensor] = []
    for i, layer in enumerate(problem.layers):
        z = block(problem, state, i, as_[-1] if as_ else x)
        over = skipped(layer, x, zs, as_)
        if over is not None and over.shape != z.shape:  # PyTorch would broadcast
            ends = f"{tuple(over.shape[1:])} to {tuple(z.shape[1:])}"
            raise ValueError(f"the residual connection to layer {i + 1} adds samples of shape {ends}")
        zs.append(z if over is None else z + over)
        if i + 1 < len(problem.layers):
            as_.append(layer.activation(zs[-1]))
    return tuple(zs), tuple(as_)


@torch.no_grad()
def outputs(problem: Problem, state: State, x: Tensor) -> Tensor:
    """The network's outputs, ``(N, q)``, computed in chunks."""
    return torch.cat([forward(problem, state, part)[0][-1] for part in x.split(CHUNK)])


def with_forward(problem: Problem, start: State, x: Tensor) -> State:
    """A fresh state with `start`'s weights and ``Z``, ``A`` by a forward pass."""
    weights = start.weights()
    z, a = forward(problem, weights, x)
    return replace(weights, z=z, a=tuple(t.clone() if t is zt else t for t, zt in zip(a, z, strict=False)))


def dual(state: State) -> Tensor:
    """``U``, where the method's `init` has made one."""
    assert state.u is not None
    return state.u


def put(state: State, **changes: tuple[int, Tensor]) -> State:
    """`state` with one tensor of a group replaced: ``put(state, W=(2, new))``."""
    groups = {name: (*(g := getattr(state, name))[:i], new, *g[i + 1 :]) for name, (i, new) in changes.items()}
    return replace(state, **groups)


def parts(t: Tensor, whole: bool = False) -> list[slice]:
    """Parts of the samples of `t` that stay in cache (on other devices than the CPU, larger ones), or all at once."""
    if whole:
        return [slice(None)]
    step = max(1, (PART if t.device.type == "cpu" else 64 * PART) // numbers(t))
    return [slice(i, i + step) for i in range(0, len(t), step)]


def numbers(*tensors: Tensor) -> int:
    """The numbers that these have for a sample."""
    return sum(t.shape[1:].numel() for t in tensors)


def renewed(t: Tensor) -> Tensor:
    """`t` under a new name, for a tensor that was written in place: what was made of the old one no longer holds."""
    return t.view(t.shape)
