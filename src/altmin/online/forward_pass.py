"""A forward pass that codes start from, and the objective of one code given the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State, skipped
from altmin.layerwise.function import Block, Forward, blocks


@dataclass(frozen=True)
class Pass:
    """A forward pass through the hidden layers.

    Attributes:
        x: The data.
        blocks: All layers, their dropouts drawn.
        hidden: The hidden layers' values, with what their derivatives need.
        a: The hidden layers' activations.
        last: The last layer's input, and what a residual connection adds to its value.
    """

    x: Tensor
    blocks: list[Block]
    hidden: list[Forward]
    a: list[Tensor]
    last: tuple[Tensor, Tensor | None]

    @cached_property
    def z(self) -> list[Tensor]:
        """The hidden layers' pre-activations, ``C^0``."""
        return [out.z for out in self.hidden]

    @cached_property
    def top(self) -> Forward:
        """The last layer's value."""
        return self.blocks[-1](*self.last)

    def value(self, i: int) -> Forward:
        """The layer's value at the forward pass."""
        return self.hidden[i] if i < len(self.hidden) else self.top

    def activation(self, i: int, code: Tensor) -> Tensor:
        """``s(C_l)``."""
        return self.a[i] if code is self.hidden[i].z else self.blocks[i].layer.activation(code)

    def input(self, i: int, codes: Sequence[Tensor]) -> Tensor:
        """``s(C_{l-1})``, the data for the first layer."""
        return self.x if i == 0 else self.activation(i - 1, codes[i - 1])

    def over(self, i: int, codes: Sequence[Tensor]) -> Tensor | None:
        """What a residual connection adds to the layer's pre-activation."""
        skip = self.blocks[i].layer.skip
        if skip is None or skip.layer < 0:
            return None if skip is None else self.x
        return codes[skip.layer] if skip.kind == "z" else self.activation(skip.layer, codes[skip.layer])

    def smooth(self, i: int) -> bool:
        """Whether the layer's activation has a derivative that code steps can follow."""
        return self.blocks[i].layer.activation.differentiable

    def regressor(self, i: int, codes: Sequence[Tensor], updated: bool = True) -> tuple[Tensor, Tensor | None]:
        """What the layer's weights learn from: its input, and what a residual connection adds.

        Those are the `updated` codes' where they moved smoothly; a code that jumped counts by its forward value.
        """
        seen = [c if updated and self.smooth(j) else z for j, (c, z) in enumerate(zip(codes, self.z, strict=True))]
        return self.input(i, seen), self.over(i, seen)


def encode(problem: Problem, state: State, x: Tensor, generator: torch.Generator | None = None) -> Pass:
    """A forward pass with batch normalisation by the batch and dropout drawn; running statistics follow the batch."""
    drawn: list[Block] = []
    hidden: list[Forward] = []
    z: list[Tensor] = []
    a: list[Tensor] = []
    for block in blocks(problem, state):
        below = a[-1] if a else x
        block = _draw_map(block, below, generator)
        if len(drawn) + 1 < len(problem.layers):
            out = block(below, skipped(block.layer, x, z, a))
            out.track()
            block = _draw_activation(block, out.z, generator)
            hidden.append(out)
            z.append(out.z)
            a.append(block.layer.activation(out.z))
        drawn.append(block)
    return Pass(x, drawn, hidden, a, (a[-1] if a else x, skipped(drawn[-1].layer, x, z, a)))


def _draw_map(block: Block, a: Tensor, generator: torch.Generator | None) -> Block:
    map = block.layer.map
    if not map.random:
        return block
    return replace(block, layer=replace(block.layer, map=map.sample(a, generator)))


def _draw_activation(block: Block, z: Tensor, generator: torch.Generator | None) -> Block:
    s = block.layer.activation
    if not s.random:
        return block
    return replace(block, layer=replace(block.layer, activation=s.sample(z, generator)))


