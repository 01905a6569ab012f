"""The objective of one code given the others, and its derivative in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from altmin.online.forward_pass import ForwardPass


@dataclass(frozen=True)
class CodeObjective:
    """What code `i` has to answer for, the other codes being fixed.

    That is the sum of ``w_j e_j`` over the layers `j` that it reaches, and ``proximity/2 ||C - C^0||^2``: ``e_j`` is
    the loss for the last layer, else ``1/2 ||prediction - C_j||^2``. It reaches the next layer through the map, and
    others by residual connections.

    Attributes:
        start: The forward pass.
        codes: Codes of all hidden layers, those above updated.
        i: Which code.
        weights: ``w_j``, the weight of each layer's error.
        proximity: Weight of the distance from the forward value.
        steps: How many derivatives will be asked for.
    """

    start: ForwardPass
    codes: list[Tensor]
    i: int
    weights: list[float]
    proximity: float
    steps: int = 1

    @cached_property
    def first(self) -> Tensor:
        """``W^T`` of the next layer's error, at the forward pass."""
        value = self.start.value(self.i + 1)
        return value.to_input(self.error(self.i + 1, value.z))

    @cached_property
    def gram(self) -> Tensor | None:
        """``W^T W`` of the next layer, where it makes `steps` steps cheaper: the layer's error is then never formed."""
        function, p, N = self.start.functions[self.i + 1], self.start.a[self.i].shape[-1], len(self.start.x)
        linear = function.layer.map.dense and function.norm is None and function.layer.skip is None
        if not linear or self.i + 1 == len(self.codes) or not by_gram(p, function.W.shape[0], N, self.steps):
            return None
        return function.W.T @ function.W

    @cached_property
    def reached(self) -> list[tuple[int, str, Tensor]]:
        """Layers beyond the next that a residual connection leads to: which, its kind, and their map's value."""
        found = []
        for j in range(self.i + 2, len(self.start.functions)):
            function = self.start.functions[j]
            if function.layer.skip is not None and function.layer.skip.layer == self.i:
                found.append((j, function.layer.skip.kind, function(self.start.input(j, self.codes)).z))
        return found

    @property
    def straight(self) -> bool:
        """Whether the next layer adds this code to its map's value."""
        return self.start.functions[self.i + 1].layer.skip == ("z", self.i)

    def error(self, j: int, z: Tensor) -> Tensor:
        """``w_j de_j/dz`` at layer `j`'s prediction `z`."""
        error = self.start.loss.grad(z, self.start.y) if j == len(self.codes) else z - self.codes[j]
        return error if self.weights[j] == 1.0 else error.mul_(self.weights[j])

    def gradient(self, c: Tensor) -> Tensor:
        """The derivative in the code: through its own activation and the layers it reaches, no further."""
        through, direct = self.derivatives(self.start.activation(self.i, c), c)
        g, c0 = self.start.functions[self.i].layer.activation.vjp(through, c), self.start.z[self.i]
        g = g if direct is None else g + direct
        return g if c is c0 else torch.add(g, c - c0, alpha=self.proximity)

    def derivatives(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """The derivatives of the errors in the activation and in the code, as if these were not tied; `None`: zero."""
        through, direct = self.next_derivatives(a, c)
        for j, kind, base in self.reached:
            if kind == "z":
                error = self.error(j, base + c)
                direct = error if direct is None else direct + error
            else:
                through = through + self.error(j, base + a)
        return through, direct

    def next_derivatives(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """The derivatives of the next layer's error alone; at the first code they follow from the forward pass."""
        i, start = self.i + 1, self.start
        if c is not start.z[self.i] and self.gram is not None:
            return torch.addmm(self.first, a - start.a[self.i], self.gram, alpha=self.weights[i]), None
        if c is start.z[self.i] and not self.straight:
            return self.first, None
        skip = c if self.straight else start.skip(i, self.codes)
        value = start.value(i) if c is start.z[self.i] else start.functions[i](a, skip)
        error = self.error(i, value.z)
        return value.to_input(error), error if self.straight else None

    def curvature(self, gain: Tensor) -> Tensor:
        """A bound of the second derivative in the code, for activations with slopes up to 1.

        Args:
            gain: The next layer's ``||dz/da||_2^2``.
        """
        if self.straight:
            gain = (gain.sqrt() + 1.0).square()
        reached = sum(self.weights[j] * self._lipschitz(j) for j, _, _ in self.reached)
        return gain * (self.weights[self.i + 1] * self._lipschitz(self.i + 1)) + (self.proximity + reached)

    def _lipschitz(self, j: int) -> float:
        H = self.start.loss.lipschitz
        return H if j == len(self.codes) and math.isfinite(H) else 1.0


def by_gram(p: int, q: int, samples: int, steps: int) -> bool:
    """Whether ``W^T W`` of `W` ``(q, p)``, and one product with it a step, are less work than two with `W`."""
    return p * p * q + (steps - 1) * samples * p * p < 2 * (steps - 1) * samples * p * q
