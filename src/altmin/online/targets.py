"""What each layer learns from a batch once the codes are there: its own objective, and no other layer's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from torch import Tensor

from altmin.core.batch import Batch
from altmin.layerwise.function import LayerFunction, LayerValue
from altmin.maps import Recurrent
from altmin.online.codes import Codes
from altmin.online.forward_pass import ForwardPass, Moved
from altmin.online.recurrent_codes import unfolded


@dataclass(frozen=True)
class LayerGradient:
    """A layer's objective on a batch, at its present weights.

    Attributes:
        function: The layer.
        a: Its input.
        grads: The gradient, in the order of `LayerFunction.params`.
        omega_weight: The regulariser's weight beside this objective.
        sample_weight: What each sample of the batch counts by; `None` where each counts once.
    """

    function: LayerFunction
    a: Tensor
    grads: list[Tensor]
    omega_weight: float
    sample_weight: Tensor | None = None

    @property
    def inputs(self) -> Batch:
        """The layer's input as a batch, for sums over the samples."""
        return Batch(self.a, self.a, sample_weight=self.sample_weight)

    def gradient(self, first: bool = True) -> LayerGradient:
        """Itself: for where a target is asked for its gradient, and there is but one weight step."""
        return self


class LayerTarget(Protocol):
    """What a layer is to learn from a batch; the rules take no more of it than its gradient, or solve it."""

    def gradient(self, first: bool = True) -> LayerGradient:
        """The objective's gradient at the layer's present weights; the `first` time these are the forward pass's."""
        ...


@dataclass(frozen=True)
class SquaresTarget:
    """A hidden layer's regression, ``||C_l - W_l s(C_{l-1})||^2``.

    Attributes:
        function: The layer.
        a: Its input.
        target: What its value should be.
        value: Its value at the forward pass, where that was at this input.
        slope: The derivative of the objective is this times the residual.
        samples: What the samples of the batch count together.
        spread: What the regulariser is divided by beside this objective: ``mu N``.
        sample_weight: What each sample of the batch counts by; `None` where each counts once.
    """

    function: LayerFunction
    a: Tensor
    target: Tensor
    value: LayerValue | None
    slope: float
    samples: float
    spread: float
    sample_weight: Tensor | None = None

    @property
    def inputs(self) -> Batch:
        """The layer's input and its target as a batch, for sums over the samples."""
        return Batch(self.a, self.target, sample_weight=self.sample_weight)

    def gradient(self, first: bool = True) -> LayerGradient:
        """See `LayerTarget`."""
        value = self.value if self.value is not None and first else self.function(self.a)
        r = self.inputs.weighed((value.z - self.target).mul_(self.slope))
        return LayerGradient(self.function, self.a, value.to_params(r), 1.0 / self.spread, self.sample_weight)


@dataclass(frozen=True)
class LossTarget:
    """The last layer's mean loss.

    Attributes:
        start: The forward pass, which gives the loss.
        a: The layer's input.
        skip: What a residual connection adds to its value.
        value: Its value at the forward pass, where that was at this input.
        spread: What the regulariser is divided by beside this objective: ``N``.
    """

    start: ForwardPass
    a: Tensor
    skip: Tensor | None
    value: LayerValue | None
    spread: float

    def gradient(self, first: bool = True) -> LayerGradient:
        """See `LayerTarget`; running statistics of batch normalisation follow the batch."""
        value = self.value if self.value is not None and first else self.start.functions[-1](self.a, self.skip)
        value.track()
        batch = self.start.batch
        r = batch.weighed(self.start.loss.grad(value.z, batch.y)) / batch.size
        return LayerGradient(value.function, self.a, value.to_params(r), 1.0 / self.spread, batch.sample_weight)


@dataclass(frozen=True)
class BatchTargets:
    """What a batch gives the layers to learn, and what outlives it.

    Attributes:
        forward: The hidden layers' pre-activations, ``C^0``.
        outputs: The last layer's, the network's outputs.
        codes: The hidden layers' codes.
        power: The power iteration of the layer above each code, where code steps are relative to the curvature.
        layers: Each layer's target, first to last.
    """

    forward: list[Tensor]
    outputs: Tensor
    codes: list[Tensor]
    power: list[Tensor]
    layers: Sequence[LayerTarget]


def layer_targets(
    start: ForwardPass, codes: list[Tensor], settings: Codes, updated: bool, mu: float, samples: float
) -> list[SquaresTarget | LossTarget]:
    """Each layer's target, first to last.

    Args:
        start: The forward pass.
        codes: The codes found.
        settings: How they were found.
        updated: Whether weights learn from the updated codes below; else from the forward pass.
        mu: The penalty.
        samples: What those of the whole training set count together, which the regulariser is spread over.
    """
    inputs = start.regressors(codes) if updated and settings.steps else start.unmoved
    hidden = [_squares_target(start, codes, inputs, i, settings, mu * samples) for i in range(len(codes))]
    a, skip = start.input(len(codes), inputs), start.skip(len(codes), inputs)
    return [*hidden, LossTarget(start, a, skip, start.value_at(len(codes), inputs), samples)]


def _squares_target(
    start: ForwardPass, codes: list[Tensor], inputs: Moved, i: int, settings: Codes, spread: float
) -> SquaresTarget:
    function, target = start.functions[i], codes[i]
    a, skip = start.input(i, inputs), start.skip(i, inputs)
    value = start.value_at(i, inputs)
    if function.layer.map.recurrent:
        function, a, target = unfolded(function, cast(Recurrent, function.layer.map), a, target, settings)
        value = None
    elif skip is not None:
        target, value = target - skip, None
    batch, entries = start.batch, target[0].numel() if settings.scaling == "entries" else 1
    slope = settings.square_slope / (batch.size * entries)
    return SquaresTarget(function, a, target, value, slope, batch.size, spread, batch.sample_weight)
