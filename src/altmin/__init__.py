"""Train neural networks by alternating minimisation instead of backpropagation."""

from altmin.audit import BackpropError, Gradients, no_backprop
from altmin.core.batch import Batch
from altmin.core.problem import Layer, Problem
from altmin.core.state import State
from altmin.errors import DataError, DivergenceError, InertiaWarning, PenaltyWarning, PrecisionWarning
from altmin.losses import CrossEntropy, Hinge, SquaredLoss, register_loss
from altmin.methods import (
    BCD,
    DLADMM,
    DLAM,
    DTP,
    IPDLAM,
    MAC,
    MDLAM,
    SGD,
    Adam,
    AMRidge,
    Backprop,
    Codes,
    Memory,
    Method,
    Mu,
    Newton,
    OnlineAM,
    ProxProp,
    StraightThrough,
    TaylorADMM,
)
from altmin.nn import Elman, Residual, Sign, Step
from altmin.registration import converts
from altmin.regularizers import L1, L2, register_regularizer
from altmin.train.fit import fit
from altmin.train.fit_stream import fit_stream
from altmin.train.history import History

__version__ = "0.1.0"

__all__ = [
    "BCD",
    "DLADMM",
    "DLAM",
    "DTP",
    "IPDLAM",
    "L1",
    "L2",
    "MAC",
    "MDLAM",
    "SGD",
    "AMRidge",
    "Adam",
    "Backprop",
    "BackpropError",
    "Batch",
    "Codes",
    "CrossEntropy",
    "DataError",
    "DivergenceError",
    "Elman",
    "Gradients",
    "Hinge",
    "History",
    "InertiaWarning",
    "Layer",
    "Memory",
    "Method",
    "Mu",
    "Newton",
    "OnlineAM",
    "PenaltyWarning",
    "PrecisionWarning",
    "Problem",
    "ProxProp",
    "Residual",
    "Sign",
    "SquaredLoss",
    "State",
    "Step",
    "StraightThrough",
    "TaylorADMM",
    "converts",
    "fit",
    "fit_stream",
    "no_backprop",
    "register_loss",
    "register_regularizer",
]
