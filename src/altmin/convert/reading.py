"""Reading an `nn.Sequential`: from modules to layers.

A map (`Linear`, `Conv1d`, `Conv2d`, `Elman`) opens a layer; `BatchNorm` right behind it and an activation complete it.
Pooling, reshaping and dropout behind an activation belong to the next layer's map; dropout between a map and its
activation belongs to the activation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from altmin.activations import Activation, DropoutBefore, Identity
from altmin.convert.advice import advice_for
from altmin.convert.alterations import check_no_global_hooks, check_sequence, check_unaltered
from altmin.convert.probe import check_same_values
from altmin.convert.weights import is_frozen
from altmin.core.normalisation import Normalisation
from altmin.core.problem import Layer, Skip
from altmin.maps import Composed, LinearMap
from altmin.nn import Residual
from altmin.operations import Dropout, Operation
from altmin.registration import conversion_of, modules_of


def supported_modules() -> list[type[nn.Module]]:
    """The classes of modules that a network may hold: those that are registered, and those that give it its order."""
    own = [Residual, nn.Identity]
    return [*modules_of("map"), *modules_of("normalisation"), *modules_of("operation"), *own, *modules_of("activation")]


def supported() -> str:
    """The names of `supported_modules`, for errors."""
    return ", ".join(kind.__name__ for kind in supported_modules())


def layers_of(model: nn.Sequential) -> tuple[Layer, ...]:
    """The layers of a sequential model.

    Raises:
        TypeError: `model` is no `nn.Sequential`, or holds a module, or an order of modules, that is not supported, or
            one whose value is changed by hooks, by a `forward` of its own or by computed weights.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(
            f"`model` must be an nn.Sequential of {supported()}; got {type(model).__name__}{_inside(model)}"
        )
    name = f"`model` ({type(model).__name__})"
    check_no_global_hooks()
    check_unaltered(model, name)
    check_sequence(model, name)
    reader = _Reader(next(model.parameters(), torch.empty(0)))
    reader.read_all(model, "")
    return reader.layers()


@dataclass
class _Found:
    """A layer that is being read."""

    map: LinearMap
    norm: Normalisation | None = None
    activation: Activation | None = None
    skip: Skip | None = None
    frozen: bool = False

    @property
    def core(self) -> LinearMap:
        return self.map.core if isinstance(self.map, Composed) else self.map


