"""What every rule is: how the weights of layers move, each on its own objective."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from altmin.checks import Checked
from altmin.core.memory import Memory
from altmin.core.problem import Problem
from altmin.errors import absent
from altmin.layerwise.function import LayerFunction
from altmin.online.targets import LayerGradient, LayerTarget
from altmin.regularizers import Regularizer

M = TypeVar("M", bound=Memory)


class Rule(Checked, Generic[M]):
    """How the weights of layers move on their own objectives; subclasses are frozen dataclasses of numbers.

    Class attributes:
        follows_gradients: Whether it takes a layer's gradient, as batch normalisation and compiled steps ask for.
        scale_free: Whether it takes no account of how long that is (`altmin.Codes.for_rule`).
    """

    follows_gradients: ClassVar[bool] = False
    scale_free: ClassVar[bool] = False

    def check(self, problem: Problem) -> None:
        """Refuse what the rule does not support.

        Raises:
            TypeError: A regulariser, or a feature of a layer; the message names it.
        """

    def init(self, functions: Sequence[LayerFunction]) -> M:
        """What the rule keeps between batches of these layers, at the start."""
        raise absent(self, "init")

    def learn(
        self, memory: M, targets: Sequence[LayerTarget], omega: Regularizer, steps: int = 1, factor: float = 1.0
    ) -> None:
        """Move every layer on its objective; weights and memory are written in place.

        Args:
            memory: What `init` gave for these layers.
            targets: What each of them is to learn.
            omega: ``Omega``.
            steps: How many steps, for rules that follow gradients.
            factor: What the learning rate is multiplied by at present.
        """
        raise absent(self, "learn")


class StepRule(Rule[M]):
    """A rule that follows the gradients of the layers' objectives: it gives `init` and `step`.

    The last layer takes such a rule, since its objective is no least-squares problem.
    """

    follows_gradients = True

    def learn(
        self, memory: M, targets: Sequence[LayerTarget], omega: Regularizer, steps: int = 1, factor: float = 1.0
    ) -> None:
        """So many steps of all layers, each along the gradients at the weights of the one before."""
        for k in range(steps):
            self.step(memory, [target.gradient(first=k == 0) for target in targets], omega, factor)

    def step(self, memory: M, gradients: Sequence[LayerGradient], omega: Regularizer, factor: float = 1.0) -> None:
        """One step of every layer along its gradient, and the regulariser's share; all is written in place.

        Args:
            memory: What `init` gave for these layers.
            gradients: Of each layer.
            omega: ``Omega``.
            factor: What the learning rate is multiplied by at present.
        """
        raise absent(self, "step")
