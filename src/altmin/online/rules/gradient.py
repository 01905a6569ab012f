"""Rules that move layers along their own gradients by an optimiser of PyTorch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from altmin.core.memory import Memory
from altmin.errors import absent
from altmin.layerwise.function import LayerFunction
from altmin.online.optimizers import DecayingOptimizer
from altmin.online.rules.base import StepRule
from altmin.online.targets import LayerGradient
from altmin.regularizers import Regularizer


@dataclass(eq=False)
class OptimizerMemory(Memory):
    """What an optimiser keeps.

    Attributes:
        decaying: The optimiser of the layers' parameters, with its rates; `None` where there are no layers.
        centres: Of each layer the parameters at the start, where a rule keeps them near.
    """

    decaying: DecayingOptimizer | None
    centres: list[list[Tensor]] = field(default_factory=list)

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """The optimiser of the layers' parameters."""
        return None if self.decaying is None else self.decaying.optimizer


class GradientRule(StepRule[OptimizerMemory]):
    """Layers' own objectives are descended along their gradients; the regulariser's prox stands behind each step.

    A subclass is a frozen dataclass that gives `optimizer`.
    """

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `params`."""
        raise absent(self, "optimizer")

    def at_depth(self, layers: int) -> Self:
        """The rule for a network of so many layers."""
        return self

    def init(self, functions: Sequence[LayerFunction]) -> OptimizerMemory:
        """One optimiser of all these layers."""
        params = [p for function in functions for p in function.params()]
        return self.at_depth(functions[0].depth).memory_of(params) if functions else OptimizerMemory(None)

    def memory_of(self, params: Sequence[Tensor]) -> OptimizerMemory:
        """One optimiser of these tensors, where there are any."""
        return OptimizerMemory(DecayingOptimizer.of(self.optimizer(params)) if params else None)

    def step(
        self, memory: OptimizerMemory, gradients: Sequence[LayerGradient], omega: Regularizer, factor: float = 1.0
    ) -> None:
        """One step of every layer, and the regulariser's prox behind it; weights are written in place.

        Args:
            memory: What `init` gave for these layers.
            gradients: The layers.
            omega: ``Omega``.
            factor: What the learning rate is multiplied by at present.
        """
        if memory.decaying is not None:
            memory.decaying.set_rates(factor)
            descend(memory.optimizer, [g for layer in gradients for g in layer.grads])
            shrink(omega, gradients, factor * memory.decaying.rates[0])


def descend(optimizer: torch.optim.Optimizer | None, grads: Sequence[Tensor]) -> None:
    """One step of the optimiser by gradients that were found without autograd; nothing where there is no optimiser."""
    if optimizer is not None:
        for p, g in zip(optimizer.param_groups[0]["params"], grads, strict=True):
            set_gradient(p, g)
        optimizer.step()


def set_gradient(p: Tensor, g: Tensor) -> None:
    """Give a parameter a gradient that lies in memory as it does: fused optimisers take no heed of strides."""
    p.grad = g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)


def shrink(omega: Regularizer, layers: Sequence[LayerGradient], lr: float) -> None:
    """The prox of ``lr omega_weight Omega`` behind a step, in place: a batch carries its share of ``Omega``."""
    if omega.curvature != 0.0:
        for layer in layers:
            layer.function.W.copy_(omega.prox(layer.function.W, 1.0 / (lr * layer.omega_weight)))
