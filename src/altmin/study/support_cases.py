"""What the support matrix asks for: kinds of layers, activations, losses and regularisers, each on a tiny network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from altmin.convert import layers_of
from altmin.core.problem import Layer, Problem
from altmin.losses import LOSSES, make_loss
from altmin.nn import Elman, Residual
from altmin.regularizers import make_regularizer
from altmin.study.activation_names import ACTIVATION_NAMES

INPUTS, OUTPUTS = 36, 3
Activated = Callable[[], nn.Module]


def _flat(*modules: nn.Module) -> list[nn.Module]:
    return [nn.Linear(INPUTS, 4), *modules, nn.Linear(4, OUTPUTS)]


def _image(s: Activated, *modules: nn.Module, numbers: int) -> list[nn.Module]:
    """What stands behind a convolution of 6 x 6 pixels to two channels of 5 x 5, and leaves `numbers` of them."""
    head = [nn.Unflatten(1, (1, 6, 6)), nn.Conv2d(1, 2, 2), s()]
    return [*head, *modules, nn.Flatten(), nn.Linear(numbers, OUTPUTS)]


def _sequence(s: Activated, *modules: nn.Module, numbers: int) -> list[nn.Module]:
    """What stands behind a convolution of 12 steps of 3 numbers to 2, and leaves `numbers` of them."""
    head = [nn.Unflatten(1, (3, 12)), nn.Conv1d(3, 2, 3, stride=2, padding=1), s()]
    return [*head, *modules, nn.Flatten(), nn.Linear(numbers, OUTPUTS)]


LAYERS: dict[str, Callable[[Activated], list[nn.Module]]] = {
    "linear": lambda s: _flat(s()),
    "batch norm (1d)": lambda s: _flat(nn.BatchNorm1d(4), s()),
    "batch norm (2d)": lambda s: _image(s, nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2), s(), numbers=18),
    "layer norm": lambda s: _flat(nn.LayerNorm(4), s()),
    "group norm (1d)": lambda s: _sequence(s, nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), s(), numbers=20),
    "group norm (2d)": lambda s: _image(s, nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), s(), numbers=36),
    "conv (plain)": lambda s: _image(s, nn.Conv2d(2, 2, 3), s(), numbers=18),
    "conv (stride)": lambda s: _image(s, nn.Conv2d(2, 2, 3, stride=2), s(), numbers=8),
    "conv (padding)": lambda s: _image(s, nn.Conv2d(2, 2, 3, padding=(1, 0)), s(), numbers=30),
    "conv (dilation)": lambda s: _image(s, nn.Conv2d(2, 2, 2, dilation=3), s(), numbers=8),
    "conv (groups)": lambda s: _image(s, nn.Conv2d(2, 2, 3, groups=2), s(), numbers=18),
    "conv (1d)": lambda s: _sequence(s, nn.Conv1d(2, 2, 2), s(), numbers=10),
    "max pooling (2d)": lambda s: _image(s, nn.MaxPool2d(2), numbers=8),
    "max pooling (1d)": lambda s: _sequence(s, nn.MaxPool1d(2), numbers=6),
    "average pooling (2d)": lambda s: _image(s, nn.AvgPool2d(2), numbers=8),
    "average pooling (1d)": lambda s: _sequence(s, nn.AvgPool1d(2), numbers=6),
    "adaptive pooling (2d)": lambda s: _image(s, nn.AdaptiveAvgPool2d(2), numbers=8),
    "adaptive pooling (1d)": lambda s: _sequence(s, nn.AdaptiveAvgPool1d(2), numbers=4),
    "dropout (before an activation)": lambda s: _flat(nn.Dropout(0.3), s()),
    "dropout (before a map)": lambda s: _flat(s(), nn.Dropout(0.3)),
    "residual (of pre-activations)": lambda s: _flat(Residual(s(), nn.Linear(4, 4)), s()),
    "residual (of activations)": lambda s: _flat(s(), Residual(nn.Linear(4, 3), s(), nn.Linear(3, 4)), s()),
    "elman": lambda s: [Elman(12, 3), s(), nn.Flatten(), nn.Linear(9, OUTPUTS)],
}
"""Kinds of layers, with the modules of a tiny network that has one, by the activation; a variant in parentheses."""
REGULARIZERS = {
    "none": "none",
    "l1": "l1:0.01",
    "l2": "l2:0.01",
    "group": "group:0.01",
    "nonnegative": "nonnegative",
    "box": "box:-1:1",
    "binary": "binary:0.1",
}
PARTS: dict[str, list[str]] = {
    "layers": list(LAYERS),
    "activation": list(ACTIVATION_NAMES),
    "loss": list(LOSSES),
    "regularizer": list(REGULARIZERS),
}
"""The values that each field of a `Case` takes."""


@dataclass(frozen=True)
class Case:
    """A cell of the matrix: one kind of layers, activation, loss and regulariser."""

    layers: str = "linear"
    activation: str = "relu"
    loss: str = "squared"
    regularizer: str = "none"

    def network(self) -> nn.Sequential:
        """A new tiny network, from `INPUTS` numbers to `OUTPUTS`."""
        return nn.Sequential(*LAYERS[self.layers](ACTIVATION_NAMES[self.activation]))

    def problem(self) -> Problem:
        """What training the network poses."""
        layers = _layers(self.layers, self.activation)
        return Problem(layers, make_loss(self.loss), make_regularizer(REGULARIZERS[self.regularizer]))


@cache
def _layers(kind: str, activation: str) -> tuple[Layer, ...]:
    with torch.device("meta"):  # no weights are asked for
        return layers_of(Case(kind, activation).network())


@cache
def layers_with(*activations: str) -> tuple[Layer, ...]:
    """The layers of a network of several activations."""
    with torch.device("meta"):
        inner = [module for name in activations for module in (ACTIVATION_NAMES[name](), nn.Linear(4, 4))]
        return layers_of(nn.Sequential(*_flat(*inner)))
