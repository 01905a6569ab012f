"""The way of weights from an `nn.Sequential` into a state and back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from altmin.core.state import Norm, State
from altmin.nn import Elman

WEIGHTED = (nn.Linear, nn.Conv2d, Elman)


def weights_of(model: nn.Sequential) -> State:
    """A state with copies of the model's weights, intercepts (zeros where there are none) and batch normalisation."""
    W, b, norm = [], [], []
    for module in _trained(model):
        if isinstance(module, WEIGHTED):
            W.append(_matrix(module))
            own = module.bias
            b.append(module.weight.new_zeros(len(module.weight)) if own is None else own.detach().clone())
            norm.append(None)
        else:
            norm[-1] = Norm(*(t.detach().clone() for t in _norm_tensors(module)))
    return State(tuple(W), tuple(t.detach() for t in b), norm=tuple(norm))


@torch.no_grad()
def write_back(state: State, model: nn.Sequential) -> None:
    """Copy the weights of `state` into `model`, in place."""
    layer = -1
    for module in _trained(model):
        if isinstance(module, WEIGHTED):
            layer += 1
            module.weight.copy_(state.W[layer].view_as(module.weight))
            if module.bias is not None:
                module.bias.copy_(state.b[layer])
        else:
            norm = state.norm[layer]
            assert norm is not None
            for into, value in zip(_norm_tensors(module), vars(norm).values(), strict=True):
                into.copy_(value)


def _trained(model: nn.Sequential) -> Iterator[nn.Linear | nn.Conv2d | Elman | nn.BatchNorm1d | nn.BatchNorm2d]:
    """The modules with weights, from the input to the output."""
    for module in model.modules():
        if isinstance(module, (*WEIGHTED, nn.BatchNorm1d, nn.BatchNorm2d)):
            yield module


def _matrix(module: nn.Linear | nn.Conv2d | Elman) -> Tensor:
    """A copy of the weights in the shape that the map has them."""
    W = module.weight.detach().clone()
    if not isinstance(module, nn.Conv2d):
        return W
    return W.flatten(1) if module.groups == 1 else W.flatten(1).unflatten(0, (module.groups, -1))


def _norm_tensors(module: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert module.running_mean is not None
    assert module.running_var is not None
    return module.weight, module.bias, module.running_mean, module.running_var
