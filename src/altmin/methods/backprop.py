"""Backpropagation with any `torch.optim` optimiser, on the same network, data, batches and start: the yardstick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from altmin.checks import number
from altmin.errors import nearest
from altmin.methods.base import Method
from altmin.problem import Batch, Problem
from altmin.regularizers import NoRegularizer
from altmin.solvers.blocks import blocks
from altmin.state import State, forward

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], float]] = {
    "sgd": (torch.optim.SGD, 0.1),
    "adagrad": (torch.optim.Adagrad, 0.01),
    "adadelta": (torch.optim.Adadelta, 1.0),
    "rmsprop": (torch.optim.RMSprop, 1e-3),
    "adam": (torch.optim.Adam, 1e-3),
    "adamw": (torch.optim.AdamW, 1e-3),
    "adamax": (torch.optim.Adamax, 2e-3),
    "nadam": (torch.optim.NAdam, 2e-3),
    "radam": (torch.optim.RAdam, 1e-3),
    "asgd": (torch.optim.ASGD, 0.01),
    "rprop": (torch.optim.Rprop, 0.01),
    "adafactor": (torch.optim.Adafactor, 0.01),
}


@dataclass(frozen=True)
class Trainer:
    """The optimiser, and the number of samples that a regulariser is spread over."""

    optimizer: torch.optim.Optimizer
    count: int


@dataclass(frozen=True)
class Backprop(Method):
    """Minimise the mean loss of a batch plus ``sum Omega`` over ``N`` by backpropagation.

    Attributes:
        optimizer: A name (``"adam"``), a class, or a function of the parameters that returns an optimiser.
        lr: Learning rate; `None` takes the name's preset or the class's default.
    """

    online = True
    batched = True
    default_batch = 200
    cure = "a smaller `lr`"

    optimizer: str | Callable[..., torch.optim.Optimizer] = "adam"
    lr: float | None = number(None, "learning rate; none: the optimiser's preset", above=0.0, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.optimizer, str) and not callable(self.optimizer):
            raise TypeError(f"`optimizer` must be a name, a class or a function, got {self.optimizer!r}")
        if self.optimizer in (torch.optim.LBFGS, torch.optim.SparseAdam):
            need = "a closure" if self.optimizer is torch.optim.LBFGS else "sparse gradients"
            raise TypeError(f"`optimizer`: {self.optimizer.__name__} needs {need}, which Backprop does not give")
        if isinstance(self.optimizer, str) and self.optimizer not in OPTIMIZERS:
            raise ValueError(f"unknown `optimizer` {self.optimizer!r}; {nearest(self.optimizer, list(OPTIMIZERS))}")

    def make(self, params: list[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `params`."""
        make: Any = self.optimizer
        lr = self.lr
        if isinstance(self.optimizer, str):
            make, preset = OPTIMIZERS[self.optimizer]
            lr = preset if lr is None else lr
        return make(params) if lr is None else make(params, lr=lr)

    def check(self, problem: Problem) -> None:
        """Everything is supported; activations without a derivative pass a zero gradient."""

    def init(self, problem: Problem, start: State, batch: Batch, generator: torch.Generator | None = None) -> State:
        """The weights, and the optimiser of them."""
        state = start.weights()
        params = [p.requires_grad_() for block in blocks(problem, state) for p in block.params()]
        return replace(state, extra=Trainer(self.make(params), batch.count))

    def step(self, problem: Problem, state: State, batch: Batch) -> State:
        """One step of the optimiser; weights and running statistics are written in place."""
        trainer: Trainer = state.extra
        with torch.enable_grad():
            a = batch.x
            for block, layer in zip(blocks(problem, state), problem.layers, strict=True):
                out = block(a)
                out.track()
                a = layer.activation(out.z)
            loss = problem.loss(a, batch.y) / len(a)
            if not isinstance(problem.regularizer, NoRegularizer):
                loss = loss + torch.stack([problem.regularizer(W) for W in state.W]).sum() / trainer.count
            trainer.optimizer.zero_grad()
            loss.backward()
        trainer.optimizer.step()
        return replace(state, k=state.k + 1, epoch=state.epoch + batch.ends_epoch)

    @torch.no_grad()
    def evaluate(self, problem: Problem, state: State, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The loss at the forward pass and the regulariser; there are no constraints."""
        loss = batch.sum(problem.loss(forward(problem, state, batch.x)[0][-1], batch.y))
        return {"loss": loss, "regularizer": torch.stack([problem.regularizer(W) for W in state.W]).sum()}, {}
