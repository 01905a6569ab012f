"""What every method is: a frozen dataclass of checked numbers with `init`, `step` and `evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import Checked
from altmin.core.forward import start_forward
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.errors import absent
from altmin.methods.definition import check_definition
from altmin.regularizers import L1
from altmin.solvers.backtracking import Backtracking
from altmin.sweep import Penalty, Sweep, penalty_terms

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Method(Checked):
    """A training method: data only; all that it remembers between steps is in the state.

    The defaults of `init` and `evaluate` are those of the penalty family: a method of it gives `penalty` and `step`.

    Class attributes:
        online: Whether a step needs nothing of samples outside its batch, so that no per-sample variable is kept.
        batched: Whether `step` takes a part of the data; where it does not, an epoch is one step on all samples.
        default_batch: Samples a batch where the user names none; `None` for all.
        cure: What to try when training diverges.
        gradients: What it uses gradients for.
        unsupported: The features of networks that it does not take (`Layer.features`).
        quadratic: Whether the regulariser must be none or l2.
        sparse: Whether it may then be l1 as well.
        discrete: Whether weights may be held in a finite set, between whose points small steps do not lead.
        differentiable: Whether activations must have a derivative, which sign and step have not.
        weighs: Whether its sums over samples count each by its weight (`Batch.weighed`), so that samples may have such.
        monotone: Whether activations must not fall anywhere, as GELU, SiLU and Mish do.
        reuse: How often a step asks again for the prediction of the first, of a hidden, and of the last layer, while
            nothing that it is made of has changed; where that is not zero, such predictions are kept.

    Example:
        >>> @dataclass(frozen=True)
        ... class LastLayerOnly(Method):
        ...     def penalty(self, sweep):
        ...         return Penalty(linear=1.0, activation=1.0)
        ...
        ...     def step(self, sweep):
        ...         sweep.layers[-1].solve_z()
        ...         sweep.layers[-1].solve_weights()
        >>> LastLayerOnly().gradients.value
        'no gradients at all'
    """

    online: ClassVar[bool] = False
    batched: ClassVar[bool] = False
    default_batch: ClassVar[int | None] = None
    cure: ClassVar[str] = "smaller steps"
    gradients: ClassVar[Gradients] = Gradients.NONE
    unsupported: ClassVar[frozenset[str]] = frozenset(
        {"batch normalisation", "layer or group normalisation", "dropout", "Elman"}
    )
    quadratic: ClassVar[bool] = False
    sparse: ClassVar[bool] = False
    discrete: ClassVar[bool] = False
    differentiable: ClassVar[bool] = False
    weighs: ClassVar[bool] = False
    monotone: ClassVar[bool] = False
    reuse: ClassVar[tuple[int, int, int]] = (0, 0, 0)

    def __post_init__(self) -> None:
        check_definition(type(self), frozenset(Method.__annotations__))
        super().__post_init__()

    def check(self, problem: Problem) -> None:
        """Refuse a problem that the method does not support.

        Raises:
            TypeError: A feature of a layer, or a regulariser; the message names it and a method that takes it.
        """
        name = type(self).__name__
        for i, layer in enumerate(problem.layers):
            for feature in layer.features:
                if feature in self.unsupported:
                    raise TypeError(f"{name} does not support {feature} (layer {i + 1}); OnlineAM does")
            s = type(layer.activation.without_dropout()).__name__
            if self.differentiable and not layer.activation.differentiable:
                raise TypeError(f"{name} needs activations with a derivative, {s} (layer {i + 1}) has none; DLADMM can")
            if self.monotone and not layer.activation.monotone:
                raise TypeError(f"{name} needs activations that never fall, {s} (layer {i + 1}) does; DLADMM can")
        omega = problem.regularizer
        if omega.discrete and not (self.discrete or self.quadratic):
            raise TypeError(f"{name} takes small steps, by which weights of {omega!r} never change; IPDLAM can")
        if self.quadratic and omega.curvature is None and not (self.sparse and isinstance(omega, L1)):
            known, advice = "none, l1 and l2" if self.sparse else "none and l2", "IPDLAM takes any with a prox"
            raise TypeError(f"{name} supports the regularisers {known}, got {omega!r}; {advice}")

    def init(self, sweep: Sweep[Any]) -> None:
        """Give a state that has weights what else the method needs: by default ``Z`` and ``A`` by a forward pass.

        Args:
            sweep: Its state has the weights, the number of samples and the generator, and is changed in place; its
                batch holds all samples of this process.
        """
        start_forward(sweep.problem, sweep.state, sweep.batch.x)

    def step(self, sweep: Sweep[Any]) -> None:
        """One iteration on the samples of `sweep`, whose state is changed in place; the driver counts it."""
        raise absent(self, "step")

    def penalty(self, sweep: Sweep[Any]) -> Penalty:
        """The present weights of the penalty objective, for methods of that family."""
        raise absent(self, "penalty", "a method without a penalty objective gives `evaluate`")

    def search(self, sweep: Sweep[Any]) -> Backtracking:
        """Where searches for step sizes start; by default each begins at the exact quotient."""
        return Backtracking()

    def evaluate(self, sweep: Sweep[Any]) -> tuple[Terms, dict[str, Tensor]]:
        """The objective's terms by name, whose sum is the objective, and the residuals by name.

        Records may ask it of some of the samples in the place of all: ``sweep.state`` has the variables of these, and
        ``sweep.batch.sum`` makes up for the others, as it adds up over processes.
        """
        return penalty_terms(sweep)

    def objective(self, sweep: Sweep[Any]) -> Tensor:
        """What the method minimises, over the samples of `sweep`; a scalar."""
        return torch.stack(list(self.evaluate(sweep)[0].values())).sum()

    def residuals(self, sweep: Sweep[Any]) -> dict[str, Tensor]:
        """How far the constraints are from holding, by name."""
        return self.evaluate(sweep)[1]

    def scalars(self, state: State[Any]) -> dict[str, float]:
        """Numbers of the method that change from iteration to iteration, for the record."""
        return {}

    def finish(self, sweep: Sweep[Any]) -> None:
        """What is done once, after training, to the state that is kept."""
