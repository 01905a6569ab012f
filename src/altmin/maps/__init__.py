"""How weights act on activations."""

from altmin.maps.composed import Composed
from altmin.maps.conv import Conv2d
from altmin.maps.linear import Linear, LinearMap
from altmin.maps.operations import Dropout, Flatten, Mask, Operation, Unflatten
from altmin.maps.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from altmin.maps.recurrent import Recurrent

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "Composed",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "LinearMap",
    "Mask",
    "MaxPool2d",
    "Operation",
    "Recurrent",
    "Unflatten",
]
