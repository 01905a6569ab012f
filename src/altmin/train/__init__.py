"""Training: from samples to a history."""

from altmin.train.fit import fit
from altmin.train.fit_stream import fit_stream
from altmin.train.history import History
from altmin.train.loop import Callback
from altmin.train.options import FitOptions, LoopOptions, Options, StreamOptions, TrainerOptions
from altmin.train.trainer import Trainer

__all__ = [
    "Callback",
    "FitOptions",
    "History",
    "LoopOptions",
    "Options",
    "StreamOptions",
    "Trainer",
    "TrainerOptions",
    "fit",
    "fit_stream",
]
