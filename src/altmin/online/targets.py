"""What each layer learns from a batch once the codes are known: its own objective, and no other layer's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.layerwise.function import LayerFunction, LayerValue
from altmin.maps import Recurrent
from altmin.online.codes import Codes
from altmin.online.forward_pass import ForwardPass
from altmin.online.recurrent_codes import unfolded
from altmin.online.rules import LayerGradient


class LayerTarget(NamedTuple):
    """A hidden layer's regression: its block, the block's input and target, and its value where that is known."""

    block: LayerFunction
    a: Tensor
    target: Tensor
    known: LayerValue | None


@dataclass(frozen=True)
class LayerTargets:
    """The layers' objectives: ``||C_l - W_l s(C_{l-1})||^2`` of hidden ones, the mean loss of the last.

    Attributes:
        problem: Gives the loss.
        batch: The samples.
        passed: Their forward pass.
        codes: The codes found.
        settings: How they were found.
        updated: Whether weights learn from the updated codes below; else from the forward pass.
        mu: The penalty.
        count: Samples in all, which the regulariser is spread over.
    """

    problem: Problem
    batch: Batch
    passed: ForwardPass
    codes: list[Tensor]
    settings: Codes
    updated: bool
    mu: float
    count: int

    @cached_property
    def hidden(self) -> list[LayerTarget]:
        """The hidden layers' regressions."""
        return [self._goal(i) for i in range(len(self.codes))]

    def squares(self, first: bool) -> list[LayerGradient]:
        """The hidden layers' objectives at their present weights; the `first` time these are the forward pass's."""
        return [self._squares(goal, first) for goal in self.hidden]

    def loss(self, first: bool) -> LayerGradient:
        """The last layer's mean loss at its present weights."""
        a, over = self.passed.regressor(len(self.codes), self.codes, self.updated)
        known = first and a is self.passed.last[0] and (over is None or not self.updated)
        out = self.passed.top if known else self.passed.blocks[-1](a, over)
        out.track()
        r = self.problem.loss.grad(out.z, self.batch.y) / len(a)
        return LayerGradient(out.block, a, out.to_params(r), 1.0 / self.count)

    def _goal(self, i: int) -> LayerTarget:
        block, (a, over) = self.passed.blocks[i], self.passed.regressor(i, self.codes, self.updated)
        if isinstance(block.layer.map, Recurrent):
            return LayerTarget(*unfolded(block, block.layer.map, a, self.codes[i], self.settings), None)
        known = self.passed.hidden[i] if over is None and a is self.passed.hidden[i].a else None
        return LayerTarget(block, a, self.codes[i] if over is None else self.codes[i] - over, known)

    def _squares(self, goal: LayerTarget, first: bool) -> LayerGradient:
        out = goal.known if goal.known is not None and first else goal.block(goal.a)
        scale = goal.target.numel() if self.settings.scaling == "entries" else len(self.passed.x)
        r = (out.z - goal.target).mul_(self.settings.pull / scale)
        return LayerGradient(goal.block, goal.a, out.to_params(r), 1.0 / (self.mu * self.count))