class _Reader:
    """Reads modules in turn."""

    def __init__(self, like: Tensor) -> None:
        self.like = like
        self.found: list[_Found] = []
        self.pending: list[Operation] = []
        self.fresh = False  # whether the module before is a map
        self.seen: set[int] = set()

    def layers(self) -> tuple[Layer, ...]:
        if not self.found:
            raise TypeError("`model` has no Linear layer: there is nothing to train")
        last = self.found[-1]
        if last.activation is not None or self.pending:
            raise TypeError(
                "the last Linear must have no activation, pooling or dropout behind it: leave it out, the loss takes"
                " the outputs as they are (a sigmoid is a part of binary_cross_entropy)"
            )
        if last.core.sample_size is None:
            raise TypeError(f"the last module with weights must be a Linear, got {type(last.core).__name__}")
        if all(f.frozen for f in self.found):
            raise TypeError("`model` has frozen weights alone (requires_grad=False): there is nothing to train")
        return tuple(Layer(f.map, f.activation or Identity(), f.norm, f.skip, f.frozen) for f in self.found)

    def read_all(self, model: nn.Sequential, prefix: str) -> None:
        for place, module in enumerate(model):
            name = f"module {prefix}{place} ({type(module).__name__})"
            try:
                self.read(module, name, f"{prefix}{place}.")
            except ValueError as error:
                raise TypeError(f"{name}: {error}") from error

    def read(self, module: nn.Module, name: str, prefix: str) -> None:
        check_unaltered(module, name)
        if type(module) is nn.Sequential:
            self.read_all(module, prefix)
        elif type(module) is Residual:
            self.residual(module, name, prefix)
            self.fresh = False
        elif type(module) is not nn.Identity:
            self.registered(module, name)

    def registered(self, module: nn.Module, name: str) -> None:
        conversion = conversion_of(type(module))
        if isinstance(module, nn.Softmax | nn.LogSoftmax):
            raise TypeError(
                f"{name}: leave it out, the softmax is a part of cross_entropy; outputs are taken as they are"
            )
        if conversion is None:
            raise TypeError(f"{name} is not supported here; {advice_for(module, supported_modules())}")
        role: str = conversion.kind.role
        take: dict[str, Callable[[Any, nn.Module, str], None]] = {
            "map": self.map,
            "normalisation": self.norm,
            "operation": self.operation,
            "activation": self.activation,
        }
        if role in ("map", "normalisation"):
            self.check_own(module, name)
        take[role](conversion.of(module), module, name)
        self.fresh = role == "map"

    def map(self, core: Any, module: nn.Module, name: str) -> None:
        """Take a map, which opens a layer; a recurrence too, though it answers fewer questions."""
        if core.recurrent and (self.found or self.pending):
            raise TypeError(f"{name} must be the first module: it takes the data")
        self.check_width(core, name)
        whole = Composed(tuple(self.pending), core) if self.pending else core
        self.found.append(_Found(whole, frozen=is_frozen(module, name)))
        self.pending = []

    def check_own(self, module: nn.Module, name: str) -> None:
        own = {id(p) for p in module.parameters()}
        if own & self.seen:
            raise TypeError(f"{name} shares its weights with a module before it")
        self.seen |= own

    def check_width(self, core: Any, name: str) -> None:
        """Compare with the map before, where nothing between reshapes."""
        below = self.found[-1].core if self.found else None
        if below is None or below.outputs == core.inputs or not all(f.keeps_width for f in self.pending):
            return
        unit = "channels" if core.sample_size is None else "features"
        raise TypeError(
            f"{name} takes {core.inputs} {unit}, the {type(below).__name__} before it gives {below.outputs}"
        )

    def norm(self, norm: Normalisation, module: Any, name: str) -> None:
        if not self.fresh or type(module) not in self.found[-1].core.normalised_by:
            raise TypeError(f"{name} must stand right after a {_normalised_by(type(module))}")
        width = self.found[-1].map.outputs
        if norm.width(module) != width:
            below = type(self.found[-1].core).__name__
            raise TypeError(f"{name} takes {norm.width(module)} features, the {below} before it gives {width}")
        if is_frozen(module, name) != self.found[-1].frozen:
            below = type(self.found[-1].core).__name__
            raise TypeError(f"{name} and the {below} before it must both be frozen (requires_grad=False), or neither")
        self.found[-1].norm = norm

    def operation(self, operation: Operation, module: nn.Module, name: str) -> None:
        # Rows stay rows, and the data are flattened before a Linear anyway.
        rows = not self.pending and (not self.found or self.found[-1].core.sample_size is not None)
        if not (rows and operation.idle_on_rows):
            self.pending.append(operation)

    def activation(self, s: Activation, module: nn.Module, name: str) -> None:
        check_same_values(s, module, self.like)
        if self.found and len(self.pending) == 1 and isinstance(self.pending[0], Dropout):
            s = DropoutBefore(self.pending[0].p, s)
            self.pending = []
        if not self.found or self.found[-1].activation is not None or self.pending:
            raise TypeError(
                f"{name} must stand after a Linear, Conv1d, Conv2d or Elman, one for each, before any pooling"
            )
        self.found[-1].activation = s

    def residual(self, module: Residual, name: str, prefix: str) -> None:
        """The layers inside; the last of them gets the connection."""
        if self.pending:
            raise TypeError(f"{name} must not stand right after pooling, reshaping or dropout")
        source, first = len(self.found) - 1, len(self.found)
        raw = bool(self.found) and self.found[source].activation is None
        self.fresh = False
        self.read_all(module, prefix)
        inside = self.found[first:]
        bent = len(inside) > 1 or (raw and self.found[source].activation is not None)
        if self.pending or not inside or inside[-1].activation is not None or not bent:
            raise TypeError(f"{name} must have an activation inside and end with a map, such as Residual(ReLU, Linear)")
        if inside[-1].skip is not None:
            raise TypeError(f"{name} must not end with another Residual")
        if source >= 0 and self.found[source].core.recurrent:
            raise TypeError(f"{name} must not stand right after an Elman")
        inside[-1].skip = Skip("z" if raw else "a", source)


def _normalised_by(kind: type[nn.Module]) -> str:
    """The names of the modules that this normalisation may stand behind."""
    maps = {module: conversion_of(module) for module in modules_of("map")}
    return " or ".join(m.__name__ for m, c in maps.items() if c is not None and kind in c.kind.normalised_by)


def _inside(model: object) -> str:
    """Advice for a module that wraps a network, as those of `torch.compile` and `nn.DataParallel` do."""
    inside = model.named_children() if isinstance(model, nn.Module) else ()
    return next((f"; hand in its `{name}`" for name, child in inside if isinstance(child, nn.Sequential)), "")
