"""Regularisers of the weights, one class a file: value and prox.

A class gets its name from `altmin.register_regularizer`; text such as ``"l1:1e-4"`` is its name and its numbers.
"""

# The order of registration is that of the names in error messages.
# isort: off
from altmin.regularizers.base import REGULARIZERS, Regularizer, make_regularizer, register_regularizer
from altmin.regularizers.none import NoRegularizer
from altmin.regularizers.l1 import L1
from altmin.regularizers.l2 import L2
from altmin.regularizers.group import GroupSparsity
from altmin.regularizers.nonnegative import Nonnegative
from altmin.regularizers.box import Box
from altmin.regularizers.binary import Binary
# isort: on

__all__ = [
    "L1",
    "L2",
    "REGULARIZERS",
    "Binary",
    "Box",
    "GroupSparsity",
    "NoRegularizer",
    "Nonnegative",
    "Regularizer",
    "make_regularizer",
    "register_regularizer",
]
