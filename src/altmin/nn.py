"""Modules that users write into their networks: `Sign`, `Step`, `Residual`, `Elman`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altmin import activations
from altmin.maps import Recurrent
from altmin.registration import converts


class Sign(nn.Module):
    """1 where the input is positive, -1 elsewhere; its autograd derivative is zero.

    Examples:
        >>> import torch
        >>> Sign()(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([-1., -1.,  1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """The sign of each number, the shape of `x`."""
        return activations.Sign()(x)


class Step(nn.Module):
    """1 where the input is positive, 0 elsewhere; its autograd derivative is zero.

    Examples:
        >>> import torch
        >>> Step()(torch.tensor([-2.0, 0.0, 2.0]))
        tensor([0., 0., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """1 or 0 for each number, the shape of `x`."""
        return activations.Step()(x)


class Residual(nn.Sequential):
    """``x + f(x)`` for a sequence `f` that ends with a map and has an activation inside.

    ``Residual(nn.ReLU(), nn.Linear(n, n))`` behind a `Linear` adds to its pre-activation;
    ``Residual(nn.Linear(n, m), nn.ReLU(), nn.Linear(m, n))`` is the other usual form.

    Examples:
        >>> import torch
        >>> block = Residual(nn.ReLU(), nn.Linear(3, 3))
        >>> block(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def forward(self, input: Tensor) -> Tensor:
        """``x + f(x)``, the shape of `input`."""
        return input + super().forward(input)


class Elman(nn.Module):
    """The Elman network's recurrence ``h_t = tanh([x_t, h_{t-1}] W^T + b)``, ``h_0 = 0``; it gives all ``h_t``.

    Args:
        inputs: Numbers of one element of a sequence.
        hidden: Units.
        bias: Whether there is an intercept.
        dtype: Of the weights.

    Examples:
        >>> import torch
        >>> Elman(2, 5)(torch.ones(3, 4, 2)).shape  # 3 sequences of 4 steps
        torch.Size([3, 4, 5])
    """

    def __init__(self, inputs: int, hidden: int, bias: bool = True, dtype: torch.dtype | None = None):
        super().__init__()
        bound = hidden**-0.5
        self.inputs, self.hidden = inputs, hidden
        self.weight = nn.Parameter(torch.empty(hidden, inputs + hidden, dtype=dtype).uniform_(-bound, bound))
        start = torch.empty(hidden, dtype=dtype).uniform_(-bound, bound) if bias else None
        self.bias = None if start is None else nn.Parameter(start)

    def forward(self, x: Tensor) -> Tensor:
        """The states, ``(N, T, hidden)``, of sequences ``(N, T, inputs)``; flat samples are cut into such steps."""
        b = self.weight.new_zeros(self.hidden) if self.bias is None else self.bias
        return Recurrent(self.inputs, self.hidden)(self.weight, b, x)


converts(Sign)(activations.Sign)
converts(Step)(activations.Step)
converts(Elman)(Recurrent)
