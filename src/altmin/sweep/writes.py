"""Where block updates are written, and the centres of their proximal terms."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from altmin.sweep.reads import LayerReads


class LayerWrites(LayerReads):
    """The only code that writes variables; it keeps the previous iterate where the state has one."""

    def _centre(
        self, name: Literal["z", "a"], prox: float, inertia: float | None
    ) -> tuple[Tensor, Tensor | None, bool]:
        """Where a block is written to, the centre of its proximal term, and whether that is the previous iterate.

        With inertia both are the previous iterate's memory, of which there is no more need; `_swap` then follows.
        """
        now, previous = getattr(self, name), self.sweep.state.previous
        if prox == 0.0:
            return now, None, False
        if inertia is None or previous is None:
            return now, now, False
        before = getattr(previous, name)[self.i]
        torch.lerp(before, now, 1.0 + inertia, out=before)
        return before, before, True

    def _small_centre(self, name: Literal["W", "b"], inertia: float | None) -> Tensor:
        """The centre of the proximal term of weights or intercept."""
        now, previous = getattr(self, name), self.sweep.state.previous
        if inertia is None or previous is None:
            return now
        return torch.lerp(getattr(previous, name)[self.i], now, 1.0 + inertia)

    def _swap(self, name: Literal["z", "a"]) -> None:
        """Make what was written over the previous value the present one, and that the previous."""
        assert self.sweep.state.previous is not None
        now, before = getattr(self.sweep.state, name), getattr(self.sweep.state.previous, name)
        now[self.i], before[self.i] = before[self.i], now[self.i]

    def _write(self, name: Literal["W", "b"], new: Tensor, inertia: float | None = None) -> None:
        """Write weights or intercept in place; the present value becomes the previous one where one is kept."""
        now, previous = getattr(self, name), self.sweep.state.previous
        if inertia is not None and previous is not None:
            getattr(previous, name)[self.i].copy_(now)
        now.copy_(new)
