"""What batch methods keep of their schedules: dlADMM's penalty, which grows, and mDLAM's band."""

from __future__ import annotations

import math
from dataclasses import dataclass

from altmin.core.memory import Memory

PERIOD = 100  # iterations from one growth of rho to the next, as in the paper
RISES = 3  # of the loss in a row, after which rho grows, as in the authors' code


@dataclass(eq=False)
class Schedule(Memory):
    """What dlADMM keeps beside the variables; all but `rho` is for the adaptive schedule.

    Attributes:
        rho: The present penalty of the last layer.
        scale: What first trials of step sizes are multiplied by.
        loss: The network's loss after the last iteration.
        rises: How often it rose in a row.

    Example:
        >>> schedule = Schedule(rho=0.01)
        >>> schedule.count(100, most=0.1)
        >>> schedule.rho
        0.1
    """

    rho: float
    scale: float = 1.0
    loss: float = math.inf
    rises: int = 0

    def count(self, k: int, most: float) -> None:
        """The penalty of iteration `k`, from 0: tenfold after every hundred iterations, at most `most`."""
        if k % PERIOD == 0:
            self.rho = min(10 * self.rho, most)

    def watch(self, loss: float, most: float) -> None:
        """Penalty, at most `most`, and first trials grow tenfold where the network's loss rose three times in a row."""
        self.rises, self.loss = self.rises + 1 if loss > self.loss else 0, loss
        if self.rises == RISES:
            self.rho, self.scale, self.rises = min(10 * self.rho, most), 10 * self.scale, 0


@dataclass(eq=False)
class Band(Memory):
    """What mDLAM keeps beside the variables.

    Attributes:
        eps: Half-width of the band ``|A_l - s_l(Z_l)| <= eps``, of the widest where they differ.
        t: The acceleration's ``t_k``.
    """

    eps: float
    t: float = 1.0
