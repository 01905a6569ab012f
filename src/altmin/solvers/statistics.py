"""The sums over samples that determine a layer's weights and intercept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.maps import LinearMap

PIECE = 2**22  # numbers of a design that is made for the purpose, at once
BLOCK = 256  # columns; in blocks that are narrower, the products themselves become slow


@dataclass(frozen=True)
class Statistics:
    """All that a layer's weights and intercept need of the samples; it adds over pieces and over processes.

    A map of several groups has an axis of groups in front of each.

    Attributes:
        gram: ``A^T A``, ``(p, p)``.
        cross: ``Z^T A``, ``(q, p)``.
        a_sum: ``sum_i A_i``, ``(p,)``.
        z_sum: ``sum_i Z_i``, ``(q,)``.
        count: ``N``, the rows of `A`: for a convolution every position of every image.

    Where samples have weights, every sum counts each of their rows by its sample's.
    """

    gram: Tensor
    cross: Tensor
    a_sum: Tensor
    z_sum: Tensor
    count: float

    def targets(self, b: Tensor) -> Tensor:
        """``(Z - b)^T A``: the right-hand side of the weights, the shape of `cross`."""
        return self.cross - b.view_as(self.z_sum)[..., :, None] * self.a_sum[..., None, :]

    def centred(self) -> Statistics:
        """Those of samples from which their mean is taken: the best intercept for any weights is then zero."""
        mean = self.a_sum / self.count
        gram = self.gram - self.a_sum[..., :, None] * mean[..., None, :]
        cross = self.cross - self.z_sum[..., :, None] * mean[..., None, :]
        return Statistics(gram, cross, torch.zeros_like(self.a_sum), torch.zeros_like(self.z_sum), self.count)

    def mean_residual(self, W: Tensor) -> Tensor:
        """``sum_i (Z_i - W A_i)``, one number a unit: what the intercept has to explain."""
        return (self.z_sum - (W @ self.a_sum[..., None])[..., 0]).flatten()


def pieces(map: LinearMap, a: Tensor) -> list[slice]:
    """Parts of the samples whose design is small enough to be held; all samples where it is not made at all."""
    if not map.unfolds:
        return [slice(None)]
    step = max(1, PIECE // map.rows(a[:1]).numel())
    return [slice(i, i + step) for i in range(0, len(a), step)]


def self_product(rows: Tensor) -> Tensor:
    """``A^T A`` from the blocks of columns on and below its diagonal: for wide `A` little more than half the work."""
    out = rows.new_empty(*rows.shape[:-2], rows.shape[-1], rows.shape[-1])
    for columns in blocks(rows.shape[-1]):
        left = slice(0, columns.stop)
        block = rows[..., columns].mT @ rows[..., left]
        out[..., columns, left], out[..., left, columns] = block, block.mT
    return out


def blocks(width: int) -> list[slice]:
    """The blocks of columns in which `self_product` works."""
    return [slice(i, min(i + BLOCK, width)) for i in range(0, width, BLOCK)]


def gram(map: LinearMap, a: Tensor, batch: Batch) -> Tensor:
    """``A^T A`` of the design of `a`, over all processes."""
    return batch.sum(sum((self_product(design(map, a, batch, part)) for part in pieces(map, a)), a.new_zeros(())))


def design(map: LinearMap, a: Tensor, batch: Batch, part: slice) -> Tensor:
    """The rows of some samples, times the roots of their weights: a map scales with its input."""
    return map.rows(batch.weighed(a[part], part, 0.5))


def row_sums(rows_of: Callable[[Tensor], Tensor], t: Tensor, batch: Batch, part: slice, rows: Tensor) -> Tensor:
    """The sum of the rows of some samples, ``(p,)``, each counted by its weight.

    Args:
        rows_of: Makes them, such as ``map.rows``; linear.
        t: What they are made of, ``(N, ...)``.
        batch: Whose samples they are.
        part: Which of them.
        rows: Those of these samples without weights, where they have none.
    """
    return (rows if batch.sample_weight is None else rows_of(batch.weighed(t[part], part))).sum(-2)


def statistics(map: LinearMap, a: Tensor, z: Tensor, batch: Batch, known_gram: Tensor | None = None) -> Statistics:
    """The sufficient statistics of ``Z ~ A W^T + b`` over all processes, piece by piece.

    Args:
        map: Makes the design of `a` and the targets of `z`.
        a: Inputs of the layer, ``(N, ...)``.
        z: What it has to explain, ``(N, ...)``.
        batch: Whose samples they are.
        known_gram: ``A^T A`` where it is known already.
    """
    gram, cross, a_sum, z_sum = (a.new_zeros(()) for _ in range(4))
    count = 0
    for part in pieces(map, a):
        rows, targets = design(map, a, batch, part), map.targets(batch.weighed(z[part], part, 0.5))
        if known_gram is None:
            gram = gram + self_product(rows)
        cross, a_sum = cross + targets.mT @ rows, a_sum + row_sums(map.rows, a, batch, part, rows)
        z_sum = z_sum + row_sums(map.targets, z, batch, part, targets)
        count += rows.shape[-2]
    gram = batch.sum(gram) if known_gram is None else known_gram
    count = count // len(a) * batch.count
    return Statistics(gram, batch.sum(cross), batch.sum(a_sum), batch.sum(z_sum), count)
