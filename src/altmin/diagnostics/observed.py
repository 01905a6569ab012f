"""A sweep that notes how far each block update moved, and by which step size, and computes what a sweep computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from altmin.solvers.backtracking import Backtracking
from altmin.sweep import LayerView, Sweep


@dataclass(frozen=True)
class Change:
    """What one block update did.

    Attributes:
        kind: ``"W"``, ``"b"``, ``"z"`` or ``"a"``.
        layer: Which layer, from 0.
        square: ``||v+ - v||^2``, over all processes.
        majorised: ``||tau o (v+ - v)^2||_1`` where the block was majorised, ``tau`` its step sizes; else `None`.
        least: The least step size that moved anything; ``inf`` where none did.
        largest: The largest one.
        mean: Their mean, over samples.
    """

    kind: str
    layer: int
    square: float
    majorised: float | None = None
    least: float = float("inf")
    largest: float = 0.0
    mean: float = 0.0


Found = list[tuple[slice, Any, Tensor]]  # samples, which of them, and their step sizes


@dataclass(frozen=True)
class Recorder(Backtracking):
    """A search that notes the step sizes it ends with."""

    found: Found = field(default_factory=list)
    rows: slice = field(default_factory=lambda: slice(None))
    some: Any = field(default_factory=lambda: slice(None))

    def at(self, rows: slice, some: Tensor | slice) -> Recorder:
        """The same search, for `some` of these samples."""
        return replace(self, rows=rows, some=some)

    def accept(self, size: Tensor) -> None:
        """Note a step size, or one for each sample."""
        self.found.append((self.rows, self.some, size))


class ObservedSweep(Sweep[Any]):
    """A `Sweep` whose `changes` are those of the last `run`, in their order; variables end with the same bits."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.changes: list[Change] = []
        self.found: Found = []

    @cached_property
    def layers(self) -> list[LayerView]:
        """A view of each layer that notes what its verbs do."""
        return [ObservedLayer(self, i) for i in range(len(self.problem.layers))]

    @property
    def search(self) -> Backtracking:
        """The method's, which notes where it ends; one of the method's own kind is left as it is."""
        search = self.method.search(self)
        if type(search) is not Backtracking:
            return search
        return Recorder(**{f.name: getattr(search, f.name) for f in fields(Backtracking)}, found=self.found)


class ObservedLayer(LayerView):
    """A `LayerView` whose verbs do the same, and note it in its `ObservedSweep`."""

    def solve_z(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_z`."""
        with self._noted("z"):
            super().solve_z(*args, **kwargs)

    def solve_z_in_band(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_z_in_band`."""
        with self._noted("z"):
            super().solve_z_in_band(*args, **kwargs)

    def solve_output(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_output`."""
        with self._noted("a"):
            super().solve_output(*args, **kwargs)

    def solve_a(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_a`."""
        with self._noted("a"):
            super().solve_a(*args, **kwargs)

    def step_a(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.step_a`."""
        with self._noted("a"):
            super().step_a(*args, **kwargs)

    def solve_weights(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_weights`."""
        with self._noted("W", "b"):
            super().solve_weights(*args, **kwargs)

    def step_W(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.step_W`."""
        with self._noted("W"):
            super().step_W(*args, **kwargs)

    def solve_b(self, *args: Any, **kwargs: Any) -> None:
        """As `LayerView.solve_b`."""
        with self._noted("b"):
            super().solve_b(*args, **kwargs)

    @contextmanager
    def _noted(self, *kinds: str) -> Iterator[None]:
        sweep = self.sweep
        assert isinstance(sweep, ObservedSweep)
        before = {kind: getattr(self, kind).clone() for kind in kinds}
        sweep.found.clear()
        yield
        for kind, old in before.items():
            sweep.changes.append(_change(sweep, kind, self.i, getattr(self, kind) - old))


def _change(sweep: ObservedSweep, kind: str, layer: int, move: Tensor) -> Change:
    per_sample, batch = kind in "za", sweep.batch
    squares = move.flatten(1).square().sum(1) if per_sample else move.square().sum()
    total = float(batch.sum(squares.sum()) if per_sample else squares)
    if not sweep.found or kind not in "Wa":
        return Change(kind, layer, total)
    tau = torch.zeros_like(squares)
    for rows, some, size in sweep.found:
        if tau.ndim:
            tau[rows][some] = size
        else:
            tau = size
    still = torch.isinf(tau)  # of a sample that has no room to move
    weighted = torch.where(still, 0.0, tau * squares).sum()
    moving = tau[(tau > 0) & ~still]
    ends = (float(moving.min()), float(moving.max()), float(moving.mean())) if len(moving) else (float("inf"), 0.0, 0.0)
    return Change(kind, layer, total, float(batch.sum(weighted) if per_sample else weighted), *ends)
