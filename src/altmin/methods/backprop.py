"""Backpropagation with any `torch.optim` optimiser, on the same network, data, batches and start: the yardstick.

`PRESETS` has the learning rates of the papers' own baselines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from altmin.audit import Gradients
from altmin.checks import number
from altmin.core.batch import Batch
from altmin.core.objective import plain
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.cost import Product, adjoint, cross, image
from altmin.errors import nearest
from altmin.layerwise.function import blocks
from altmin.methods.base import Method
from altmin.online.forward_pass import encode
from altmin.schedules import DECAYS, decay

OPTIMIZERS: dict[str, tuple[Callable[..., torch.optim.Optimizer], float]] = {
    "sgd": (partial(torch.optim.SGD, fused=True), 0.1),
    "adagrad": (torch.optim.Adagrad, 0.01),
    "adadelta": (torch.optim.Adadelta, 1.0),
    "rmsprop": (torch.optim.RMSprop, 1e-3),
    "adam": (partial(torch.optim.Adam, fused=True), 1e-3),
    "amsgrad": (partial(torch.optim.Adam, amsgrad=True, fused=True), 1e-3),
    "adamw": (partial(torch.optim.AdamW, fused=True), 1e-3),
    "adamax": (torch.optim.Adamax, 2e-3),
    "nadam": (torch.optim.NAdam, 2e-3),
    "radam": (torch.optim.RAdam, 1e-3),
    "asgd": (torch.optim.ASGD, 0.01),
    "rprop": (torch.optim.Rprop, 0.01),
    "adafactor": (torch.optim.Adafactor, 0.01),
}


@dataclass(frozen=True)
class Preset:
    """How a paper ran its baselines.

    Attributes:
        rates: The learning rate of each optimiser.
        batch: Samples a batch; `None` for all.
        summed: Whether its loss is the sum over the batch, not the mean.
    """

    rates: dict[str, float]
    batch: int | None = 200
    summed: bool = False


_IPDLAM = ("sgd", "adagrad", "adadelta", "rmsprop", "adam", "amsgrad", "adamax")
PRESETS: dict[str, Preset] = {
    "ipdlam": Preset(dict.fromkeys(_IPDLAM, 1e-3), batch=512),
    "dladmm": Preset({"sgd": 1e-6, "adagrad": 1e-3, "adadelta": 0.1, "adam": 1e-3}, batch=None, summed=True),
    "online-am-mnist-100": Preset({"adam": 0.0210, "sgd": 0.2030}),
    "online-am-mnist-500": Preset({"adam": 0.0005, "sgd": 0.1497}),
    "online-am-cifar10-100": Preset({"adam": 0.0029, "sgd": 0.1500}),
    "online-am-cifar10-500": Preset({"adam": 0.0002, "sgd": 0.1428}),
    "online-am-higgs": Preset({"adam": 0.001, "sgd": 0.05}),
    "online-am-lenet5": Preset({"adam": 0.002, "sgd": 0.02}, batch=128),
    "online-am-rnn-15": Preset({"adam": 0.005, "sgd": 0.05}, batch=1024),
    "online-am-rnn-50": Preset({"adam": 0.005, "sgd": 0.005}, batch=1024),
}


@dataclass(frozen=True)
class Trainer:
    """The optimiser, its rates, the number of samples that a regulariser is spread over, and what draws the dropout."""

    optimizer: torch.optim.Optimizer
    rates: tuple[float, ...]
    count: int
    generator: torch.Generator | None = None


@dataclass(frozen=True)
class Backprop(Method):
    """Minimise the mean loss of a batch plus ``sum Omega`` over ``N`` by backpropagation.

    Attributes:
        optimizer: A name (``"adam"``), a class, or a function of the parameters that returns an optimiser.
        lr: Learning rate; `None` takes the preset's, or else the name's or the class's default.
        preset: A paper whose baselines are run as it ran them (`PRESETS`): its learning rate of that optimiser, and
            its batch size where `fit` is given none. Where it sums the loss over its one batch of all samples, so
            does this: multiplying the learning rate by ``N`` instead is the same for plain SGD alone.

    Raises:
        ValueError: An unknown name, or an optimiser that the preset's paper does not have.

    Deviations: the dlADMM paper does not say that its baselines sum the loss; its rate of SGD, 1e-6 for 200 full
    batches, trains nothing otherwise. SGD's rate may decay by 0.9 an epoch in the online paper's convolutional and
    recurrent networks, and does not here; Adam's l1 weight of 0.01 for 50 recurrent units is the problem's.
    """

    online = True
    batched = True
    cure = "a smaller `lr`"
    gradients = Gradients.BACKPROP
    lacks = frozenset()

    optimizer: str | Callable[..., torch.optim.Optimizer] = "adam"
    lr: float | None = number(None, "learning rate; none: the preset's or the optimiser's", above=0.0, optional=True)
    preset: str = number("none", "paper whose learning rate and batches are used", choices=("none", *PRESETS))
    decay: str = decay()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.optimizer, str) and not callable(self.optimizer):
            raise TypeError(f"`optimizer` must be a name, a class or a function, got {self.optimizer!r}")
        if self.optimizer in (torch.optim.LBFGS, torch.optim.SparseAdam):
            need = "a closure" if self.optimizer is torch.optim.LBFGS else "sparse gradients"
            raise TypeError(f"`optimizer`: {self.optimizer.__name__} needs {need}, which Backprop does not give")
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown `optimizer` {self.optimizer!r}; {nearest(self.optimizer, list(OPTIMIZERS))}")
        if self.paper is not None and self.optimizer not in self.paper.rates:
            known = ", ".join(self.paper.rates)
            raise ValueError(
                f"`preset` {self.preset!r} has learning rates of {known}; got `optimizer` {self.optimizer!r}"
            )

    @property
    def paper(self) -> Preset | None:
        """The preset."""
        return PRESETS.get(self.preset)

    @property
    def default_batch(self) -> int | None:  # type: ignore[override]
        """The preset's batch size; 200 without one."""
        return 200 if self.paper is None else self.paper.batch

    def make(self, params: list[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `params`."""
        make: Any = self.optimizer
        lr = self.lr
        if isinstance(self.optimizer, str):
            make, own = OPTIMIZERS[self.optimizer]
            rates = {} if self.paper is None else self.paper.rates
            lr = rates.get(self.optimizer, own) if lr is None else lr
        return make(params) if lr is None else make(params, lr=lr)

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and the optimiser of them."""
        state = start.weights()
        params = [p.requires_grad_() for block in blocks(problem, state) for p in block.params()]
        optimizer = self.make(params)
        rates = tuple(group["lr"] for group in optimizer.param_groups)
        return replace(state, extra=Trainer(optimizer, rates, batch.count, generator))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One step of the optimiser; weights and running statistics are written in place."""
        trainer: Trainer = state.extra
        self.set_rates(trainer, batch)
        with torch.enable_grad():
            passed = encode(self.differentiable(problem), state, batch.x, trainer.generator)
            out = passed.blocks[-1](*passed.last)
            out.track()
            share = len(out.z) if self.paper is not None and self.paper.summed else 1
            loss = problem.loss(out.z, batch.y) / (len(out.z) / share)
            if not problem.regularizer.is_zero:
                omega = torch.stack([problem.regularizer(W) for W in state.W]).sum()
                loss = loss + omega * (share / trainer.count)
            trainer.optimizer.zero_grad()
            loss.backward()
        trainer.optimizer.step()
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    def set_rates(self, trainer: Trainer, batch: Batch) -> None:
        """The learning rates at this batch; without a `decay` they are the optimiser's own business."""
        if self.decay != "none":
            for group, rate in zip(trainer.optimizer.param_groups, trainer.rates, strict=True):
                group["lr"] = DECAYS[self.decay](batch.done) * rate

    def products(self, problem: Problem, n: Sequence[int], samples: int) -> list[Product]:
        """A forward pass and a backward pass, which ends at the first layer's weights."""
        layers = range(len(n) - 1)
        return [p for i in layers for p in (image(i, n), cross(i, n))] + [adjoint(i, n) for i in layers[1:]]

    def differentiable(self, problem: Problem) -> Problem:
        """The problem whose graph is differentiated: the same values, the derivatives that the method wants."""
        return problem

    @torch.no_grad()
    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass and the regulariser; there are no constraints."""
        return plain(problem, state, batch), {}


@dataclass(frozen=True)
class StraightThrough(Backprop):
    """Backpropagation through `Sign` and `Step` as if they were hard tanh: the straight-through estimator.

    The forward pass is the network's own; where the derivative of ``sign z`` is asked for, it is 1 where
    ``|z| <= 1`` and 0 elsewhere, and that of ``step z = (1 + sign z)/2`` is half of it (Hubara et al., "Binarized
    neural networks", NeurIPS 2016; Bengio, Leonard and Courville, arXiv:1308.3432).

    Deviations: the network that Lee et al. (2015) and Choromanska et al. (2019) compare with keeps the derivative of
    a tanh in front of the sign and ignores the sign's; here there is no tanh, and hard tanh stands for both.
    """

    gradients = Gradients.STRAIGHT_THROUGH

    def check(self, problem: Problem) -> None:
        """Refuse networks without a `Sign` or `Step`."""
        super().check(problem)
        if all(layer.activation.differentiable for layer in problem.layers):
            raise TypeError(
                "StraightThrough needs a Sign or Step: without one it is plain backpropagation, use Backprop"
            )

    def differentiable(self, problem: Problem) -> Problem:
        """The problem with estimators in place of `Sign` and `Step`."""
        return problem.estimated()
