"""Training: from samples to a history."""

from altmin.train.callback import Callback
from altmin.train.early_stopping import EarlyStopping
from altmin.train.fit import fit
from altmin.train.fit_stream import fit_stream
from altmin.train.history import History
from altmin.train.loggers import CSVLogger, JSONLinesLogger, TensorBoardLogger
from altmin.train.options import FitOptions, LoopOptions, Options, StreamOptions, TrainerOptions
from altmin.train.trainer import Trainer

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "FitOptions",
    "History",
    "JSONLinesLogger",
    "LoopOptions",
    "Options",
    "StreamOptions",
    "TensorBoardLogger",
    "Trainer",
    "TrainerOptions",
    "fit",
    "fit_stream",
]
