"""Networks on which a chain across layers would be seen, and the methods by their labels."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from altmin import (
    Sign,
    State,
)
from altmin.audit import Gradients
from altmin.methods.registry import METHODS
from methods import table
from methods.table import Loop, seeded, takes

Curve = type[nn.Module]


def deep(s: Curve) -> list[nn.Module]:
    """Four hidden layers."""
    widths = [64, 12, 11, 10, 9]
    return [*(m for p, q in itertools.pairwise(widths) for m in (nn.Linear(p, q), s())), nn.Linear(9, 10)]


def below_bits() -> list[nn.Module]:
    """Bits in the third of four hidden layers; the others are smooth."""
    parts = deep(nn.Tanh)
    parts[5] = Sign()
    return parts


def turning(s: Curve) -> list[nn.Module]:
    """Activations that fall and rise in the first three of four hidden layers."""
    parts = deep(s)
    parts[1], parts[3], parts[5] = nn.GELU(), nn.SiLU(), nn.Mish()
    return parts


def normed(s: Curve) -> list[nn.Module]:
    """Four hidden layers that normalise every sample by itself."""
    widths = {m.out_features for m in deep(s)[:-1] if isinstance(m, nn.Linear)}
    norms = [nn.LayerNorm(width) for width in sorted(widths, reverse=True)]
    *hidden, last = deep(s)
    return [m for i, norm in enumerate(norms) for m in (hidden[2 * i], norm, hidden[2 * i + 1])] + [last]


NETS: dict[str, Callable[[Curve], list[nn.Module]]] = {"deep": deep, "turning": turning, "normed": normed, **table.NETS}
ENTRIES = [e for e in METHODS.values() if e.paper != "torch.optim" or e.name in ("sgd", "adam")]
SHOWN = {entry.name: entry.method for entry in ENTRIES}
LABELS = {entry.name: entry.method.gradients for entry in ENTRIES}


def named(*labels: Gradients) -> list[str]:
    return [name for name, label in LABELS.items() if label in labels]


def curve(name: str) -> Curve:
    return Sign if LABELS[name] is Gradients.STRAIGHT_THROUGH else nn.Tanh


def model_of(name: str, net: str) -> nn.Sequential:
    return seeded(partial(NETS[net], curve(name)))


def nearby(like: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Tensors near others."""
    g = torch.Generator().manual_seed(seed)
    return [t + 0.3 * torch.randn(t.shape, generator=g, dtype=t.dtype) for t in like]


def begin(name: str, net: str) -> Loop:
    """The start; variables of samples are away from a forward pass, so that every layer has something to do."""
    loop = Loop.of(SHOWN[name], model_of(name, net), n=60)
    for group, seed in ((loop.state.z, 4), (loop.state.a, 5)):
        for t, other in zip(group, nearby(group, seed), strict=True):
            t.copy_(other)
    return loop


def on_nets(*labels: Gradients) -> Callable[[Any], Any]:
    """Every method of these labels with every network that it supports; in the fast run each has one of them."""
    cases = [(n, net) for n in named(*labels) for net in NETS if takes(SHOWN[n], model_of(n, net))]
    every = pytest.mark.parametrize(("name", "net"), cases)
    return lambda test: pytest.mark.thinned(1)(every(test))


def weights(state: State[Any]) -> list[Tensor]:
    return [t.detach().clone() for t in state.W]


def same(one: list[Tensor], two: list[Tensor]) -> list[bool]:
    """Layer by layer, to the bit."""
    return [torch.equal(p, q) for p, q in zip(one, two, strict=True)]


def moved(one: list[Tensor], two: list[Tensor]) -> list[bool]:
    """Layer by layer, by more than rounding."""
    return [float((p - q).norm()) > 1e-6 * float(q.norm()) for p, q in zip(one, two, strict=True)]


def stepped(loop: Loop, steps: int = 2) -> list[Tensor]:
    for _ in range(steps):
        loop.step()
    return weights(loop.state)
