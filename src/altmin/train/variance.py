"""Whether batches are large enough for batch normalisation, which needs a variance of every channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem

NONE = "over which batch normalisation has no variance (more than 1 value per channel is needed in training)"


class BatchVariance:
    """Refuses to train on one sample where batch normalisation needs more, as PyTorch does.

    A sample of several positions, such as an image behind a convolution, has a variance by itself.

    Args:
        problem: Gives the layers.
    """

    def __init__(self, problem: Problem):
        self.problem = problem
        self._alone: dict[torch.Size, bool] = {}  # whether one sample of a shape has a variance in every channel

    def know(self, shape: torch.Size, z: Sequence[Tensor]) -> None:
        """Remember what a sample of a shape becomes: the pre-activations of all layers, ``(1, n_l, ...)``."""
        layers = zip(z, self.problem.layers, strict=True)
        self._alone[shape] = all(t.shape[2:].numel() > 1 for t, layer in layers if layer.norm and layer.norm.by_batch)

    def check(self, name: str, batch: Batch) -> None:
        """Raise `ValueError` where a step is to work on one sample that has none; `name` is the argument's."""
        if len(batch.x) == 1 and not self._alone.get(batch.x.shape[1:], True):
            raise ValueError(f"`{name}` is a batch of one sample, {NONE}; leave it out, or take it with others")

    def check_split(self, batch_size: int, data: Batch) -> None:
        """Raise `ValueError` where the batches of a pass over `data` hold one of one sample that has none.

        The message has the batch size, the number of samples, and a size that leaves no such batch.
        """
        n = len(data.x)
        if self._alone[data.x.shape[1:]] or (batch_size > 1 and n % batch_size != 1):
            return
        if n == 1:
            raise ValueError(f"`data` holds one sample, {NONE}; take two or more")
        fits = next(size for size in range(batch_size + 1, n + 1) if n % size != 1)
        raise ValueError(
            f"`batch_size` {batch_size} splits {n} samples into batches one of which has one sample, {NONE}; "
            f"choose another one, such as {fits}, or leave a sample out"
        )
