"""Codes of online alternating minimisation: a few Nesterov steps from the forward value, a layer at a time."""

from __future__ import annotations

from collections.abc import Callable

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

    Returns:
        The last iterate: without sparsity the point ahead, as PyTorch's, with it the sparse point behind.
    """
    behind = c
    for _ in range(steps):
        new = c - lr * gradient(c)
        if sparsity:
            new = L1(sparsity).prox(new, lr)
        c, behind = new + MOMENTUM * (new - behind), new
    return behind if sparsity else c
