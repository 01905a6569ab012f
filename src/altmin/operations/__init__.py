"""What stands between an activation and the next map and has no weights, one class a file: reshaping, pooling, dropout.

A class registers the PyTorch module that it stands for by `altmin.converts`.
"""

# The order of registration is that of the names in error messages.
# isort: off
from altmin.operations.base import LinearOperation, Operation
from altmin.operations.max_pooling import MaxPool2d
from altmin.operations.average_pooling import AdaptiveAvgPool2d, AvgPool2d
from altmin.operations.sequences import PooledSequences
from altmin.operations.flatten import Flatten
from altmin.operations.unflatten import Unflatten
from altmin.operations.dropout import Dropout, Mask
# isort: on

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "Dropout",
    "Flatten",
    "LinearOperation",
    "Mask",
    "MaxPool2d",
    "Operation",
    "PooledSequences",
    "Unflatten",
]
