"""Losses, one class a file: value (a sum over samples), gradient, prox (P2), and the targets that they want.

Targets are encoded once, by `Loss.encode`, into a tensor of the outputs' shape: one-hot rows for squared loss and
cross-entropy, the label for one output, -1/+1 for hinge. A class gets its name from `altmin.register_loss`.
"""

# The order of registration is that of the names on the command line and of the tables in the documentation.
# isort: off
from altmin.losses.base import LOSSES, Loss, make_loss, one_hot, register_loss
from altmin.losses.cross_entropy import CrossEntropy
from altmin.losses.squared import SquaredLoss
from altmin.losses.hinge import Hinge
from altmin.losses.binary_cross_entropy import BinaryCrossEntropy
# isort: on

__all__ = [
    "LOSSES",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Hinge",
    "Loss",
    "SquaredLoss",
    "make_loss",
    "one_hot",
    "register_loss",
]