@dataclass(frozen=True)
class Above:
    """What code `i` has to answer for, the other codes being fixed.

    That is the sum of ``pull_j e_j`` over the layers `j` that it reaches, and ``near/2 ||C - C^0||^2``: ``e_j`` is the
    loss for the last layer, else ``1/2 ||prediction - C_j||^2``. It reaches the next layer through the map, and others
    by residual connections.

    Attributes:
        problem: Gives the loss.
        batch: The samples.
        passed: The forward pass.
        codes: Codes of all hidden layers, those above updated.
        i: Which code.
        pulls: Weight of each layer's error.
        near: Weight of the distance from the forward value.
        steps: How many derivatives will be asked for.
    """

    problem: Problem
    batch: Batch
    passed: Pass
    codes: list[Tensor]
    i: int
    pulls: list[float]
    near: float
    steps: int = 1

    @cached_property
    def first(self) -> Tensor:
        """``W^T`` of the next layer's error, at the forward pass."""
        out = self.passed.value(self.i + 1)
        return out.to_input(self.error(self.i + 1, out.z))

    @cached_property
    def gram(self) -> Tensor | None:
        """``W^T W`` of the next layer, where it makes `steps` steps cheaper: the layer's error is then never formed."""
        block, p, N = self.passed.blocks[self.i + 1], self.passed.a[self.i].shape[-1], len(self.batch.x)
        linear = block.layer.map.dense and block.norm is None and block.layer.skip is None
        if not linear or self.i + 1 == len(self.codes) or not by_gram(p, block.W.shape[0], N, self.steps):
            return None
        return block.W.T @ block.W

    @cached_property
    def reached(self) -> list[tuple[int, str, Tensor]]:
        """Layers beyond the next that a residual connection leads to: which, its kind, and their map's value."""
        out = []
        for j in range(self.i + 2, len(self.passed.blocks)):
            block = self.passed.blocks[j]
            if block.layer.skip is not None and block.layer.skip.layer == self.i:
                out.append((j, block.layer.skip.kind, block(self.passed.input(j, self.codes)).z))
        return out

    @property
    def straight(self) -> bool:
        """Whether the next layer adds this code to its map's value."""
        return self.passed.blocks[self.i + 1].layer.skip == ("z", self.i)

    def error(self, j: int, z: Tensor) -> Tensor:
        """``pull_j de_j/dz`` at layer `j`'s prediction `z`."""
        error = self.problem.loss.grad(z, self.batch.y) if j == len(self.codes) else z - self.codes[j]
        return error if self.pulls[j] == 1.0 else error.mul_(self.pulls[j])

    def gradient(self, c: Tensor) -> Tensor:
        """The derivative in the code: through its own activation and the layers it reaches, no further."""
        through, direct = self.parts(self.passed.activation(self.i, c), c)
        g, start = self.passed.blocks[self.i].layer.activation.vjp(through, c), self.passed.z[self.i]
        g = g if direct is None else g + direct
        return g if c is start else torch.add(g, c - start, alpha=self.near)

    def parts(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """The derivatives of the errors in the activation and in the code, as if these were not tied; `None`: zero."""
        through, direct = self.next(a, c)
        for j, kind, base in self.reached:
            if kind == "z":
                error = self.error(j, base + c)
                direct = error if direct is None else direct + error
            else:
                through = through + self.error(j, base + a)
        return through, direct

    def next(self, a: Tensor, c: Tensor) -> tuple[Tensor, Tensor | None]:
        """`parts` of the next layer's error alone; the forward pass has been at the first code already."""
        i, passed = self.i + 1, self.passed
        if c is not passed.z[self.i] and self.gram is not None:
            return torch.addmm(self.first, a - passed.a[self.i], self.gram, alpha=self.pulls[i]), None
        if c is passed.z[self.i] and not self.straight:
            return self.first, None
        over = c if self.straight else passed.over(i, self.codes)
        out = passed.value(i) if c is passed.z[self.i] else passed.blocks[i](a, over)
        error = self.error(i, out.z)
        return out.to_input(error), error if self.straight else None

    def curvature(self, gain: Tensor) -> Tensor:
        """A bound of the second derivative in the code, for activations with slopes up to 1.

        Args:
            gain: The next layer's ``||dz/da||_2^2``.
        """
        if self.straight:
            gain = (gain.sqrt() + 1.0).square()
        reached = sum(self.pulls[j] * self._lipschitz(j) for j, _, _ in self.reached)
        return gain * (self.pulls[self.i + 1] * self._lipschitz(self.i + 1)) + (self.near + reached)

    def _lipschitz(self, j: int) -> float:
        H = self.problem.loss.lipschitz
        return H if j == len(self.codes) and math.isfinite(H) else 1.0


def by_gram(p: int, q: int, samples: int, steps: int) -> bool:
    """Whether ``W^T W`` of `W` ``(q, p)``, and one product with it a step, are less work than two with `W`."""
    return p * p * q + (steps - 1) * samples * p * p < 2 * (steps - 1) * samples * p * q
