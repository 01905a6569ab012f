"""How weights act on activations."""

from altmin.maps.linear import Linear, LinearMap

__all__ = ["Linear", "LinearMap"]
