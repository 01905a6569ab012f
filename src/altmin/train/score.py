"""How good a state is: the network's loss and accuracy, and how far the auxiliary variables are from it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.forward import CHUNK, forward
from altmin.core.problem import Problem
from altmin.core.state import State


@dataclass(frozen=True)
class Score:
    """The network on some samples.

    Attributes:
        loss: Mean over samples.
        accuracy: Share of samples classified as their label says; `None` for regression.
        gap: ``||Z - Z_forward||/||Z_forward||`` over all layers; `None` where the state has no such ``Z``.
    """

    loss: float
    accuracy: float | None
    gap: float | None = None


def predict(z: Tensor, middle: float = 0.0) -> Tensor:
    """Class indices ``(N,)`` from outputs ``(N, q)``: the largest; for one output, whether it is above `middle`.

    Args:
        z: Outputs.
        middle: What lies between the two targets of a single output (`altmin.losses.Loss.middle`).
    """
    return (z[:, 0] > middle).long() if z.shape[1] == 1 else z.argmax(1)


def labels_of(y: Tensor) -> Tensor:
    """Class indices from encoded targets (one-hot, or -1/+1)."""
    return (y[:, 0] > 0.5).long() if y.shape[1] == 1 else y.argmax(1)


@torch.no_grad()
def score(problem: Problem, state: State, batch: Batch, classes: bool) -> Score:
    """Loss, accuracy and gap of the network over all samples of `batch`, in chunks.

    Args:
        problem: What is minimised.
        state: Its weights are scored; its ``Z`` are compared where it has them for every sample.
        batch: The samples.
        classes: Whether the targets are encoded classes.
    """
    compared = len(state.z) == len(problem.layers) and len(state.z[0]) == len(batch.x)
    totals = torch.zeros(4, dtype=torch.float64, device=batch.x.device)
    for i in range(0, len(batch.x), CHUNK):
        rows = slice(i, i + CHUNK)
        own = [z[rows] for z in state.z] if compared else None
        totals += _totals(problem, state, batch.x[rows], batch.y[rows], own, classes)
    loss, right, off, size = batch.sum(totals).tolist()
    n = batch.count
    return Score(loss / n, right / n if classes else None, (off / size) ** 0.5 if compared and size > 0 else None)


def _totals(problem: Problem, state: State, x: Tensor, y: Tensor, own: list[Tensor] | None, classes: bool) -> Tensor:
    """Of some samples: the loss, how many are classified right, ``|Z - F|^2`` and ``|F|^2`` over all layers.

    A function of its own, so that the activations of one chunk are gone before the next ones are made.
    """
    zs = forward(problem, state, x)[0]
    right = (predict(zs[-1], problem.loss.middle) == labels_of(y)).sum() if classes else 0.0
    off = 0.0 if own is None else sum((z - f).square().sum().double() for z, f in zip(own, zs, strict=True))
    parts = [problem.loss(zs[-1], y), right, off, sum(f.square().sum().double() for f in zs)]
    return torch.stack([torch.as_tensor(p, dtype=torch.float64, device=y.device) for p in parts])
