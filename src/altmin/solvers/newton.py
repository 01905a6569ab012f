"""Newton steps of a layer's weights on its own least squares, whose Hessian is remembered over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import Checked, number
from altmin.errors import DivergenceError
from altmin.problem import Batch
from altmin.solvers.blocks import Block
from altmin.solvers.ridge import cholesky
from altmin.solvers.units import Units

GUARD = 1e-10  # added to a mean square that is zero where all units are dead


@dataclass(frozen=True)
class Newton(Checked):
    """``W <- W - lr V``, ``V <- momentum V + G (M + d I)^{-1}``, ``d = damping trace(M)/p``: AM-Newton.

    ``G`` is the gradient of the layer's local objective on the batch, and ``M`` the forgetting mean of ``a^T a`` over
    the layer's inputs, half of that objective's Hessian for each unit; the intercept is one more column. Batch
    normalisation's scale and shift move along their gradients. With backpropagated gradients in the place of local
    ones this is gradient descent on neurons (Benzing, ICML 2022).

    Attributes:
        forget: What ``M`` is multiplied by before a batch is added.
        refresh: Batches from one that is added to ``M``, whose factors are then computed anew, to the next. The first
            ones follow each other closely.
    """

    lr: float = number(1.0, "learning rate of the weights", above=0.0)
    momentum: float = number(0.9, "momentum of the weights", least=0.0, most=1.0)
    damping: float = number(1.0, "weight of the identity, relative to the memory's mean diagonal", above=0.0)
    forget: float = number(0.7, "what the memory is multiplied by before a batch is added", least=0.0, most=1.0)
    refresh: int = number(10, "batches from one that is added to the memory to the next", least=1)

    def make(self, blocks: Sequence[Block]) -> list[Curvature]:
        """The layers' memories, empty."""
        return [Curvature.of(block) for block in blocks]

    def due(self, steps: int) -> bool:
        """Whether the batch after `steps` others is added to the memory: the powers of two come first."""
        return steps % self.refresh == 0 or (steps < self.refresh and steps & (steps - 1) == 0)

    def step(self, memory: Curvature, steps: int, block: Block, a: Tensor, grads: Sequence[Tensor], lr: float) -> None:
        """One step of a layer; its memory and its numbers are written in place.

        Args:
            memory: The layer's.
            steps: Weight steps before this one.
            block: The layer.
            a: Its input.
            grads: The gradient of its objective, in the order of `Block.params`.
            lr: The present learning rate.
        """
        units = Units(block.layer.map)
        if self.due(steps):
            self.remember(memory, units, a)
        assert memory.inverse is not None  # the first batch is due
        W, *rest = grads
        b = rest.pop(0) if units.map.bias else torch.zeros_like(block.b)
        memory.velocity.mul_(self.momentum).add_(units.times(units.join(W, b), memory.inverse))
        W, b = units.split(memory.velocity)
        block.W.sub_(W, alpha=lr)
        block.b.sub_(b, alpha=lr)
        for p, g in zip(block.params()[1 + units.map.bias :], rest, strict=True):
            p.sub_(g, alpha=lr)

    def remember(self, memory: Curvature, units: Units, a: Tensor) -> None:
        """``M <- forget M + (1 - forget) a^T a / N``, as the mean of what was added weighs it, and its inverse."""
        memory.added = 1.0 + self.forget * memory.added
        rows = len(a) * units.map.rows(a[:1]).shape[-2]
        gram = units.gram(a, Batch(a, a)) / rows
        memory.M = gram if memory.M is None else memory.M.lerp_(gram, 1.0 / memory.added)
        damped = memory.M.clone()
        diagonal = damped.diagonal(dim1=-2, dim2=-1)
        diagonal.add_(self.damping * diagonal.mean(-1, keepdim=True) + GUARD)
        if not torch.isfinite(diagonal).all():
            raise DivergenceError(f"W of {tuple(units.map.shape)}", "nan or inf in the memory", "a smaller `rule.lr`")
        memory.inverse = torch.cholesky_inverse(cholesky(damped, "W"))


@dataclass
class Curvature:
    """A layer's memory; written in place.

    Attributes:
        velocity: ``V``, as `Units` joins weights and intercept.
        M: The mean of ``a^T a``, for a layer of several groups one for each; `None` before the first batch.
        inverse: ``(M + d I)^{-1}``.
        added: The weight of all that was added, in units of the last batch's.
    """

    velocity: Tensor
    M: Tensor | None = None
    inverse: Tensor | None = None
    added: float = 0.0

    @classmethod
    def of(cls, block: Block) -> Curvature:
        """The empty memory of a layer."""
        return cls(torch.zeros_like(Units(block.layer.map).join(block.W, block.b)))
