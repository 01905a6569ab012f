"""How one code moves: Nesterov steps along a derivative, and a step function's jump crossed without one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from altmin.activations import Activation
from altmin.core.batch import Batch
from altmin.regularizers import L1

TINY = 1e-30


def nesterov(
    c: Tensor,
    gradient: Callable[[Tensor], Tensor],
    steps: int,
    lr: float | Tensor,
    momentum: float = 0.9,
    sparsity: float = 0.0,
    first: Callable[[], Tensor] | None = None,
) -> Tensor:
    """`steps` steps of gradient descent with Nesterov's momentum, as `torch.optim.SGD` has it, from `c`.

    With `sparsity` each ends in the soft threshold ``lr sparsity``, the prox of ``sparsity ||c||_1``.

    Args:
        c: First iterate; not changed.
        gradient: The gradient at a point, a tensor that is not written over.
        steps: How many.
        lr: Step size.
        momentum: The first of the steps, too, is ``1 + momentum`` times `lr`.
        sparsity: Weight of the l1 norm.
        first: The gradient at the first iterate, where that costs less than at another point.

    Returns:
        The point that momentum has moved on to; with `sparsity` the last sparse one, from which it would move on.
    """
    lr, behind = torch.as_tensor(lr, dtype=c.dtype, device=c.device), c
    for k in range(steps):
        g = first() if first is not None and k == 0 else gradient(c)
        new = torch.addcmul(c, g, lr, value=-1.0)
        if sparsity:
            new = L1(sparsity).prox(new, 1.0 / lr)
        c, behind = torch.lerp(behind, new, 1.0 + momentum) if momentum else new, new
    return behind if sparsity else c


def crossing(
    activation: Activation,
    c: Tensor,
    g: Tensor,
    step: float,
    cost: float,
    margin: float = 0.0,
    batch: Batch | None = None,
) -> Tensor:
    """``argmin_z (s(z) - a)^2 + cost (z - c)^2/u^2`` (P1) at the target ``a = s(c) - step g/sqrt(mean(g^2))``.

    No derivative of `s` is asked for. A code of sign either stays or goes just across zero, where the target asks
    loudly enough for the other sign and the code is near zero. Near is relative to ``u^2 = mean(c^2)`` over the unit's
    samples, and loud to the whole layer: the numbers do not depend on widths, batches or the size of weights. A code
    that crosses goes ``margin u`` further, so that the layer below has something to learn even of the nearest ones.

    Args:
        activation: ``s``, a step function.
        c: Codes, ``(N, n_l, ...)``.
        g: The derivative of what is above in the activation ``s(c)``.
        step: Size of the targets' step.
        cost: Weight of the distance, > 0.
        margin: How far behind the jump codes land, >= 0.
        batch: What the samples count by in means; `None`: each counts once.
    """
    batch = Batch(c, c) if batch is None else batch
    unit = _root_mean_square(c, batch, (0, *range(2, c.ndim)))
    target = torch.add(activation(c), g / _root_mean_square(g, batch, tuple(range(g.ndim))), alpha=-step)
    found = activation.prox(c / unit, cost, target).mul_(unit)
    # A code that stays is left to the bit: optimisers that scale gradients would make steps of its rounding.
    return torch.where(activation(found) == activation(c), c, found + (found - c).sign() * (margin * unit))


def _root_mean_square(t: Tensor, batch: Batch, axes: tuple[int, ...]) -> Tensor:
    """Over the samples, each counted by its weight, and further axes, which are kept; at least `TINY`."""
    mean = batch.weighed(t, power=0.5).square().mean(axes, keepdim=True)
    return (mean * (len(t) / batch.size)).sqrt_().clamp_min_(TINY)
