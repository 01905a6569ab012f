"""What is minimised, and over which samples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from altmin.activations import Activation, DropoutBefore, estimated
from altmin.losses import CrossEntropy, Loss
from altmin.maps import Composed, Conv2d, LinearMap, Recurrent
from altmin.regularizers import NoRegularizer, Regularizer


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation after a layer's map: its numbers, as in `torch.nn.BatchNorm1d`."""

    eps: float = 1e-5
    momentum: float = 0.1


class Skip(NamedTuple):
    """Where a residual connection comes from: ``Z`` or ``A`` of a layer below; ``A`` of layer -1 is the data."""

    kind: Literal["z", "a"]
    layer: int


@dataclass(frozen=True)
class Layer:
    """An affine map, batch normalisation where there is any, and the activation behind it.

    Attributes:
        map: With the pooling, reshaping and dropout before it. A `Recurrent` stands here too, for methods that ask.
        activation: With the dropout before it.
        norm: Batch normalisation of the map's value.
        skip: What is added to the pre-activation, behind the normalisation.
    """

    map: LinearMap
    activation: Activation
    norm: BatchNorm | None = None
    skip: Skip | None = None

    @property
    def random(self) -> bool:
        """Whether there is dropout."""
        inside = isinstance(self.map, Composed) and self.map.random
        return inside or isinstance(self.activation, DropoutBefore)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports."""
        core = self.map.core if isinstance(self.map, Composed) else self.map
        there = {
            "Conv2d": isinstance(core, Conv2d),
            "Elman": isinstance(core, Recurrent),
            "pooling or reshaping": isinstance(self.map, Composed) and self.map.shaping,
            "batch normalisation": self.norm is not None,
            "dropout": self.random,
            "residual connections": self.skip is not None,
        }
        return tuple(name for name, present in there.items() if present)


@dataclass(frozen=True)
class Problem:
    """``min R(f(X); Y) + sum_l Omega(W_l)`` for a network `f` of layers.

    Attributes:
        layers: From the input to the output; the last one's activation is the identity.
        loss: ``R``, a sum over samples.
        regularizer: ``Omega``, the same for every layer.
    """

    layers: tuple[Layer, ...]
    loss: Loss = field(default_factory=CrossEntropy)
    regularizer: Regularizer = field(default_factory=NoRegularizer)

    def estimated(self) -> Problem:
        """The same with the straight-through estimator's derivative at every sign and step."""
        layers = tuple(replace(layer, activation=estimated(layer.activation)) for layer in self.layers)
        return replace(self, layers=layers)

    @property
    def inputs(self) -> int | None:
        """The numbers that a flat sample has; `None` where the network takes images or sequences."""
        return self.layers[0].map.features

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.layers[-1].map.outputs
