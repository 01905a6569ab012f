"""How good a state is: the network's loss and accuracy, and how far the auxiliary variables are from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.core.batch import ALL, Batch
from altmin.core.forward import CHUNK, STRETCH, forward
from altmin.core.problem import Problem
from altmin.core.state import State

LEAST = 256  # samples of a forward pass: fewer make products of matrices slow


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


class Tally:
    """Adds up what the network's outputs are worth, as whoever makes them hands them in.

    Args:
        problem: Its loss judges them.
        classes: Whether the targets are encoded classes.
    """

    def __init__(self, problem: Problem, classes: bool = False) -> None:
        self.problem, self.classes = problem, classes
        self._totals: Tensor | None = None  # loss, right ones, samples, |Z - F|^2, |F|^2
        self._waiting: list[tuple[Tensor, Batch]] = []

    @property
    def empty(self) -> bool:
        """Whether nothing was handed in."""
        return self._totals is None and not self._waiting

    def add(self, outputs: Tensor, batch: Batch) -> None:
        """The outputs for the samples of a batch. Small batches wait: a look at each would cost more."""
        self._waiting.append((outputs.detach().clone(), _targets(batch)))
        if sum(z.numel() for z, _ in self._waiting) > STRETCH:
            self._judge()

    def run(self, state: State, batch: Batch, rows: slice, first: Tensor | None = None) -> None:
        """Some samples by a forward pass, and how far the state's ``Z`` are from it, where it has such.

        Args:
            state: Gives weights and ``Z``.
            batch: The samples.
            rows: Which of them.
            first: The first layer's pre-activation, where somebody has made it.
        """
        zs = forward(self.problem, state, batch.x[rows], first)[0]
        self._waiting.append((zs[-1], _targets(batch, rows)))
        self._judge()
        if len(state.z) == len(self.problem.layers) and len(state.z[0]) == len(batch.x):
            off = sum(batch.squares(z[rows] - f, rows).double() for z, f in zip(state.z, zs, strict=True))
            self._add(0.0, 0.0, 0.0, off, sum(batch.squares(f, rows).double() for f in zs))

    def run_all(self, state: State, batch: Batch) -> None:
        """All samples of a batch so, a stretch after the other."""
        step = chunk_of(state)
        for i in range(0, len(batch.x), step):
            self.run(state, batch, slice(i, i + step))

    def score(self, batch: Batch) -> Score:
        """Of all that was handed in, over the processes of `batch`."""
        loss, right, count, off, size = batch.sum(self._judge()).tolist()
        return Score(loss / count, right / count if self.classes else None, (off / size) ** 0.5 if size > 0 else None)

    def _judge(self) -> Tensor:
        """Have nothing wait; the totals."""
        if self._waiting:
            outputs, batches = zip(*self._waiting, strict=True)
            self._waiting.clear()
            z, batch = torch.cat(outputs), _joined(batches)
            right: Tensor | float = 0.0
            if self.classes:
                right = batch.weighed((predict(z, self.problem.loss.middle) == labels_of(batch.y)).double()).sum()
            self._add(batch.loss(self.problem.loss, z), right, batch.size, 0.0, 0.0)
        assert self._totals is not None
        return self._totals

    def _add(self, *sums: Tensor | float) -> None:
        device = next((t.device for t in sums if isinstance(t, Tensor)), None)
        new = torch.stack([torch.as_tensor(t, dtype=torch.float64, device=device) for t in sums])
        self._totals = new if self._totals is None else self._totals + new


@torch.no_grad()
def score(problem: Problem, state: State, batch: Batch, classes: bool) -> Score:
    """Loss, accuracy and gap of the network over all samples of `batch`.

    Args:
        problem: What is minimised.
        state: Its weights are scored; its ``Z`` are compared where it has them for every sample.
        batch: The samples.
        classes: Whether the targets are encoded classes.
    """
    tally = Tally(problem, classes)
    tally.run_all(state, batch)
    return tally.score(batch)


def chunk_of(state: State) -> int:
    """The samples of a forward pass whose activations stay in cache; more where layers are narrow."""
    return min(CHUNK, max(LEAST, STRETCH // max(len(b) for b in state.b)))


def _targets(batch: Batch, rows: slice = ALL) -> Batch:
    """The targets of some samples and their weights, alone: what waits must not hold the inputs."""
    weights = batch.sample_weight
    return Batch(batch.y[rows], batch.y[rows], sample_weight=None if weights is None else weights[rows])


def _joined(batches: Sequence[Batch]) -> Batch:
    """All targets in a row, and their weights."""
    y, weights = torch.cat([batch.y for batch in batches]), [batch.sample_weight for batch in batches]
    return Batch(
        y, y, sample_weight=torch.cat([w for w in weights if w is not None]) if weights[0] is not None else None
    )
