"""Newton steps of a layer's weights on its own least squares, whose Hessian is remembered over batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from altmin.checks import Checked, number
from altmin.core.batch import Batch
from altmin.errors import DivergenceError
from altmin.layerwise.augmented_weights import Units
from altmin.layerwise.function import Block
from altmin.online.rules import Local
from altmin.precision import exact
from altmin.regularizers import L2, NoRegularizer, Regularizer
from altmin.solvers.weight_least_squares import cholesky

GUARD = 1e-10  # added to mean squares, which are zero where all units are dead
FIRST_POWERS = 4
GROWTH = 2.0


@dataclass(frozen=True)
class Newton(Checked):
    """``W <- W - lr V``, ``V <- momentum V + G (M + d I)^{-1}``, ``d = damping trace(M)/p``: AM-Newton.

    ``G`` is the gradient of the layer's objective on the batch, and ``M`` the forgetting mean of ``a^T a`` over the
    layer's inputs, which is the Hessian of ``1/2 ||C - W a||^2`` for each unit; the intercept is one more column. Batch
    normalisation's scale and shift move along their gradients. With backpropagated gradients in the place of local
    ones this is gradient descent on neurons (Benzing, ICML 2022).

    With a `rank` the memory counts along its leading eigenvectors ``Q`` alone, and as zero across them:
    ``(M + d I)^{-1}`` becomes ``(I - Q diag(m/(m + d)) Q^T)/d``. Where the other eigenvalues are small beside ``d``
    that is nearly the same, at a fraction of the cost.

    Where a batch's inputs are more than twice as large in the mean square as what ``M`` holds, the memory is too old to
    damp them, and ``G`` counts by as much less.

    Attributes:
        forget: What ``M`` is multiplied by before a batch is added.
        refresh: Batches from one that is added to ``M``, whose factors are then computed anew, to the next; as many at
            the start are all added.
    """

    regularizers: ClassVar[tuple[type, ...]] = (NoRegularizer, L2)

    lr: float = number(0.3, "learning rate of the weights", above=0.0)
    momentum: float = number(0.7, "momentum of the weights", least=0.0, most=1.0)
    damping: float = number(4.0, "weight of the identity, relative to the memory's mean diagonal", above=0.0)
    forget: float = number(0.9, "what the memory is multiplied by before a batch is added", least=0.0, most=1.0)
    refresh: int = number(20, "batches from one that is added to the memory to the next", least=1)
    rank: int = number(32, "leading eigenvectors of the memory that count; 0: all", least=0)

    def make(self, blocks: Sequence[Block]) -> list[Curvature]:
        """The layers' memories, empty."""
        return [Curvature.of(block) for block in blocks]

    def due(self, steps: int) -> bool:
        """Whether the batch after `steps` others is added to the memory: each of the first ones is."""
        return steps < self.refresh or steps % self.refresh == 0

    def step(
        self,
        memories: list[Curvature],
        layers: Sequence[Local],
        regularizer: Regularizer,
        factor: float = 1.0,
    ) -> None:
        """One step of every layer; memories and weights are written in place.

        Args:
            memories: What `make` gave for these layers.
            layers: The layers.
            regularizer: ``Omega``: none or l2.
            factor: What the learning rate is multiplied by at present.
        """
        for memory, layer in zip(memories, layers, strict=True):
            if self.due(memory.steps):
                self.remember(memory, Units(layer.block.layer.map), layer.a)
            memory.steps += 1
            weight = layer.share * (regularizer.curvature or 0.0)
            self.move(memory, layer, weight, factor * self.lr)

    def move(self, memory: Curvature, layer: Local, weight: float, lr: float) -> None:
        """The step of a layer with an l2 regulariser of that weight."""
        block, units = layer.block, Units(layer.block.layer.map)
        W, *rest = layer.grads
        if weight:
            W = W.add(block.W, alpha=weight)
        b = rest.pop(0) if units.map.bias else torch.zeros_like(block.b)
        assert memory.inverse is not None  # the first batch is due
        G = units.join(W, b).mul_((GROWTH * memory.size / size_of(layer.a)).clamp_max(1.0))
        memory.inverse.add(units.grouped(memory.velocity.mul_(self.momentum)), units.grouped(G))
        W, b = units.split(memory.velocity)
        block.W.sub_(W, alpha=lr)
        block.b.sub_(b, alpha=lr)
        for p, g in zip(block.params()[1 + units.map.bias :], rest, strict=True):
            p.sub_(g, alpha=lr)

    def remember(self, memory: Curvature, units: Units, a: Tensor) -> None:
        """``M <- forget M + (1 - forget) a^T a / N``, as the mean of what was added weighs it, and its factors."""
        memory.added = 1.0 + self.forget * memory.added
        gram = units.gram(a, Batch(a, a)) / len(a)
        memory.M = gram if memory.M is None else memory.M.lerp_(gram, 1.0 / memory.added)
        memory.size = memory.size.lerp(size_of(a), 1.0 / memory.added)
        mean = memory.M.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None]
        if not torch.isfinite(mean).all():
            raise DivergenceError(f"W of {tuple(units.map.shape)}", "nan or inf in the memory", "a smaller `rule.lr`")
        d = self.damping * mean + GUARD
        if 0 < self.rank < gram.shape[-1]:
            before = memory.inverse if isinstance(memory.inverse, Leading) else None
            memory.inverse = Leading.of(memory.M, d, self.rank, before)
        else:
            memory.inverse = Whole.of(memory.M, d)


