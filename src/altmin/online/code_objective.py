"""The objective of one code given the others, and its derivative in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from altmin.layerwise.function import LayerValue
from altmin.online.forward_pass import ForwardPass, Moved


@dataclass(frozen=True)
class CodeObjective:
    """What code `i` has to answer for, the other codes being fixed.

    That is the sum of ``w_j e_j`` over the layers `j` that it reaches, and ``proximity/2 ||C - C^0||^2``: ``e_j`` is
    the loss for the last layer, else ``1/2 ||prediction - C_j||^2``. It reaches the next layer through the map, and
    others by residual connections.

    Attributes:
        start: The forward pass.
        codes: Codes of all hidden layers, those above updated; `None` where one is at its forward value.
        i: Which code.
        weights: ``w_j``, the weight of each layer's error.
        proximity: Weight of the distance from the forward value.
        steps: How many derivatives will be asked for.
    """

    start: ForwardPass
    codes: Moved
    i: int
    weights: list[float]
    proximity: float
    steps: int = 1

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
        start, last = self.start, j == len(self.codes)
        error = start.loss.grad(z, start.y) if last else z - start.code(j, self.codes)
        return error if self.weights[j] == 1.0 else error.mul_(self.weights[j])

    def gradient(self, c: Tensor) -> Tensor:
        """The derivative in the code: through its own activation and the layers it reaches, no further."""
        a = self.start.functions[self.i].layer.activation(c)
        g = self._in_code(*self._with_reached(*self._next_derivatives(a, c), a, c), c)
        return torch.add(g, c - self.start.z[self.i], alpha=self.proximity)

    def first_gradient(self) -> Tensor:
        """`gradient` at the forward value, where the forward pass has the next layer's value."""
        return self._in_code(*self.first_derivatives, self.start.z[self.i])

    @cached_property
    def first_derivatives(self) -> tuple[Tensor, Tensor | None]:
        """Of the errors at the forward value in the activation and in the code, as if not tied; `None`: zero."""
        return self._with_reached(*self._first, self.start.a[self.i], self.start.z[self.i])

    @cached_property
    def _first(self) -> tuple[Tensor, Tensor | None]:
        """The part of the next layer's error in `first_derivatives`."""
        return self._back(self.start.value(self.i + 1))

    def _next_derivatives(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """The derivatives of the next layer's error alone."""
        i, start = self.i + 1, self.start
        if self.gram is not None:
            return torch.addmm(self._first[0], a - start.a[self.i], self.gram, alpha=self.weights[i]), None
        return self._back(start.functions[i](a, c if self.straight else start.skip(i, self.codes)))

    def _back(self, value: LayerValue) -> tuple[Tensor, Tensor | None]:
        """The derivatives of the next layer's error at its value."""
        error = self.error(self.i + 1, value.z)
        return value.to_input(error), error if self.straight else None

    def _with_reached(
        self, through: Tensor, direct: Tensor | None, a: Tensor, c: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """The derivatives, and those of the errors of layers that residual connections lead to."""
        for j, kind, base in self.reached:
            if kind == "z":
                error = self.error(j, base + c)
                direct = error if direct is None else direct + error
            else:
                through = through + self.error(j, base + a)
        return through, direct

    def _in_code(self, through: Tensor, direct: Tensor | None, c: Tensor) -> Tensor:
        """The derivative in the code alone: through its activation, and directly."""
        g = self.start.functions[self.i].layer.activation.vjp(through, c)
        return g if direct is None else g + direct

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
