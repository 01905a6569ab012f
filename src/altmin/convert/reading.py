"""Reading an `nn.Sequential`: from modules to layers.

A map (`Linear`, `Conv2d`, `Elman`) opens a layer; `BatchNorm` right behind it and an activation complete it. Pooling,
reshaping and dropout behind an activation belong to the next layer's map; dropout between a map and its activation
belongs to the activation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

from torch import nn

from altmin import maps, operations
from altmin.activations import Activation, DropoutBefore, Identity
from altmin.convert.translation import ACTIVATIONS, MAPS, NORMS, OPERATIONS, SUPPORTED
from altmin.core.problem import BatchNorm, Layer, Skip
from altmin.maps import Composed, LinearMap
from altmin.nn import Elman, Residual
from altmin.operations import Operation


def layers_of(model: nn.Sequential) -> tuple[Layer, ...]:
    """The layers of a sequential model.

    Raises:
        TypeError: `model` is no `nn.Sequential`, or holds a module, or an order of modules, that is not supported.
    """
    if not isinstance(model, nn.Sequential):
        raise TypeError(f"`model` must be an nn.Sequential of {SUPPORTED}; got {type(model).__name__}")
    reader = _Reader()
    reader.read_all(model, "")
    return reader.layers()


@dataclass
class _Found:
    """A layer that is being read."""

    map: LinearMap
    norm: BatchNorm | None = None
    activation: Activation | None = None
    skip: Skip | None = None

    @property
    def core(self) -> LinearMap:
        return self.map.core if isinstance(self.map, Composed) else self.map


class _Reader:
    """Reads modules in turn."""

    def __init__(self) -> None:
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
                "the last Linear must have no activation, pooling or dropout behind it: the loss takes its"
                " outputs as they are"
            )
        if not isinstance(last.core, maps.Linear):
            raise TypeError(f"the last module with weights must be a Linear, got {type(last.core).__name__}")
        return tuple(Layer(f.map, f.activation or Identity(), f.norm, f.skip) for f in self.found)

    def read_all(self, model: nn.Sequential, prefix: str) -> None:
        for place, module in enumerate(model):
            name = f"module {prefix}{place} ({type(module).__name__})"
            try:
                self.read(module, name, f"{prefix}{place}.")
            except ValueError as error:
                raise TypeError(f"{name}: {error}") from error

    def read(self, module: nn.Module, name: str, prefix: str) -> None:
        kind = type(module)
        if kind is nn.Sequential:
            self.read_all(cast(nn.Sequential, module), prefix)
            return
        if kind is Residual:
            self.residual(cast(Residual, module), name, prefix)
        elif kind in MAPS:
            self.map(module, name)
        elif kind in NORMS:
            self.norm(cast(nn.BatchNorm1d, module), name)
        elif kind in OPERATIONS:
            self.operation(module)
        elif kind in ACTIVATIONS:
            self.activation(module, name)
        elif kind is not nn.Identity:
            raise TypeError(f"{name} is not supported here; supported are {SUPPORTED}")
        self.fresh = kind in MAPS or (self.fresh and kind is nn.Identity)

    def map(self, module: nn.Module, name: str) -> None:
        self.check_own(module, name)
        core: Any = MAPS[type(module)](module)  # Recurrent too, though it answers fewer questions
        self.check_width(core, name)
        if type(module) is Elman and (self.found or self.pending):
            raise TypeError(f"{name} must be the first module: it takes the data")
        self.found.append(_Found(Composed(tuple(self.pending), core) if self.pending else core))
        self.pending = []

    def check_own(self, module: nn.Module, name: str) -> None:
        own = {id(p) for p in module.parameters()}
        if own & self.seen:
            raise TypeError(f"{name} shares its weights with a module before it")
        self.seen |= own

    def check_width(self, core: Any, name: str) -> None:
        """Compare with the map before, where nothing between reshapes."""
        below = self.found[-1].core if self.found else None
        reshaped = any(isinstance(f, operations.Flatten | operations.Unflatten) for f in self.pending)
        if below is None or reshaped or below.outputs == core.inputs:
            return
        unit = "features" if isinstance(core, maps.Linear) else "channels"
        raise TypeError(
            f"{name} takes {core.inputs} {unit}, the {type(below).__name__} before it gives {below.outputs}"
        )

    def norm(self, module: nn.BatchNorm1d, name: str) -> None:
        wanted = NORMS[type(module)]
        if not self.fresh or not isinstance(self.found[-1].core, wanted):
            raise TypeError(f"{name} must stand right after a {wanted.__name__}")
        if not module.affine or not module.track_running_stats or module.momentum is None:
            raise TypeError(f"{name} must be affine and track running statistics with a fixed momentum")
        width = self.found[-1].map.outputs
        if module.num_features != width:
            raise TypeError(
                f"{name} takes {module.num_features} features, the {wanted.__name__} before it gives {width}"
            )
        self.check_own(module, name)
        self.found[-1].norm = BatchNorm(module.eps, module.momentum)

    def operation(self, module: nn.Module) -> None:
        operation = OPERATIONS[type(module)](module)
        # Rows stay rows, and the data are flattened before a Linear anyway.
        flat = not self.pending and (not self.found or isinstance(self.found[-1].core, maps.Linear))
        if not (flat and isinstance(operation, operations.Flatten)):
            self.pending.append(operation)

    def activation(self, module: nn.Module, name: str) -> None:
        between = len(self.pending) == 1 and isinstance(self.pending[0], operations.Dropout)
        if not self.found or self.found[-1].activation is not None or (self.pending and not between):
            raise TypeError(
                f"{name} must stand after a Linear, Conv2d or Elman, one activation for each, before any pooling"
            )
        s = ACTIVATIONS[type(module)](module)
        if between:
            s = DropoutBefore(cast(operations.Dropout, self.pending.pop()).p, s)
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
        if source >= 0 and isinstance(self.found[source].core, maps.Recurrent):
            raise TypeError(f"{name} must not stand right after an Elman")
        inside[-1].skip = Skip("z" if raw else "a", source)
