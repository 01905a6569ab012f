"""Small networks with residual connections of every kind, for the tests of several wings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from altmin import Residual


def pre_activation() -> list[nn.Module]:
    """Two connections from pre-activations, and one over two maps from the first again."""
    inner = [nn.ReLU(), nn.Linear(12, 12), Residual(nn.ReLU(), nn.Linear(12, 12)), nn.Tanh(), nn.Linear(12, 12)]
    return [nn.Linear(64, 12), Residual(*inner), nn.ReLU(), nn.Linear(12, 10)]


def activation() -> list[nn.Module]:
    """Connections from activations."""
    blocks = [m for _ in range(2) for m in (Residual(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 12)), nn.ReLU())]
    return [nn.Linear(64, 12), nn.ReLU(), *blocks, nn.Linear(12, 10)]


def ends() -> list[nn.Module]:
    """From the data, and to the outputs from an activation."""
    last = Residual(nn.Linear(10, 9), nn.ReLU(), nn.Linear(9, 10))
    return [Residual(nn.Linear(64, 12), nn.Tanh(), nn.Linear(12, 64)), nn.ReLU(), nn.Linear(64, 10), nn.ReLU(), last]


def outputs() -> list[nn.Module]:
    """To the outputs from a pre-activation."""
    return [nn.Linear(64, 10), Residual(nn.Tanh(), nn.Linear(10, 10))]


def convolution() -> list[nn.Module]:
    """Max pooling of both kinds, a convolution with groups, and a connection between images."""
    head = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    body = [nn.Conv2d(4, 4, 3, padding=1, groups=2), Residual(nn.Tanh(), nn.Conv2d(4, 4, 1)), nn.ReLU()]
    return [*head, *body, nn.MaxPool2d(3, 1), nn.Flatten(), nn.Linear(16, 10)]


NETS: dict[str, Callable[[], list[nn.Module]]] = {
    "pre-activation": pre_activation,
    "activation": activation,
    "ends": ends,
    "outputs": outputs,
    "convolution": convolution,
}


def model_of(net: str) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(*NETS[net]()).double()
