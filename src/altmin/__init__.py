"""Train neural networks by alternating minimisation instead of backpropagation."""

from altmin.errors import DataError, DivergenceError, InertiaWarning, PenaltyWarning
from altmin.fit import fit
from altmin.history import History
from altmin.losses import CrossEntropy, Hinge, SquaredLoss
from altmin.methods import (
    DLADMM,
    DLAM,
    IPDLAM,
    MDLAM,
    SGD,
    Adam,
    Backprop,
    Codes,
    Memory,
    Method,
    Mu,
    OnlineAM,
)
from altmin.modules import Sign, Step
from altmin.problem import Batch, Layer, Problem
from altmin.regularizers import L1, L2
from altmin.state import State

__version__ = "0.1.0"

__all__ = [
    "DLADMM",
    "DLAM",
    "IPDLAM",
    "L1",
    "L2",
    "MDLAM",
    "SGD",
    "Adam",
    "Backprop",
    "Batch",
    "Codes",
    "CrossEntropy",
    "DataError",
    "DivergenceError",
    "Hinge",
    "History",
    "InertiaWarning",
    "Layer",
    "Memory",
    "Method",
    "Mu",
    "OnlineAM",
    "PenaltyWarning",
    "Problem",
    "Sign",
    "SquaredLoss",
    "State",
    "Step",
    "fit",
]
