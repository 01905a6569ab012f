"""The samples that a step works on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from altmin.losses import Loss

ALL = slice(None)


@dataclass(frozen=True)
class Batch:
    """The samples that this process holds.

    Attributes:
        x: Inputs, ``(N, n_0)``, or ``(N, ...)`` where the network takes images or sequences.
        y: Encoded targets, ``(N, n_L)`` (`Loss.encode`).
        rows: Which rows of the state these samples are, where the batch is a part of the data; `None` for all.
        group: The processes that hold the other samples; `None` where this process holds all of them.
        ends_epoch: Whether this is the last batch of a pass over the data.
        done: The share of the run that lies behind this batch, for schedules.
        weight: How many samples each of them stands for in sums, where others are left out.
        sample_weight: What each of them counts by, ``(N,)``, all > 0: a sample of weight 2 is one that is there twice.
            `None`: each counts once. What is done to a sample by itself does not depend on its weight; sums over
            samples are taken of `weighed` terms, and means divide by `size`.

    Example:
        >>> batch = Batch(torch.arange(6.0).view(3, 2), torch.eye(3))
        >>> batch.select(slice(1, 3), ends_epoch=False).count
        2
    """

    x: Tensor
    y: Tensor
    rows: Tensor | slice | None = None
    group: dist.ProcessGroup | None = None
    ends_epoch: bool = True
    done: float = 0.0
    weight: float = 1.0
    sample_weight: Tensor | None = None

    def weighed(self, t: Tensor, rows: slice = ALL, power: float = 1.0) -> Tensor:
        """Each sample's numbers times its weight: what sums over samples are taken of.

        Args:
            t: Numbers of some samples, ``(n, ...)``.
            rows: Which of the batch's samples these are.
            power: Of the weight: a root on both factors weighs their product.
        """
        if self.sample_weight is None:
            return t
        return t * self.sample_weight[rows].pow(power).view(-1, *[1] * (t.ndim - 1))

    def squares(self, t: Tensor, rows: slice = ALL) -> Tensor:
        """``sum_i w_i ||t_i||^2``, a scalar; see `weighed`."""
        return self.weighed(t, rows, 0.5).square().sum()

    def loss(self, loss: Loss, z: Tensor, rows: slice = ALL) -> Tensor:
        """``sum_i w_i R(z_i; y_i)``, a scalar; see `weighed`."""
        y = self.y[rows]
        return loss(z, y) if self.sample_weight is None else self.weighed(loss.of_each(z, y), rows).sum()

    @property
    def size(self) -> float:
        """What this process's samples count together: their number, or the sum of their weights."""
        return len(self.x) if self.sample_weight is None else float(self.sample_weight.double().sum())

    def sum(self, t: Tensor) -> Tensor:
        """The sum of `t` over processes, and for samples left out: the only reduction over processes in the library."""
        return self._over_processes(t if self.weight == 1.0 else t * self.weight)

    @property
    def count(self) -> float:
        """What the samples of all processes count together, those included that were left out; see `size`."""
        local = self.size * self.weight if self.sample_weight is not None else round(len(self.x) * self.weight)
        return local if self.group is None else self._over_processes(torch.tensor(local, device=self.x.device)).item()

    def select(self, rows: Tensor | slice, ends_epoch: bool) -> Batch:
        """The batch of some of these rows."""
        if isinstance(rows, slice):
            x, y = self.x[rows], self.y[rows]
        else:  # many times as fast as an index in brackets
            x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
        weights = None if self.sample_weight is None else self.sample_weight[rows]
        return replace(self, x=x, y=y, rows=rows, ends_epoch=ends_epoch, sample_weight=weights)

    def part(self, rows: Tensor | slice) -> Batch:
        """Some of these samples as a batch of their own."""
        return replace(self.select(rows, self.ends_epoch), rows=None)

    def every(self, stride: int) -> Batch:
        """Every so many of these samples in the place of all: a view, whose sums are made up for those left out."""
        some = self.part(slice(None, None, stride))
        return replace(some, weight=self.weight * self.size / some.size)

    def _over_processes(self, t: Tensor) -> Tensor:
        if self.group is None:
            return t
        total = t.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total
