"""What one block update knows of the samples and the next one need not multiply out again."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.objective import layer_input, regression_target
from altmin.core.problem import Problem
from altmin.core.state import State, parts, skipped
from altmin.solvers.weight_least_squares import Statistics, gram, statistics

SHARE = 0.27  # of the variables and the data: what carried products may take of memory beside them


def worth_carrying(outputs: Sequence[int], saved: Sequence[int], held: int) -> frozenset[int]:
    """The layers whose ``A_{l-1} W_l^T`` is carried: those that save most for their memory, as long as there is room.

    Args:
        outputs: The numbers that the product of each layer has for a sample.
        saved: The multiplications that carrying it saves, for each of these numbers.
        held: The numbers that variables and data have for a sample.
    """
    room, chosen = SHARE * held, set()
    for i in sorted(range(len(outputs)), key=lambda i: -saved[i]):
        if saved[i] and outputs[i] <= room:
            chosen.add(i)
            room -= outputs[i]
    return frozenset(chosen)


class Carried:
    """Products with the samples and sums over them, each with the tensors that it was made of.

    A value holds as long as these very tensors are the present ones; whoever writes into one puts it into the state
    under a new name (`renewed`). So nothing is multiplied out twice, and nobody has to say what is still valid.
    """

    def __init__(self, layers: frozenset[int] = frozenset()):
        self.layers = layers
        self._held: dict[Hashable, tuple[tuple[Tensor | None, ...], Any]] = {}

    def image(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice = slice(None)) -> Tensor:
        """``A_{l-1} W_l^T`` of some samples, not to be written; kept for all where the layer is one of `layers`."""
        map, W, a = problem.layers[i].map, state.W[i], layer_input(state, batch, i)
        if i not in self.layers:
            return map.image(W, a[rows], a[rows])

        def fill(stale: Tensor | None) -> Tensor:
            value = torch.empty_like(state.z[i]) if stale is None else stale
            for part in parts(value):
                value[part] = map.image(W, a[part], a[part])
            return value

        return self._get(("image", i), (a, W), fill)[rows]

    def prediction(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice = slice(None)) -> Tensor:
        """``A_{l-1} W_l^T + b_l`` of some samples, and what a residual connection adds: a fresh tensor."""
        image = self.image(problem, state, batch, i, rows)
        z = image + state.b[i].view(-1, *[1] * (image.ndim - 2))
        over = skipped(problem.layers[i], batch.x, state.z, state.a)
        return z if over is None else z.add_(over[rows])

    def residual(self, problem: Problem, state: State, batch: Batch, i: int, rows: slice = slice(None)) -> Tensor:
        """``E_l`` of some samples: a fresh tensor."""
        v = self.prediction(problem, state, batch, i, rows)
        return torch.sub(state.z[i][rows], v, out=v)

    def move(self, i: int, rows: slice, by: Tensor) -> None:
        """Add to ``A_{l-1} W_l^T``, where it is kept, what the layer makes of a movement of ``A_{l-1}``."""
        if i in self.layers:
            self._held["image", i][1][rows] += by

    def follow(self, i: int, a: Tensor, W: Tensor) -> None:
        """Say that the product which was moved now belongs to these tensors."""
        if i in self.layers:
            self._held["image", i] = (a, W), self._held["image", i][1]

    def statistics(self, problem: Problem, state: State, batch: Batch, i: int) -> Statistics:
        """The sufficient statistics of ``W_l`` and ``b_l``."""
        layer, a = problem.layers[i], layer_input(state, batch, i)
        known = self._get(("gram", i), (a,), lambda _: gram(layer.map, a, batch))

        def make(_: Statistics | None) -> Statistics:
            return statistics(layer.map, a, regression_target(problem, state, batch, i), batch, known)

        sources = state.z[i], skipped(layer, batch.x, state.z, state.a), a
        return self._get(("statistics", i), sources, make)

    def _get(self, name: Hashable, sources: tuple[Tensor | None, ...], make: Callable[[Any], Any]) -> Any:
        """The value under a name, made (from the stale one) where a source is not the one that it was made of."""
        before, value = self._held.get(name, (None, None))
        if before is None or any(old is not new for old, new in zip(before, sources, strict=True)):
            value = make(value)
            self._held[name] = sources, value
        return value
