"""What every method is: a frozen dataclass of checked numbers with `init`, `step` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import Checked
from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.cost import Cost, Product, widths


@dataclass(frozen=True)
class Method(Checked):
    """A training method: data only; all it remembers between steps is in the state.

    Class attributes:
        online: Whether a step needs nothing of samples outside its batch, so that no per-sample variable is kept.
        batched: Whether `step` takes a part of the data; where it does not, an epoch is one step on all samples.
        default_batch: Samples a batch where the user names none; `None` for all.
        cure: What to try when training diverges.
        gradients: What it uses gradients for.
        lacks: The parts of networks that it does not support (`Layer.features`).
        quadratic: Whether the regulariser must be none or l2.
    """

    online: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    default_batch: ClassVar[int | None] = None
    cure: ClassVar[str] = "smaller steps"
    gradients: ClassVar[Gradients] = Gradients.NONE
    lacks: ClassVar[frozenset[str]] = frozenset({"batch normalisation", "dropout", "Elman"})
    quadratic: ClassVar[bool] = False

    def check(self, problem: Problem) -> None:
        """Raise `TypeError` where the method does not support a part of the problem."""
        for i, layer in enumerate(problem.layers):
            for part in layer.features:
                if part in self.lacks:
                    raise TypeError(f"{type(self).__name__} does not support {part} (layer {i + 1}); OnlineAM does")
        omega = problem.regularizer
        if self.quadratic and omega.curvature is None:
            name = type(self).__name__
            raise TypeError(f"{name} supports the regularisers none and l2, got {omega!r}; IPDLAM takes l1")

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The first state, from the weights of `start` and all samples in `batch`.

        Args:
            problem: What is minimised.
            start: Weights, as from `State.from_module`; copied, not changed.
            batch: All samples of this process.
            generator: For methods that draw random numbers.
        """
        raise NotImplementedError

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One iteration on `batch`. Per-sample tensors of `state` may be written in place."""
        raise NotImplementedError

    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The objective's terms by name, whose sum is the objective, and the residuals by name."""
        raise NotImplementedError

    def objective(self, problem: Problem, state: State, batch: Batch) -> Tensor:
        """What the method minimises, at `state`, over all samples of `batch`; a scalar."""
        return torch.stack(list(self.evaluate(problem, state, batch)[0].values())).sum()

    def residuals(self, problem: Problem, state: State, batch: Batch) -> dict[str, Tensor]:
        """How far the constraints are from holding, by name."""
        return self.evaluate(problem, state, batch)[1]

    def cost(self, problem: Problem, samples: int) -> Cost:
        """What an iteration costs (of an online method: a batch), in the long run, on one process.

        Args:
            problem: A network of linear layers.
            samples: ``N``, no fewer than any layer is wide.

        Raises:
            TypeError: Another network, or a method or a regulariser for which the count depends on the data.
        """
        return Cost(samples, tuple(self.products(problem, widths(problem), samples)))

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """The matrix products over the samples in an iteration; `n` holds ``n_0 .. n_L``, `samples` is ``N``."""
        name = type(self).__name__
        raise TypeError(f"{name} has no cost model: how many products it makes depends on the data")

    def scalars(self, state: State) -> dict[str, float]:
        """Numbers of the method that change from iteration to iteration, for the record."""
        return {}

    def finish(self, problem: Problem, state: State, batch: Batch) -> State:
        """What is done once, after training, to the state that is kept."""
        return state
