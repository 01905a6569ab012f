"""What online methods keep between batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from altmin.core.memory import Memory
from altmin.core.state import State
from altmin.online.codes import Mu
from altmin.online.rules import OptimizerMemory

TINY = 1e-30


@dataclass(eq=False)
class OnlineMemory(Memory):
    """What online alternating minimisation keeps between batches.

    Attributes:
        mu: The last batch's penalty, at first that of the first.
        rules: What each rule keeps, in the order of `OnlineAM.groups`.
        power: The power iteration of the layer above each code (`LayerFunction.power_iteration`); none before the
            first batch, and where code steps are not relative to the curvature.
        codes: Each hidden layer's code in the last batch.
        forward: Its forward value, which the code started from.
        epoch: The epoch that the last batch was of.
    """

    mu: float
    rules: list[Memory]
    power: list[Tensor] = field(default_factory=list)
    codes: list[Tensor] = field(default_factory=list)
    forward: list[Tensor] = field(default_factory=list)
    epoch: int = 0

    def update_mu(self, schedule: Mu, state: State[Any]) -> None:
        """The penalty of the batch to come: it grows behind every batch, and more where that ended an epoch."""
        if state.k > 0:
            self.mu = schedule.after(self.mu, state.epoch > self.epoch)
        self.epoch = state.epoch

    def moved(self) -> dict[str, Tensor]:
        """How far the last batch's codes moved from their forward values, relative to these, by name."""
        pairs = enumerate(zip(self.codes, self.forward, strict=True))
        return {f"C_{i + 1}": (c - c0).norm() / c0.norm().clamp_min(TINY) for i, (c, c0) in pairs}


@dataclass(eq=False)
class Inverses(Memory):
    """What difference target propagation keeps between batches.

    Attributes:
        V: The feedback maps' weights, ``(n_{l-1}, n_l)``, for the hidden layers ``l >= 2``.
        c: Their intercepts, ``(n_{l-1},)``.
        hidden: The hidden layers' optimiser.
        last: The last layer's optimiser.
        back: The feedback maps' optimiser.
        errors: ``||g_l(f_l(h)) - h|| / ||h||`` at the noisy `h` of the last batch.
    """

    V: list[Tensor]
    c: list[Tensor]
    hidden: OptimizerMemory
    last: OptimizerMemory
    back: OptimizerMemory
    errors: list[Tensor] = field(default_factory=list)
