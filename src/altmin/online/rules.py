"""How online alternating minimisation moves a layer's weights: by a gradient optimiser, or from a memory of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from altmin.checks import Checked, number
from altmin.errors import DivergenceError
from altmin.layerwise.function import Block
from altmin.regularizers import L1, L2, NoRegularizer, Regularizer
from altmin.solvers.weight_least_squares import cholesky

GUARD = 1e-10  # added to a diagonal entry that a dead unit leaves at zero


@dataclass(frozen=True)
class Local:
    """A layer's objective on a batch, at its present weights.

    Attributes:
        block: The layer.
        a: Its input.
        grads: The gradient, in the order of `Block.params`.
        share: The regulariser's weight beside this objective.
    """

    block: Block
    a: Tensor
    grads: list[Tensor]
    share: float


class GradientRule(Checked):
    """Layers' own objectives are descended along their gradients, by an optimiser of PyTorch's."""

    regularizers: ClassVar[tuple[type, ...]] = (object,)
    lr: float

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `params`."""
        raise NotImplementedError

    def make(self, blocks: Sequence[Block]) -> torch.optim.Optimizer | None:
        """One optimiser of all these layers; `None` where there is none."""
        params = [p for block in blocks for p in block.params()]
        return self.optimizer(params) if params else None

    def step(
        self,
        optimizer: torch.optim.Optimizer | None,
        layers: Sequence[Local],
        regularizer: Regularizer,
        factor: float = 1.0,
    ) -> None:
        """One step of every layer, and the regulariser's prox behind it; weights are written in place.

        Args:
            optimizer: What `make` gave for these layers.
            layers: The layers.
            regularizer: ``Omega``.
            factor: What the learning rate is multiplied by at present.
        """
        if optimizer is not None:
            optimizer.param_groups[0]["lr"] = factor * self.lr
            descend(optimizer, [g for layer in layers for g in layer.grads])
            shrink(regularizer, layers, factor * self.lr)


