"""When an estimator's training ends before its last iteration."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from altmin.train import History


@dataclass
class Stopping:
    """Ends training when a figure has not risen by more than `tol` for `patience` iterations.

    Attributes:
        tol: What counts as a rise.
        patience: How many iterations without one end training.
        figure: Gives the figure of the last record.
    """

    tol: float
    patience: int
    figure: Callable[[History], float]
    best: float = field(default=-math.inf, init=False)
    waited: int = field(default=0, init=False)

    def __call__(self, history: History, state: Any) -> bool:
        """Whether it is time to end."""
        now = self.figure(history)
        self.waited = 0 if now > self.best + self.tol else self.waited + 1
        self.best = max(self.best, now)
        return self.waited >= self.patience
