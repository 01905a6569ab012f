"""The forward pass that codes start from, its dropout drawn and its batch normalisation by the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from altmin.core.forward import skip_value
from altmin.layerwise.function import LayerFunction, LayerValue, layer_functions
from altmin.losses import Loss
from altmin.sweep import Sweep


@dataclass(frozen=True)
class ForwardPass:
    """A forward pass of a batch through the hidden layers.

    Attributes:
        x: The data, ``(N, ...)``.
        y: Encoded targets, ``(N, n_L)``.
        loss: ``R``.
        functions: All layers, their dropouts drawn.
        hidden: The hidden layers' values, with what their derivatives need.
        a: The hidden layers' activations.
        last: The last layer's input, and what a residual connection adds to its value.
    """

    x: Tensor
    y: Tensor
    loss: Loss
    functions: list[LayerFunction]
    hidden: list[LayerValue]
    a: list[Tensor]
    last: tuple[Tensor, Tensor | None]

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

    def activation(self, i: int, code: Tensor) -> Tensor:
        """``s(C_l)`` of layer `i`."""
        return self.a[i] if code is self.hidden[i].z else self.functions[i].layer.activation(code)

    def input(self, i: int, codes: Sequence[Tensor]) -> Tensor:
        """``s(C_{l-1})``, which layer `i` takes; the data for the first layer."""
        return self.x if i == 0 else self.activation(i - 1, codes[i - 1])

    def skip(self, i: int, codes: Sequence[Tensor]) -> Tensor | None:
        """What a residual connection adds to the pre-activation of layer `i`."""
        skip = self.functions[i].layer.skip
        if skip is None or skip.layer < 0:
            return None if skip is None else self.x
        return codes[skip.layer] if skip.kind == "z" else self.activation(skip.layer, codes[skip.layer])

    def smooth(self, i: int) -> bool:
        """Whether the activation of layer `i` has a derivative that code steps can follow."""
        return self.functions[i].layer.activation.differentiable

    def regressor(self, i: int, codes: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """What the weights of layer `i` learn from: its input, and what a residual connection adds.

        Those are the codes' where they moved smoothly; a code that jumped counts by its forward value.
        """
        now = [c if self.smooth(j) else z for j, (c, z) in enumerate(zip(codes, self.z, strict=True))]
        return self.input(i, now), self.skip(i, now)


def forward_pass(sweep: Sweep[Any], estimated: bool = False) -> ForwardPass:
    """A forward pass with batch normalisation by the batch and dropout drawn; running statistics follow the batch.

    Args:
        sweep: Gives the layers, their weights, the samples and the generator.
        estimated: Whether sign and step have the straight-through estimator's derivative.
    """
    problem = sweep.problem.estimated() if estimated else sweep.problem
    x, y, generator = sweep.batch.x, sweep.batch.y, sweep.state.generator
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
    return ForwardPass(x, y, problem.loss, functions, hidden, a, last)


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