@dataclass(frozen=True)
class Adam(GradientRule):
    """Adam (Kingma and Ba 2015) on the layers' local objectives: AM-Adam."""

    lr: float = number(0.002, "learning rate of the weights", above=0.0, paper="0.008, halved every 8 epochs")

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.Adam`."""
        return torch.optim.Adam(list(params), lr=self.lr, fused=True)


@dataclass(frozen=True)
class SGD(GradientRule):
    """Gradient steps, with momentum where asked, on the layers' local objectives: AM-SGD."""

    lr: float = number(0.1, "learning rate of the weights", above=0.0)
    momentum: float = number(0.0, "momentum of the weights", least=0.0, most=1.0)

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """`torch.optim.SGD`."""
        return torch.optim.SGD(list(params), lr=self.lr, momentum=self.momentum, fused=True)


@dataclass(frozen=True)
class Memory(Checked):
    """The co-activation memory (AM-mem): least squares on ``M = sum a^T a`` and ``B = sum C^T a``.

    Attributes:
        forget: What ``M`` and ``B`` are multiplied by before a batch is added; 1 accumulates.
        solver: ``"bcd"``: column-wise block coordinate descent, as the paper; ``"ridge"``: the exact minimiser with
            ``ridge trace(M)/p`` on the diagonal, centred at the present weights.
        sweeps: Most sweeps of coordinate descent a batch.
        tol: Largest change of a weight at which the sweeps stop.
        ridge: Weight of the ridge, relative to the mean diagonal entry of ``M``.
    """

    forget: float = number(0.95, "what the memory is multiplied by before each batch", above=0.0, most=1.0, paper="1")
    solver: str = number("bcd", "how the memory is solved", choices=("bcd", "ridge"), paper="bcd")
    sweeps: int = number(5, "most sweeps of coordinate descent a batch", least=1)
    tol: float = number(1e-3, "change at which the sweeps stop", above=0.0, paper="1e-3")
    ridge: float = number(1e-3, "ridge, relative to the memory's mean diagonal", above=0.0)

    @property
    def regularizers(self) -> tuple[type, ...]:
        """The regularisers that the solver takes."""
        return (NoRegularizer, L2, L1) if self.solver == "bcd" else (NoRegularizer, L2)

    def make(self, blocks: Sequence[Block]) -> list[tuple[Tensor, Tensor]]:
        """The layers' memories, empty."""
        return [self.empty(block.W, block.layer.map.bias) for block in blocks]

    def empty(self, W: Tensor, bias: bool) -> tuple[Tensor, Tensor]:
        """``M = 0`` and ``B = 0`` for weights `W` ``(..., q, p)``; the intercept is one more column."""
        *groups, q, p = W.shape
        return W.new_zeros(*groups, p + bias, p + bias), W.new_zeros(*groups, q, p + bias)

    def remember(self, memory: tuple[Tensor, Tensor], a: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """``M <- forget M + a^T a`` and ``B <- forget B + C^T a``, in place."""
        M, B = memory
        return M.mul_(self.forget).add_(a.mT @ a), B.mul_(self.forget).add_(c.mT @ a)

    def step(
        self,
        memory: tuple[Tensor, Tensor],
        block: Block,
        a: Tensor,
        c: Tensor,
        regularizer: Regularizer,
        share: float,
        name: str,
    ) -> None:
        """Add a batch to a layer's memory, and solve it from the present weights; all are written in place.

        Args:
            memory: The layer's.
            block: The layer.
            a: Its input.
            c: Its target.
            regularizer: ``Omega``.
            share: As in `solve`.
            name: Whose update this is, for errors.
        """
        map, W, b = block.layer.map, block.W, block.b
        design, target = map.rows(a), map.targets(c)
        if map.bias:
            design = torch.cat([design, design.new_ones(*design.shape[:-1], 1)], -1)
            W = torch.cat([W, b.view(*W.shape[:-1], 1)], -1)
        self.remember(memory, design, target)
        W = self.solve(W, memory, regularizer, share, name, int(map.bias))
        block.W.copy_(W[..., : block.W.shape[-1]])
        if map.bias:
            b.copy_(W[..., -1].flatten())

    def weight(self, steps: int, batch: int) -> float:
        """How many samples the memory stands for after `steps` batches and the present one."""
        if self.forget == 1:
            return (steps + 1.0) * batch
        return batch * (1 - self.forget ** (steps + 1)) / (1 - self.forget)

    def solve(
        self,
        W: Tensor,
        memory: tuple[Tensor, Tensor],
        regularizer: Regularizer,
        share: float,
        block: str,
        free: int = 0,
    ) -> Tensor:
        """Towards ``argmin_W 1/2 <W M, W> - <B, W> + share Omega(W)``, from `W`.

        Args:
            W: Present weights (the intercept is a column), ``(q, p)``.
            memory: ``M``, ``(p, p)``, and ``B``, ``(q, p)``.
            regularizer: ``Omega``: none, l1 or l2; the ridge solver takes none or l2.
            share: Its factor.
            block: Whose update this is, for errors.
            free: How many of the last columns the regulariser leaves alone (the intercept).
        """
        M, B = memory
        if regularizer.curvature:
            M = M.clone()
            _diagonal(M)[..., : M.shape[-1] - free].add_(share * regularizer.curvature)
        if self.solver == "ridge":
            return _ridge(W, M, B, self.ridge, block)
        sparsity = share * regularizer.weight if isinstance(regularizer, L1) else 0.0
        for _ in range(self.sweeps):
            new = soft_sweep(W, M, B, sparsity, free) if sparsity else sweep(W, M, B)
            change, W = (new - W).abs().amax(), new
            if change <= self.tol:
                break
        return W


def descend(optimizer: torch.optim.Optimizer | None, grads: Sequence[Tensor]) -> None:
    """One step of the optimiser by gradients that were found without autograd; nothing where there is no optimiser."""
    if optimizer is not None:
        for p, g in zip(optimizer.param_groups[0]["params"], grads, strict=True):
            p.grad = laid_out(g, p)
        optimizer.step()


def laid_out(grad: Tensor, p: Tensor) -> Tensor:
    """`grad` with its numbers in memory in the order of those of `p`: fused optimisers take no heed of strides."""
    return grad if grad.stride() == p.stride() else torch.empty_like(p).copy_(grad)


def shrink(regularizer: Regularizer, layers: Sequence[Local], lr: float) -> None:
    """The prox of ``lr share Omega`` behind a step, in place: a batch carries its share of ``Omega``."""
    if not regularizer.is_zero:
        for layer in layers:
            layer.block.W.copy_(regularizer.prox(layer.block.W, 1.0 / (lr * layer.share)))


def sweep(W: Tensor, M: Tensor, B: Tensor) -> Tensor:
    """One sweep of ``w_j += (B_j - W M_j)/(M_jj + 1e-10)`` over the columns, as one triangular solve.

    Column by column this is Gauss and Seidel's iteration: with ``T`` the upper triangle of ``M`` and ``S`` the rest,
    the new weights solve ``W+ T = B - W S``.
    """
    upper = torch.triu(M)
    _diagonal(upper).add_(GUARD)
    lower = M - upper
    return torch.linalg.solve_triangular(upper, B - W @ lower, upper=True, left=False)


def soft_sweep(W: Tensor, M: Tensor, B: Tensor, sparsity: float, free: int = 0) -> Tensor:
    """One sweep with the soft threshold ``sparsity/(M_jj + 1e-10)`` on each column but the last `free`: in turn."""
    W = W.clone()
    diagonal = _diagonal(M) + GUARD
    columns = M.shape[-1]
    for j in range(columns):
        scale = diagonal[..., j, None]
        w = W[..., j] + (B[..., j] - (W @ M[..., j, None])[..., 0]) / scale
        W[..., j] = w if j >= columns - free else w - w.clamp(-sparsity / scale, sparsity / scale)
    return W


def _ridge(W: Tensor, M: Tensor, B: Tensor, ridge: float, block: str) -> Tensor:
    normal = M.clone()
    _diagonal(normal).add_(ridge * _diagonal(M).mean(-1, keepdim=True) + GUARD)
    if not torch.isfinite(normal).all():
        raise DivergenceError(block, "nan or inf in the memory", "smaller code steps")
    return W + torch.cholesky_solve((B - W @ M).mT, cholesky(normal, block)).mT


def _diagonal(M: Tensor) -> Tensor:
    return M.diagonal(dim1=-2, dim2=-1)
