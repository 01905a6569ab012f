"""What is minimised, and over which samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeVar

from altmin.activations import Activation
from altmin.core.normalisation import Normalisation
from altmin.losses import CrossEntropy, Loss
from altmin.maps import LinearMap
from altmin.registration import kinds_registered
from altmin.regularizers import NoRegularizer, Regularizer

T = TypeVar("T")


class Skip(NamedTuple):
    """Where a residual connection comes from: ``Z`` or ``A`` of a layer below; ``A`` of layer -1 is the data."""

    kind: Literal["z", "a"]
    layer: int

    @property
    def feature(self) -> str:
        """The name under which a method may refuse it."""
        return "residual connections"


def trained(layers: Sequence[Layer], of_layers: Sequence[T]) -> list[T]:
    """Of what belongs to each layer in turn that which belongs to layers that are not frozen.

    Example:
        >>> from altmin.activations import Identity
        >>> from altmin.maps import Linear
        >>> trained([Layer(Linear(1, 1), Identity(), frozen=True), Layer(Linear(1, 1), Identity())], ["W_1", "W_2"])
        ['W_2']
    """
    return [own for layer, own in zip(layers, of_layers, strict=True) if not layer.frozen]


def known_features() -> set[str]:
    """The names by which methods may refuse layers (`Layer.features`), as far as they are registered by now."""
    return {Skip("z", 0).feature, *(kind.feature for kind in kinds_registered() if kind.feature is not None)}


@dataclass(frozen=True)
class Layer:
    """An affine map, a normalisation where there is any, and the activation behind it.

    Attributes:
        map: With the pooling, reshaping and dropout before it. A `Recurrent` stands here too, for methods that ask.
        activation: With the dropout before it.
        norm: The normalisation of the map's value.
        skip: What is added to the pre-activation, behind the normalisation.
        frozen: Whether its weights stay as they are, as those of a module without `requires_grad` do.

    Example:
        >>> from altmin.activations import ReLU
        >>> from altmin.maps import Linear
        >>> Layer(Linear(4, 3), ReLU()).random
        False
    """

    map: LinearMap
    activation: Activation
    norm: Normalisation | None = None
    skip: Skip | None = None
    frozen: bool = False

    @property
    def random(self) -> bool:
        """Whether there is dropout."""
        return self.map.random or self.activation.random

    @property
    def features(self) -> tuple[str, ...]:
        """Names of what not every method supports, as map, normalisation, activation and connection name it."""
        whole = tuple(part.feature for part in (self.norm, self.skip) if part is not None)
        return tuple(dict.fromkeys((*self.map.features, *whole, *self.activation.features)))


@dataclass(frozen=True)
class Problem:
    """``min R(f(X); Y) + sum_l Omega(W_l)`` for a network `f` of layers.

    Attributes:
        layers: From the input to the output; the last one's activation is the identity.
        loss: ``R``, a sum over samples.
        regularizer: ``Omega``, the same for every layer.

    Example:
        >>> from altmin.activations import Identity, ReLU
        >>> from altmin.maps import Linear
        >>> Problem((Layer(Linear(4, 3), ReLU()), Layer(Linear(3, 2), Identity()))).outputs
        2
    """

    layers: tuple[Layer, ...]
    loss: Loss = field(default_factory=CrossEntropy)
    regularizer: Regularizer = field(default_factory=NoRegularizer)

    def estimated(self) -> Problem:
        """The same with the straight-through estimator's derivative at every sign and step."""
        layers = tuple(replace(layer, activation=layer.activation.estimated()) for layer in self.layers)
        return replace(self, layers=layers)

    @property
    def inputs(self) -> int | None:
        """The numbers that a flat sample has; `None` where the network takes images or sequences."""
        return self.layers[0].map.sample_size

    @property
    def outputs(self) -> int:
        """Width of the output."""
        return self.layers[-1].map.outputs
