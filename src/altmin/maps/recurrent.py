"""The Elman network's recurrence: one matrix shared over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from altmin.maps.base import Map


@dataclass(frozen=True)
class Recurrent(Map):
    """``h_t = tanh([x_t, h_{t-1}] W^T + b)``, ``h_0 = 0``: sequences ``(N, T, inputs)`` to ``(N, T, outputs)``.

    It is linear in neither weights nor input. Its least-squares problem is posed by codes for the arguments of tanh
    (`rows` and `targets`), which `altmin.online.recurrent_codes` finds; the other questions to a map have no answer.

    Attributes:
        inputs: Numbers of one element of a sequence.
        outputs: Hidden units.
        bias: Whether the intercept is trained.

    Examples:
        >>> import torch
        >>> h = Recurrent(1, 1)(torch.tensor([[1.0, 1.0]]), torch.tensor([0.0]), torch.tensor([[1.0, 0.0]]))
        >>> h.flatten()  # tanh(1), tanh(tanh(1))
        tensor([0.7616, 0.6420])
    """

    inputs: int
    outputs: int
    bias: bool = True
    feature = "Elman"
    recurrent = True

    @classmethod
    def of(cls, module: Any) -> Self:
        """The map of an `altmin.Elman`."""
        return cls(module.inputs, module.hidden, module.bias is not None)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of `W`, ``(outputs, inputs + outputs)``: the inputs' weights, then the recurrent ones."""
        return self.outputs, self.inputs + self.outputs

    def sequence(self, a: Tensor) -> Tensor:
        """Samples `a` as ``(N, T, inputs)``; those that are rows are cut into steps of `inputs` numbers."""
        return a.reshape(len(a), -1, self.inputs)

    def __call__(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The hidden states, ``(N, T, outputs)``, of sequences ``(N, T, inputs)``, which may be flat."""
        return torch.tanh(self.arguments(W, b, a))

    def arguments(self, W: Tensor, b: Tensor, a: Tensor) -> Tensor:
        """The arguments of tanh in all steps, ``(N, T, outputs)``."""
        driven, V = (self.sequence(a) @ W[:, : self.inputs].T + b).unbind(1), W[:, self.inputs :].T
        c = [driven[0]]
        for drive in driven[1:]:
            c.append(torch.addmm(drive, torch.tanh(c[-1]), V))
        return torch.stack(c, 1)

    def rows(self, a: Tensor, c: Tensor) -> Tensor:
        """The design of least squares, a row ``[x_t, tanh(c_{t-1})]`` for every step, ``(N T, inputs + outputs)``."""
        before = torch.cat([torch.zeros_like(c[:, :1]), torch.tanh(c[:, :-1])], 1)
        return torch.cat([self.sequence(a), before], 2).flatten(0, 1)

    def targets(self, c: Tensor) -> Tensor:
        """The right-hand side of least squares, `c` for every step of every sequence, ``(N T, outputs)``."""
        return c.flatten(0, 1)
