"""The forward pass that codes start from, its dropout drawn and its batch normalisation by the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.forward import skip_value
from altmin.layerwise.function import LayerFunction, LayerValue, layer_functions
from altmin.losses import Loss
from altmin.sweep import Sweep

Moved = Sequence[Tensor | None]  # codes of the hidden layers; `None`: at its forward value


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass of a batch through the hidden layers.

    Attributes:
        batch: The samples.
        loss: ``R``.
        functions: All layers, their dropouts drawn.
        hidden: The hidden layers' values, with what their derivatives need.
        a: The hidden layers' activations.
        last: The last layer's input, and what a residual connection adds to its value.
    """

    batch: Batch
    loss: Loss
    functions: list[LayerFunction]
    hidden: list[LayerValue]
    a: list[Tensor]
    last: tuple[Tensor, Tensor | None]

    @property
    def x(self) -> Tensor:
        """The data, ``(N, ...)``."""
        return self.batch.x

    @property
    def y(self) -> Tensor:
        """Encoded targets, ``(N, n_L)``."""
        return self.batch.y

    @cached_property
    def z(self) -> list[Tensor]:
        """The hidden layers' pre-activations, ``C^0``."""
        return [value.z for value in self.hidden]

    @cached_property
    def top(self) -> LayerValue:
        """The last layer's value."""
        return self.functions[-1](*self.last)

    def value(self, i: int) -> LayerValue:
        """The value of layer `i`."""
        return self.hidden[i] if i < len(self.hidden) else self.top

    @property
    def unmoved(self) -> list[None]:
        """No code for any layer: every one is at its forward value."""
        return [None] * len(self.hidden)

    def code(self, i: int, codes: Moved) -> Tensor:
        """``C_l`` of layer `i`."""
        code = codes[i]
        return self.hidden[i].z if code is None else code

    def value_at(self, i: int, codes: Moved) -> LayerValue | None:
        """The value of layer `i` at these codes where none that it takes has moved, else `None`."""
        skip = self.functions[i].layer.skip
        takes = [i - 1, i - 1 if skip is None else skip.layer]
        return self.value(i) if all(j < 0 or codes[j] is None for j in takes) else None

    def activation(self, i: int, codes: Moved) -> Tensor:
        """``s(C_l)`` of layer `i`."""
        code = codes[i]
        return self.a[i] if code is None else self.functions[i].layer.activation(code)

    def input(self, i: int, codes: Moved) -> Tensor:
        """``s(C_{l-1})``, which layer `i` takes; the data for the first layer."""
        return self.x if i == 0 else self.activation(i - 1, codes)

    def skip(self, i: int, codes: Moved) -> Tensor | None:
        """What a residual connection adds to the pre-activation of layer `i`."""
        skip = self.functions[i].layer.skip
        if skip is None or skip.layer < 0:
            return None if skip is None else self.x
        return (self.code if skip.kind == "z" else self.activation)(skip.layer, codes)

    def smooth(self, i: int) -> bool:
        """Whether the activation of layer `i` has a derivative that code steps can follow."""
        return self.functions[i].layer.activation.differentiable

    def regressors(self, codes: Moved) -> list[Tensor | None]:
        """The codes that weights learn from: those that moved smoothly; one that jumped counts by its forward value."""
        return [code if self.smooth(j) else None for j, code in enumerate(codes)]


def forward_pass(sweep: Sweep[Any], estimated: bool = False) -> ForwardPass:
    """A forward pass with batch normalisation by the batch and dropout drawn; running statistics follow the batch.

    Args:
        sweep: Gives the layers, their weights, the samples and the generator.
        estimated: Whether sign and step have the straight-through estimator's derivative.
    """
    problem = sweep.problem.estimated() if estimated else sweep.problem
    x, generator = sweep.batch.x, sweep.state.generator
    functions: list[LayerFunction] = []
    hidden: list[LayerValue] = []
    z: list[Tensor] = []
    a: list[Tensor] = []
    for function in layer_functions(problem, sweep.state):
        below = a[-1] if a else x
        function = _draw_map(function, below, generator)
        if len(functions) + 1 < len(problem.layers):
            value = function(below, skip_value(function.layer, x, z, a))
            value.track()
            function = _draw_activation(function, value.z, generator)
            hidden.append(value)
            z.append(value.z)
            a.append(function.layer.activation(value.z))
        functions.append(function)
    last = a[-1] if a else x, skip_value(functions[-1].layer, x, z, a)
    return ForwardPass(sweep.batch, problem.loss, functions, hidden, a, last)


def _draw_map(function: LayerFunction, a: Tensor, generator: torch.Generator | None) -> LayerFunction:
    map = function.layer.map
    if not map.random:
        return function
    return replace(function, layer=replace(function.layer, map=map.sample(a, generator)))


def _draw_activation(function: LayerFunction, z: Tensor, generator: torch.Generator | None) -> LayerFunction:
    s = function.layer.activation
    if not s.random:
        return function
    return replace(function, layer=replace(function.layer, activation=s.sample(z, generator)))
