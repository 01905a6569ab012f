"""How weights act on activations."""

from altmin.maps.composed import Composed
from altmin.maps.conv import Conv2d
from altmin.maps.linear import Linear, LinearMap
from altmin.maps.recurrent import Recurrent

__all__ = ["Composed", "Conv2d", "Linear", "LinearMap", "Recurrent"]
