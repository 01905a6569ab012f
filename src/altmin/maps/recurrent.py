"""The Elman network's recurrence: one matrix shared over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Recurrent:
    """``h_t = tanh([x_t, h_{t-1}] W^T + b)``, ``h_0 = 0``: sequences ``(N, T, inputs)`` to ``(N, T, outputs)``.

    It is linear in neither weights nor input. Its least-squares problem is posed by codes for the arguments of tanh
    (`rows` and `targets`), which `altmin.online.recurrent_codes` finds; the other questions to a map have no answer.

    Attributes:
        inputs: Numbers of one element of a sequence.
        outputs: Hidden units.
        bias: Whether the intercept is trained.
    """

    inputs: int
    outputs: int
    bias: bool = True
    features = None

    @property
    def shape(self) -> tuple[int, int]:
        """``(outputs, inputs + outputs)``: the inputs' weights, then the recurrent ones."""
        return self.outputs, self.inputs + self.outputs

    def at(self, a: Tensor) -> Self:
        """The same."""
        return self

    def sequence(self, a: Tensor) -> Tensor:
        """`a` as ``(N, T, inputs)``; flat samples are cut into steps."""
        return a.reshape(len(a), -1, self.inputs)

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The hidden states, ``(N, T, outputs)``, of sequences ``(N, T, inputs)``, which may be flat."""
        return torch.tanh(self.arguments(W, b, a))

    def arguments(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The arguments of tanh on the way, ``(N, T, outputs)``."""
        driven, V = (self.sequence(a) @ W[:, : self.inputs].T + b).unbind(1), W[:, self.inputs :].T
        c = [driven[0]]
        for drive in driven[1:]:
            c.append(torch.addmm(drive, torch.tanh(c[-1]), V))
        return torch.stack(c, 1)

    def rows(self, a: Tensor, c: Tensor) -> Tensor:
        """``[x_t, tanh(c_{t-1})]`` for every step of every sequence, ``(N T, inputs + outputs)``."""
        before = torch.cat([torch.zeros_like(c[:, :1]), torch.tanh(c[:, :-1])], 1)
        return torch.cat([self.sequence(a), before], 2).flatten(0, 1)

    def targets(self, c: Tensor) -> Tensor:
        """`c` for every step of every sequence, ``(N T, outputs)``."""
        return c.flatten(0, 1)
