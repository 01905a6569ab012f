"""The weights of an `nn.Sequential` as the variables of a state."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from altmin.core.state import Norm, State
from altmin.nn import Elman

WEIGHTED = (nn.Linear, nn.Conv2d, Elman)


def state_of(model: nn.Sequential) -> State[Any]:
    """A state whose weights, intercepts and batch normalisation share the storage of the model's.

    What a step writes into them is the model's at once. A layer without an intercept has zeros for it.
    """
    W: list[Tensor] = []
    b: list[Tensor] = []
    norm: list[Norm | None] = []
    for module in model.modules():
        if isinstance(module, WEIGHTED):
            W.append(_matrix(module))
            own = module.bias
            b.append(module.weight.detach().new_zeros(len(module.weight)) if own is None else own.detach())
            norm.append(None)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            tensors = module.weight, module.bias, module.running_mean, module.running_var
            norm[-1] = Norm(*(t.detach() for t in tensors if t is not None))
    return State(W, b, norm=norm)


def _matrix(module: nn.Linear | nn.Conv2d | Elman) -> Tensor:
    """A view of the weights in the shape that the map has them."""
    W = module.weight.detach()
    if not isinstance(module, nn.Conv2d):
        return W
    return W.flatten(1) if module.groups == 1 else W.flatten(1).unflatten(0, (module.groups, -1))
