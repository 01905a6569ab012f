"""The samples that a step works on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor


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

    def sum(self, t: Tensor) -> Tensor:
        """The sum of `t` over processes, and for samples left out: the only reduction over processes in the library."""
        return self._over_processes(t if self.weight == 1.0 else t * self.weight)

    @property
    def count(self) -> int:
        """The number of samples over all processes, those included that were left out."""
        local = round(len(self.x) * self.weight)
        return local if self.group is None else int(self._over_processes(torch.tensor(local, device=self.x.device)))

    def select(self, rows: Tensor | slice, ends_epoch: bool) -> Batch:
        """The batch of some of these rows."""
        if isinstance(rows, slice):
            x, y = self.x[rows], self.y[rows]
        else:  # many times as fast as an index in brackets
            x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
        return replace(self, x=x, y=y, rows=rows, ends_epoch=ends_epoch)

    def every(self, stride: int) -> Batch:
        """Every so many of these samples in the place of all: a view, whose sums are made up for those left out."""
        x, y = self.x[::stride], self.y[::stride]
        return replace(self, x=x, y=y, weight=self.weight * len(self.x) / len(x))

    def _over_processes(self, t: Tensor) -> Tensor:
        if self.group is None:
            return t
        total = t.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total
