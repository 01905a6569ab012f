"""The library's own modules, and the way of weights from an `nn.Sequential` into a state and back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from altmin import activations, losses, regularizers
from altmin.errors import nearest
from altmin.losses import Loss
from altmin.maps import Recurrent
from altmin.regularizers import Regularizer
from altmin.state import Norm, State


class Sign(nn.Module):
    """1 where the input is positive, -1 elsewhere; its autograd derivative is zero."""

    def forward(self, x: Tensor) -> Tensor:
        """``s(x)``, elementwise."""
        return activations.Sign()(x)


class Step(nn.Module):
    """1 where the input is positive, 0 elsewhere; its autograd derivative is zero."""

    def forward(self, x: Tensor) -> Tensor:
        """``s(x)``, elementwise."""
        return activations.Step()(x)


class Residual(nn.Sequential):
    """``x + f(x)`` for a sequence `f` that ends with a map and has an activation inside.

    ``Residual(nn.ReLU(), nn.Linear(n, n))`` behind a `Linear` adds to its pre-activation;
    ``Residual(nn.Linear(n, m), nn.ReLU(), nn.Linear(m, n))`` is the other usual form.
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


def make_loss(loss: str | Loss) -> Loss:
    """A loss from its name; an object is passed through.

    Raises:
        TypeError: Neither a name nor a loss.
        ValueError: An unknown name.
    """
    if not isinstance(loss, str):
        needs = ("name", "lipschitz", "regression", "grad", "prox", "encode")
        if isinstance(loss, type) or not all(hasattr(loss, need) for need in needs):
            raise TypeError(f"`loss` must be a name or an object such as altmin.CrossEntropy(), got {loss!r}")
        return loss
    if loss not in losses.LOSSES:
        raise ValueError(f"unknown `loss` {loss!r}; {nearest(loss, list(losses.LOSSES))}")
    return losses.LOSSES[loss]()


def make_regularizer(regularizer: str | Regularizer | None) -> Regularizer:
    """A regulariser from its text (`altmin.regularizers.make`); an object is passed through."""
    if regularizer is None or isinstance(regularizer, str):
        return regularizers.make(regularizer)
    if isinstance(regularizer, type) or not hasattr(regularizer, "prox"):
        raise TypeError(
            f"`regularizer` must be text such as 'l1:1e-4' or an object such as altmin.L1(1e-4), got {regularizer!r}"
        )
    return regularizer