def size_of(a: Tensor) -> Tensor:
    """The mean of ``||a||^2`` over the samples."""
    return torch.linalg.vector_norm(a).square().div_(len(a)).add_(GUARD)


@dataclass
class Curvature:
    """A layer's memory; written in place.

    Attributes:
        velocity: ``V``, as `Units` joins weights and intercept.
        M: The mean of ``a^T a``, for a layer of several groups one for each; `None` before the first batch.
        size: The mean of ``||a||^2``.
        added: The weight of all that was added, in units of the last batch's.
        steps: How many steps were made.
        inverse: ``(M + d I)^{-1}``.
    """

    velocity: Tensor
    size: Tensor
    M: Tensor | None = None
    added: float = 0.0
    steps: int = 0
    inverse: Whole | Leading | None = None

    @classmethod
    def of(cls, block: Block) -> Curvature:
        """The empty memory of a layer."""
        return cls(torch.zeros_like(Units(block.layer.map).join(block.W, block.b)), block.W.new_zeros(()))


@dataclass(frozen=True)
class Whole:
    """``(M + d I)^{-1}`` as a matrix for each group."""

    inverse: Tensor

    @classmethod
    @exact()
    def of(cls, M: Tensor, d: Tensor) -> Whole:
        """Of a positive semidefinite ``M``, ``(..., p, p)``, and ``d``, ``(..., 1, 1)``."""
        damped = M + d * torch.eye(M.shape[-1], dtype=d.dtype, device=d.device)
        return cls(torch.cholesky_inverse(cholesky(damped, "W")))

    def add(self, velocity: Tensor, G: Tensor) -> None:
        """``velocity + G (M + d I)^{-1}``, in place; both ``(groups, units, p)``."""
        velocity.add_(G @ self.inverse)


@dataclass(frozen=True)
class Leading:
    """``(I - Q diag(m/(m + d)) Q^T)/d``, with about the leading eigenvectors ``Q`` of ``M`` and their eigenvalues.

    Attributes:
        Q: Orthonormal columns, ``(..., p, rank)``.
        right: ``Q diag(m/(m + d))/d``.
        d: ``(..., 1, 1)``.
    """

    Q: Tensor
    right: Tensor
    d: Tensor

    @classmethod
    @exact()
    def of(cls, M: Tensor, d: Tensor, rank: int, before: Leading | None = None) -> Leading:
        """By power steps with Rayleigh and Ritz's; from `before`, of a matrix that was nearly ``M``, one is enough."""
        if before is None:
            largest = M.diagonal(dim1=-2, dim2=-1).topk(rank).indices
            Q, powers = torch.take_along_dim(M, largest[..., None, :], -1), FIRST_POWERS
        else:
            Q, powers = before.Q, 1
        for _ in range(powers):
            Q = torch.linalg.qr(M @ Q).Q
        m, U = torch.linalg.eigh(Q.mT @ M @ Q)
        Q, m = Q @ U, m.clamp_min(0.0)[..., None, :]
        return cls(Q, Q * (m / (m + d) / d), d)

    def add(self, velocity: Tensor, G: Tensor) -> None:
        """``velocity + G (M + d I)^{-1}``, in place; both ``(groups, units, p)``."""
        along = G @ self.right
        velocity.addcdiv_(G, self.d).baddbmm_(along, self.Q.mT.expand(len(G), -1, -1), alpha=-1.0)
