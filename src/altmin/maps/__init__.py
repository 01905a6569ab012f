"""How weights act on activations, one class a file; `altmin.converts` registers a class for a PyTorch module."""

from altmin.maps.base import LinearMap, Map, MapAt
from altmin.maps.composed import Composed
from altmin.maps.conv import Conv1d, Conv2d
from altmin.maps.linear import Linear
from altmin.maps.recurrent import Recurrent

__all__ = ["Composed", "Conv1d", "Conv2d", "Linear", "LinearMap", "Map", "MapAt", "Recurrent"]
