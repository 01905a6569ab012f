"""What a layer's block updates read: variables, prediction, residual, and sums over the samples."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from altmin.core.batch import ALL
from altmin.core.forward import skip_value, stretches
from altmin.core.normalisation import per_channel
from altmin.core.variables import Variables
from altmin.solvers.statistics import Statistics, gram, statistics

if TYPE_CHECKING:
    from altmin.sweep.layer import LayerView
    from altmin.sweep.sweep import Sweep


class LayerReads:
    """A layer's variables and what follows from them. Residuals and predictions are fresh tensors.

    Args:
        sweep: What it belongs to.
        i: Which layer, from 0.
    """

    def __init__(self, sweep: Sweep[Any], i: int):
        self.sweep, self.i = sweep, i
        self.layer = sweep.problem.layers[i]
        self.map, self.activation = self.layer.map, self.layer.activation
        self.last = i + 1 == len(sweep.problem.layers)

    @property
    def W(self) -> Tensor:
        """The weights, as the matrix of least squares."""
        return self.sweep.state.W[self.i]

    @property
    def b(self) -> Tensor:
        """The intercept, ``(n_l,)``."""
        return self.sweep.state.b[self.i]

    @property
    def z(self) -> Tensor:
        """The pre-activations of the batch's samples."""
        return self._variable("z", self.i)

    @property
    def a(self) -> Tensor:
        """The activations of the batch's samples, in the last layer the output variable where there is one."""
        return self._variable("a", self.i)

    @property
    def has_a(self) -> bool:
        """Whether there is such a variable: in the last layer only where the method has an output variable."""
        return self.i < len(self.sweep.state.a)

    @property
    def outputs(self) -> Tensor:
        """What the loss stands on: the output variable where there is one, else ``Z_L``."""
        return self.a if self.has_a else self.z

    @property
    def input(self) -> Tensor:
        """``A_{l-1}``, for the first layer the data."""
        return self._variable("a", self.i - 1) if self.i else self.sweep.batch.x

    @property
    def above(self) -> LayerView:
        """The next layer.

        Raises:
            IndexError: This is the last one.
        """
        if self.last:
            raise IndexError(f"layer {self.i + 1} is the last: it has none `above`")
        return self.sweep.layers[self.i + 1]

    @property
    def c(self) -> float:
        """The weight of ``1/2 ||E_l||^2``."""
        return self.sweep.penalty.of(self.last)

    @property
    def d(self) -> float:
        """The weight of ``1/2 ||D_l||^2``."""
        return self.sweep.penalty.activation

    @property
    def u(self) -> Tensor | None:
        """The dual variable where it multiplies this layer's residual, else `None`."""
        return self.sweep.state.u if self.last and self.sweep.penalty.dual == "residual" else None

    def skipped_to(self, kind: Literal["z", "a"]) -> list[LayerView]:
        """The layers to whose pre-activation a residual connection adds ``Z_l`` or ``A_l``."""
        return [self.sweep.layers[j] for j in self.sweep.skip_targets.get((kind, self.i), [])]

    def skip(self, rows: slice = ALL) -> Tensor | None:
        """What a residual connection adds to the prediction."""
        value = skip_value(self.layer, self.sweep.batch.x, self.sweep.state.z, self.sweep.state.a)
        return None if value is None else value[rows]

    def prediction(self, rows: slice = ALL) -> Tensor:
        """``A_{l-1} W_l^T + b_l`` of some samples, and what a residual connection adds."""
        if self.i in self.sweep.products.layers:
            v = self.image(rows)
            v = v + per_channel(self.b, v)
        else:
            v = self.map(self.W, self.b, self.input[rows])
        skip = self.skip(rows)
        return v if skip is None else v.add_(skip)

    def residual(self, rows: slice = ALL) -> Tensor:
        """``E_l = Z_l - A_{l-1} W_l^T - b_l`` of some samples, less what a residual connection adds."""
        v = self.prediction(rows)
        return torch.sub(self.z[rows], v, out=v)

    def residual_at(self, a: Tensor, rows: slice = ALL) -> Tensor:
        """``E_l`` of some samples with `a` in the place of their input."""
        v = self.map(self.W, self.b, a)
        skip = self.skip(rows)
        v = v if skip is None else v.add_(skip)
        return torch.sub(self.z[rows], v, out=v)

    def force(self, rows: slice = ALL) -> Tensor:
        """``c_l E_l``, plus ``U`` in the last layer: minus the derivative of the objective in the prediction."""
        E = self.residual(rows).mul_(self.c)
        return E if self.u is None else E.add_(self.u[rows])

    def target(self, rows: slice = ALL) -> Tensor:
        """What weights and intercept have to explain: ``Z_l``, less a residual connection, plus ``U/c_L``."""
        skip, z = self.skip(rows), self.z[rows]
        z = z if skip is None else z - skip
        return z if self.u is None else torch.add(z, self.u[rows], alpha=1 / self.c)

    def image(self, rows: slice = ALL) -> Tensor:
        """``A_{l-1} W_l^T`` of some samples, which nobody may write into; kept for all of them."""
        return self.sweep.products.get(("image", self.i), self._image_version(), self._fill_image)[rows]

    def move_image(self, rows: slice, by: Tensor) -> None:
        """Add to ``A_{l-1} W_l^T``, where it is kept, what the layer makes of a movement of some of its inputs."""
        if self.i in self.sweep.products.layers:
            self.sweep.products.stored(("image", self.i))[rows] += by
            self.sweep.products.mark(("image", self.i), self._image_version())

    def gram(self) -> Tensor:
        """``A_{l-1}^T A_{l-1}`` of the layer's least-squares design, over all processes."""
        batch, version = self.sweep.batch, self._version("a", self.i - 1)
        return self.sweep.products.get(("gram", self.i), version, lambda _: gram(self.map, self.input, batch))

    def statistics(self) -> Statistics:
        """The sufficient statistics of ``W_l`` and ``b_l``, over all processes."""
        kind, source = self.layer.skip or ("a", -1)
        versions = self._version("a", self.i - 1), self._version("z", self.i), self._version(kind, source)

        def make(_: Statistics | None) -> Statistics:
            return statistics(self.map, self.input, self.target(), self.sweep.batch, self.gram())

        if self.u is not None:  # a part of the target, and it moves with every iteration
            return make(None)
        return self.sweep.products.get(("statistics", self.i), versions, make)

    def _variable(self, name: Literal["z", "a"], i: int) -> Tensor:
        """Layer `i`'s variable; `IndexError` where there is none."""
        group: Variables = getattr(self.sweep.state, name)
        if i < len(group):
            return group[i]
        if name == "a" and self.last and i == self.i:
            raise IndexError(f"layer {i + 1} is the last: it has no `a`; ask `layer.last` first")
        method, advice = type(self.sweep.method).__name__, "begin it with super().init(sweep)"
        raise IndexError(f"layer {i + 1} has no `{name}`: {method}.init left {len(group)} of them; {advice}")

    def _version(self, name: Literal["W", "z", "a"], i: int) -> Hashable:
        """The version of a variable; the data, activations of layer -1, never change."""
        group: Variables = getattr(self.sweep.state, name)
        return group.version(i) if i >= 0 else None

    def _image_version(self) -> Hashable:
        return self._version("a", self.i - 1), self._version("W", self.i)

    def _fill_image(self, outdated: Tensor | None) -> Tensor:
        value, a = torch.empty_like(self.z) if outdated is None else outdated, self.input
        for rows in stretches(value):
            value[rows] = self.map.product(self.W, a[rows])
        return value
