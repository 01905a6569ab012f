"""What stands between an activation and the next map and has no weights: reshaping, pooling, dropout."""

from altmin.operations.base import Dropout, Flatten, LinearOperation, Mask, Operation, Unflatten
from altmin.operations.pooling import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "Dropout",
    "Flatten",
    "LinearOperation",
    "Mask",
    "MaxPool2d",
    "Operation",
    "Unflatten",
]
