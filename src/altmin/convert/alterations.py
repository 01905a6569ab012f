"""What changes a module's value beside its class and its options, which are all that reading sees; found by kind.

Backward hooks change no value and are let through, and so is `nn.Module.compile`, which computes the same function.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.utils import parametrize

from altmin.registration import conversion_of

# What PyTorch's own hooks do, by the names of their classes, some of which are deprecated; {0} is the weight's name.
_KNOWN_HOOKS = {
    "torch.nn.utils.prune.BasePruningMethod": ("prunes its `{0}`", "prune.remove(module, '{0}')"),
    "torch.nn.utils.weight_norm.WeightNorm": (
        "computes its `{0}` by weight_norm",
        "remove_weight_norm(module, '{0}')",
    ),
    "torch.nn.utils.spectral_norm.SpectralNorm": (
        "computes its `{0}` by spectral_norm",
        "remove_spectral_norm(module, '{0}')",
    ),
}
_CALLS = ("forward", "_call_impl", "__call__")  # what decides what a module gives
_GLOBAL_HOOKS = ("_global_forward_pre_hooks", "_global_forward_hooks")


def check_unaltered(module: nn.Module, name: str) -> None:
    """Refuse a module that computes something else than its class and its options say.

    Args:
        module: Of any class; what stands inside it is not looked at.
        name: What errors call it.

    Raises:
        TypeError: The first alteration: a hook, a `forward` of its own, a weight that is computed; and the cure.

    Example:
        >>> check_unaltered(nn.Linear(2, 2), "module 0 (Linear)")
    """
    for found in _alterations(module):
        raise TypeError(f"{name} {found}")


def check_sequence(model: nn.Sequential, name: str) -> None:
    """Refuse a subclass of `nn.Sequential` that does something else than to run the modules inside in turn.

    Args:
        model: A whole network.
        name: What errors call it.

    Raises:
        TypeError: Its class has a `forward` of its own.
    """
    for call in _CALLS:
        if getattr(type(model), call) is not getattr(nn.Sequential, call):
            raise TypeError(
                f"{name} has a `{call}` of its own, which training would not run: it takes the modules inside in turn; "
                "put an altmin.Residual into an nn.Sequential, and write anything else as modules in a row"
            )


def check_no_global_hooks() -> None:
    """Refuse forward hooks of all modules, which training would not run.

    Raises:
        TypeError: There is one.
    """
    for group in _GLOBAL_HOOKS:
        for hook in getattr(torch_module, group).values():
            raise TypeError(
                f"a forward hook of all modules is registered ({_title(hook)}), which training does not run; take it "
                "off by the handle's remove()"
            )


def _alterations(module: nn.Module) -> Iterator[str]:
    yield from _parametrizations(module)
    if conversion_of(type(module)) is None and not isinstance(module, (nn.Sequential, nn.Identity)):
        return  # a class that nobody registered, which reading refuses
    yield from _hooks(module)
    yield from _calls(module)
    yield from _computed_weights(module)


def _parametrizations(module: nn.Module) -> Iterator[str]:
    if parametrize.is_parametrized(module):
        names = list(module.parametrizations)  # type: ignore[arg-type]
        yield (
            f"computes its `{names[0]}` by a parametrisation, which training would not follow; make the value its "
            f"own first: torch.nn.utils.parametrize.remove_parametrizations(module, {names[0]!r})"
        )


def _hooks(module: nn.Module) -> Iterator[str]:
    """Forward hooks; PyTorch's own are named by what they do."""
    for hook in module._forward_pre_hooks.values():
        for kind in inspect.getmro(type(hook)):
            if known := _KNOWN_HOOKS.get(f"{kind.__module__}.{kind.__qualname__}"):
                weight = getattr(hook, "name", None) or getattr(hook, "_tensor_name", "weight")
                what, cure = (text.format(weight) for text in known)
                yield f"{what}, which training would not follow; make the value its own first: torch.nn.utils.{cure}"
    for kind, hooks in (("pre-hook", module._forward_pre_hooks), ("hook", module._forward_hooks)):
        for hook in hooks.values():
            yield (
                f"has a forward {kind} ({_title(hook)}), which training does not run; take it off by the handle's "
                "remove(), or write what it does as a module"
            )


def _calls(module: nn.Module) -> Iterator[str]:
    if any(call in vars(module) for call in _CALLS):
        yield "has a `forward` that was set on the object, which training does not run; delete it: `del module.forward`"


def _computed_weights(module: nn.Module) -> Iterator[str]:
    conversion = conversion_of(type(module))
    if conversion is None or conversion.kind.role not in ("map", "normalisation"):
        return
    for name in ("weight", "bias"):
        value = getattr(module, name, None)
        if value is not None and module._parameters.get(name) is None:
            yield (
                f"has a `{name}` that is a {type(value).__name__} and no parameter, so that it cannot be trained; "
                f"make it one: module.{name} = nn.Parameter(module.{name}.detach().clone())"
            )


def _title(hook: Any) -> str:
    return getattr(hook, "__qualname__", type(hook).__qualname__)
