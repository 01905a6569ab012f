"""From `nn.Sequential` to a problem and a state, and back."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from altmin import activations, losses, regularizers
from altmin.activations import Activation, Identity
from altmin.errors import nearest
from altmin.losses import Loss
from altmin.maps import Linear
from altmin.problem import BatchNorm, Layer
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


def _softplus(m: nn.Softplus) -> Activation:
    if m.beta != 1:
        raise ValueError(f"Softplus(beta={m.beta}) is not supported: only beta=1")
    if m.threshold < 20:  # beyond it PyTorch's is linear
        raise ValueError(f"Softplus(threshold={m.threshold}) is not supported: only 20 and more")
    return activations.Softplus()


ACTIVATIONS: dict[type[nn.Module], Callable[..., Activation]] = {
    nn.ReLU: lambda m: activations.ReLU(),
    nn.LeakyReLU: lambda m: activations.LeakyReLU(m.negative_slope),
    nn.Hardtanh: lambda m: activations.Hardtanh(m.min_val, m.max_val),
    nn.ReLU6: lambda m: activations.Hardtanh(0.0, 6.0),
    nn.Sigmoid: lambda m: activations.Sigmoid(),
    nn.Tanh: lambda m: activations.Tanh(),
    nn.Softplus: _softplus,
    Sign: lambda m: activations.Sign(),
    Step: lambda m: activations.Step(),
}
SUPPORTED = "Linear, BatchNorm1d after a Linear, Flatten, Identity, and the activations " + ", ".join(
    kind.__name__ for kind in ACTIVATIONS
)


def layers_of(model: nn.Sequential) -> tuple[Layer, ...]:
    """The layers of a sequential model.

    Raises:
        TypeError: `model` is no `nn.Sequential`, or holds a module, or an order of modules, that is not supported.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"`model` must be an nn.Sequential of {SUPPORTED}; got {type(model).__name__}")
    found: list[list] = []
    seen: set[int] = set()
    for place, module in enumerate(model):
        _add(found, place, module)
        own = {id(p) for p in module.parameters()}
        if own & seen:
            raise TypeError(f"module {place} ({type(module).__name__}) shares its weights with a module before it")
        seen |= own
    if not found:
        raise TypeError("`model` has no Linear layer: there is nothing to train")
    if not isinstance(found[-1][1] or Identity(), Identity):
        raise TypeError("the last Linear must have no activation behind it: the loss takes its outputs as they are")
    return tuple(Layer(linear, s or Identity(), norm) for linear, s, norm in found)


def _add(found: list[list], place: int, module: nn.Module) -> None:
    """Append one module to the layers found so far, each ``[map, activation or None, norm or None]``."""
    name = f"module {place} ({type(module).__name__})"
    width = found[-1][0].outputs if found else None
    if type(module) is nn.Linear:
        if width not in (None, module.in_features):
            raise TypeError(f"{name} takes {module.in_features} features, the Linear before it gives {width}")
        found.append([Linear(module.in_features, module.out_features, module.bias is not None), None, None])
    elif type(module) is nn.Identity or (type(module) is nn.Flatten and _leads(module, found)):
        pass
    elif type(module) is nn.BatchNorm1d:
        if not found or found[-1][1] is not None or found[-1][2] is not None:
            raise TypeError(f"{name} must stand right after a Linear")
        if not module.affine or not module.track_running_stats or module.momentum is None:
            raise TypeError(f"{name} must be affine and track running statistics with a fixed momentum")
        if module.num_features != width:
            raise TypeError(f"{name} takes {module.num_features} features, the Linear before it gives {width}")
        found[-1][2] = BatchNorm(module.eps, module.momentum)
    elif type(module) in ACTIVATIONS:
        if not found or found[-1][1] is not None:
            raise TypeError(f"{name} must stand after a Linear, one activation for each")
        try:
            found[-1][1] = ACTIVATIONS[type(module)](module)
        except ValueError as error:
            raise TypeError(f"{name}: {error}") from error
    else:
        raise TypeError(f"{name} is not supported here; supported are {SUPPORTED} (Flatten at the front)")


def _leads(module: nn.Flatten, found: list[list]) -> bool:
    return not found and (module.start_dim, module.end_dim) == (1, -1)


def weights_of(model: nn.Sequential) -> State:
    """A state with copies of the model's weights, intercepts (zeros where there are none) and batch normalisation."""
    W, b, norm = [], [], []
    for module in model:
        if isinstance(module, nn.Linear):
            W.append(module.weight.detach().clone())
            b.append(W[-1].new_zeros(len(W[-1])) if module.bias is None else module.bias.detach().clone())
            norm.append(None)
        elif isinstance(module, nn.BatchNorm1d):
            norm[-1] = Norm(*(t.detach().clone() for t in _norm_tensors(module)))
    return State(tuple(W), tuple(b), norm=tuple(norm))


def _norm_tensors(module: nn.BatchNorm1d) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    assert module.running_mean is not None
    assert module.running_var is not None
    return module.weight, module.bias, module.running_mean, module.running_var


@torch.no_grad()
def write_back(state: State, model: nn.Sequential) -> None:
    """Copy the weights of `state` into `model`, in place."""
    layer = -1
    for module in model:
        if isinstance(module, nn.Linear):
            layer += 1
            module.weight.copy_(state.W[layer])
            if module.bias is not None:
                module.bias.copy_(state.b[layer])
        elif isinstance(module, nn.BatchNorm1d):
            norm = state.norm[layer]
            assert norm is not None
            for into, value in zip(_norm_tensors(module), vars(norm).values(), strict=True):
                into.copy_(value)


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
