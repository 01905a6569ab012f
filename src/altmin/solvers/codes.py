"""Codes of online alternating minimisation: a few Nesterov steps from the forward value, a layer at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from altmin.regularizers import L1

MOMENTUM = 0.9


def nesterov(
    c: Tensor, gradient: Callable[[Tensor], Tensor], steps: int, lr: float | Tensor, sparsity: float = 0.0
) -> Tensor:
    """`steps` steps of gradient descent with Nesterov momentum 0.9, as `torch.optim.SGD` has it, from `c`.

    With `sparsity` each step ends with the soft threshold ``lr sparsity``, the prox of ``sparsity ||c||_1``.

    Args:
        c: First iterate; not changed.
        gradient: The gradient at a point, a fresh tensor.
        steps: How many.
        lr: Step size.
        sparsity: Weight of the l1 norm.
    """
    velocity = torch.zeros_like(c)
    for _ in range(steps):
        g = gradient(c)
        velocity.mul_(MOMENTUM).add_(g)
        c = c - lr * g.add_(velocity, alpha=MOMENTUM)
        if sparsity:
            c = L1(sparsity).prox(c, lr)
    return c
