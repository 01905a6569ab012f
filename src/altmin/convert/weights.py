"""A network's weights, as views that share the memory of its modules, and as copies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from altmin.core.state import Norm, State
from altmin.maps import Map
from altmin.nn import Residual
from altmin.registration import conversion_of


def variables_of(model: nn.Sequential) -> tuple[list[Tensor], list[Tensor], list[Norm | None]]:
    """``W``, ``b`` and batch normalisation of every layer, in the memory of the model's modules.

    What is written into them in place is what the model then computes with. An intercept that a module does not have
    is a fresh tensor of zeros; a layer without batch normalisation has `None`.

    Args:
        model: A network that `altmin.convert.reading.layers_of` reads.

    Returns:
        ``W``, matrices in the shapes of `Map.shape`; ``b``, ``(n_l,)`` each; and the normalisations.

    Raises:
        ValueError: A kernel that is not contiguous, so that no matrix shares its memory.

    Examples:
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> W, b, norm = variables_of(model)
        >>> _ = W[0].fill_(5.0)
        >>> model[0].weight.tolist()
        [[5.0, 5.0]]
    """
    W: list[Tensor] = []
    b: list[Tensor] = []
    norm: list[Norm | None] = []
    for map, module in _with_weights(model):
        if map is None:
            norm[-1] = norm_of(module)
            continue
        for group, value in zip((W, b), weights_of(map, module), strict=True):
            group.append(value)
        norm.append(None)
    return W, b, norm


def weights_of(map: Map, module: Any) -> tuple[Tensor, Tensor]:
    """``W`` and ``b`` of a module that `map` stands for, in the module's memory; no intercept is a tensor of zeros."""
    weight: Tensor = module.weight.detach()
    return map.matrix(weight), weight.new_zeros(map.outputs) if module.bias is None else module.bias.detach()


def norm_of(module: Any) -> Norm:
    """The numbers of a module of normalisation, in its memory; without running statistics these are empty."""
    scale, shift = module.weight.detach(), module.bias.detach()
    running = (getattr(module, name, scale.new_empty(0)) for name in ("running_mean", "running_var"))
    return Norm(scale, shift, *running)


def is_frozen(module: nn.Module, name: str) -> bool:
    """Whether a module's weights are to stay as they are.

    Args:
        module: With parameters of its own.
        name: What errors call it.

    Raises:
        TypeError: Some of its parameters are frozen, and some are not.

    Example:
        >>> is_frozen(nn.Linear(2, 1).requires_grad_(False), "module 0 (Linear)")
        True
    """
    trained = {p.requires_grad for p in module.parameters()}
    if len(trained) > 1:
        frozen = [own for own, p in module.named_parameters() if not p.requires_grad]
        raise TypeError(
            f"{name}: `{frozen[0]}` is frozen (requires_grad=False) and others are not; a layer is trained as a whole: "
            "freeze all of it or nothing, by module.requires_grad_(False) or module.requires_grad_(True)"
        )
    return trained == {False}


def state_of(model: nn.Sequential) -> State[Any]:
    """A state whose weights, intercepts and batch normalisation share the memory of the model's modules.

    What a step writes into them is the model's at once; `State.weights` copies them.

    Args:
        model: A network that `altmin.convert.reading.layers_of` reads.

    Raises:
        ValueError: A kernel that is not contiguous, so that no matrix shares its memory.

    Example:
        >>> model = nn.Sequential(nn.Linear(2, 1))
        >>> _ = state_of(model).b[0].fill_(3.0)
        >>> float(model[0].bias.detach())
        3.0
    """
    W, b, norm = variables_of(model)
    return State(W, b, norm=norm)


def _with_weights(model: nn.Sequential) -> Iterator[tuple[Map | None, nn.Module]]:
    """The modules with weights, from the input to the output, with their maps; `None` for batch normalisation."""
    for module in model:
        conversion = conversion_of(type(module))
        if type(module) in (nn.Sequential, Residual):
            yield from _with_weights(module)  # type: ignore[arg-type]
        elif conversion is not None and conversion.kind.role == "map":
            yield conversion.of(module), module
        elif conversion is not None and conversion.kind.role == "normalisation":
            yield None, module
