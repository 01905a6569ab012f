"""Backpropagation with any `torch.optim` optimiser, on the same network, data, batches and start: the yardstick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import number
from altmin.core.problem import Problem, trained
from altmin.layerwise.function import layer_functions
from altmin.methods.base import Method, Terms
from altmin.methods.registry import register_method
from altmin.online.forward_pass import forward_pass
from altmin.online.optimizers import OPTIMIZERS, PRESETS, DecayingOptimizer, Maker, check_optimizer, make_optimizer
from altmin.schedules import DECAYS, decay, epoch_decay
from altmin.sweep import Sweep, network_terms
from altmin.sweep.penalty import regularizer


@dataclass(frozen=True)
class Backprop(Method):
    """Minimise the mean loss of a batch plus ``sum Omega`` over ``N`` by backpropagation.

    Attributes:
        optimizer: A name (``"adam"``), a class, or a function of the parameters that returns an optimiser.
        lr: Learning rate; `None` takes the preset's, or else the name's or the class's default.
        preset: A paper whose baselines are run as it ran them (`altmin.online.optimizers.PRESETS`): its learning rate
            of that optimiser, and its batch size where none is named. Where it sums the loss over its one batch of all
            samples, so does this: multiplying the learning rate by ``N`` instead is the same for plain SGD alone.

    Class attributes:
        estimated: Whether sign and step have the straight-through estimator's derivative.
        autograd: Whether PyTorch's autograd finds the gradients.

    Raises:
        ValueError: An unknown name, or an optimiser that the preset's paper does not have.

    Deviations: the dlADMM paper does not say that its baselines sum the loss; its rate of SGD, 1e-6 for 200 full
    batches, trains nothing otherwise. A preset has no decay: the online paper allowed SGD one of 0.9 an epoch in its
    convolutional and recurrent networks, which `epoch_decay` says, but not whether the best runs had it. Adam's l1
    weight of 0.01 for 50 recurrent units is the problem's.

    Example:
        >>> Backprop("sgd", preset="ipdlam").default_batch
        512
    """

    online = True
    batched = True
    weighs = True
    cure = "a smaller `lr`"
    gradients = Gradients.BACKPROP
    unsupported = frozenset()
    estimated: ClassVar[bool] = False
    autograd: ClassVar[bool] = True

    optimizer: str | Maker = "adam"
    lr: float | None = number(None, "learning rate; none: the preset's or the optimiser's", above=0.0, optional=True)
    preset: str = number("none", "paper whose learning rate and batches are used", choices=("none", *PRESETS))
    decay: str = decay()
    epoch_decay: float = epoch_decay()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_optimizer(self.optimizer, self.preset)

    def check(self, problem: Problem) -> None:
        """Refuse constraints of the weights, which have no gradient."""
        super().check(problem)
        if problem.regularizer.constraint:
            name = type(self).__name__
            raise TypeError(f"{name} follows gradients, and {problem.regularizer!r} has none; OnlineAM projects")

    @property
    def default_batch(self) -> int | None:  # type: ignore[override]
        """The preset's batch size; 200 without one."""
        return PRESETS[self.preset].batch if self.preset in PRESETS else 200

    def init(self, sweep: Sweep[Any]) -> None:
        """The optimiser of the weights."""
        functions = trained(sweep.problem.layers, layer_functions(sweep.problem, sweep.state))
        params = [p for function in functions for p in function.params()]
        for p in params:
            p.requires_grad_(self.autograd)
        sweep.state.memory = DecayingOptimizer.of(make_optimizer(self.optimizer, params, self.lr, self.preset))

    def step(self, sweep: Sweep[DecayingOptimizer]) -> None:
        """One step of the optimiser; weights and running statistics are written in place."""
        self.set_rates(sweep)
        optimizer = sweep.memory.optimizer
        with torch.enable_grad():
            start = forward_pass(sweep, self.estimated)
            out = start.top
            out.track()
            sweep.note_outputs(out.z)
            samples = sweep.batch.size
            factor = samples if self.preset in PRESETS and PRESETS[self.preset].summed else 1
            loss = sweep.batch.loss(sweep.problem.loss, out.z) / (samples / factor)
            if sweep.problem.regularizer.curvature != 0.0:
                loss = loss + regularizer(sweep) * (factor / sweep.state.samples)
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()

    def set_rates(self, sweep: Sweep[DecayingOptimizer]) -> None:
        """The learning rates at this batch; without any decay they are the optimiser's own business."""
        if self.decay != "none" or self.epoch_decay != 1.0:
            state, fall = sweep.state, DECAYS[self.decay]
            sweep.memory.set_rates(self.epoch_decay**state.epoch * fall(sweep.batch.done, state.k))

    @torch.no_grad()
    def evaluate(self, sweep: Sweep[Any]) -> tuple[Terms, dict[str, Tensor]]:
        """The loss at the forward pass and the regulariser; there are no constraints."""
        return network_terms(sweep), {}


for _name in OPTIMIZERS:
    register_method(_name, Backprop(_name), title=f"backpropagation by {_name}", paper="torch.optim")
