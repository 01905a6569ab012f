"""Train neural networks by alternating minimisation instead of backpropagation."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from altmin import methods
from altmin.audit import BackpropError, Gradients, no_backprop
from altmin.convert import problem_of, state_of
from altmin.core.batch import Batch
from altmin.core.memory import Memory
from altmin.core.problem import Layer, Problem
from altmin.core.state import State
from altmin.errors import (
    CheckpointError,
    CheckpointWarning,
    ConversionWarning,
    DataError,
    DivergenceError,
    InertiaWarning,
    LeakWarning,
    LemmaWarning,
    PenaltyWarning,
    PrecisionWarning,
    ScaleWarning,
)
from altmin.losses import BinaryCrossEntropy, CrossEntropy, Hinge, SquaredLoss, register_loss
from altmin.methods import *
from altmin.nn import Elman, Residual, Sign, Step
from altmin.registration import converts
from altmin.regularizers import L1, L2, register_regularizer
from altmin.sweep import Penalty, Sweep
from altmin.train import (
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    JSONLinesLogger,
    TensorBoardLogger,
    Trainer,
    fit,
    fit_stream,
)

if TYPE_CHECKING:
    from altmin.estimators import AltMinClassifier, AltMinRegressor

__version__ = "0.1.0"

__all__ = [
    "L1",
    "L2",
    "AltMinClassifier",
    "AltMinRegressor",
    "BackpropError",
    "Batch",
    "BinaryCrossEntropy",
    "CSVLogger",
    "Callback",
    "CheckpointError",
    "CheckpointWarning",
    "ConversionWarning",
    "CrossEntropy",
    "DataError",
    "DivergenceError",
    "EarlyStopping",
    "Elman",
    "Gradients",
    "Hinge",
    "History",
    "InertiaWarning",
    "JSONLinesLogger",
    "Layer",
    "LeakWarning",
    "LemmaWarning",
    "Memory",
    "Penalty",
    "PenaltyWarning",
    "PrecisionWarning",
    "Problem",
    "Residual",
    "ScaleWarning",
    "Sign",
    "SquaredLoss",
    "State",
    "Step",
    "Sweep",
    "TensorBoardLogger",
    "Trainer",
    "converts",
    "fit",
    "fit_stream",
    "no_backprop",
    "problem_of",
    "register_loss",
    "register_regularizer",
    "state_of",
]
__all__ += methods.__all__


def __getattr__(name: str) -> Any:
    """The estimators, made known when they are asked for: scikit-learn takes a second to import."""
    if name not in ("AltMinClassifier", "AltMinRegressor"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("altmin.estimators"), name)
