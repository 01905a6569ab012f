"""Any optimiser of PyTorch on each layer's own objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from altmin.checks import number
from altmin.online.optimizers import Maker, check_optimizer, make_optimizer
from altmin.online.rules.gradient import GradientRule


@dataclass(frozen=True)
class OptimizerRule(GradientRule):
    """An optimiser of `torch.optim`, or of a user's own, on the layers' own objectives.

    It is handed each layer's gradient and sees no other layer, so that the method keeps its label. One code step hands
    gradients down whole, as for Adam; for gradient descent there is `SGD`.

    Attributes:
        kind: A name (`altmin.online.optimizers.OPTIMIZERS`), such as ``"adamw"`` or ``"muon"``, or a class or
            function that makes an optimiser of tensors; it is given ``lr=`` where `lr` is set.

    Raises:
        TypeError: Neither a name nor a function, or an optimiser that needs more than gradients.
        ValueError: An unknown name.

    Example:
        >>> from altmin import OnlineAM
        >>> rule = OptimizerRule(torch.optim.NAdam, lr=0.003)
        >>> OnlineAM(rule=rule, last=rule).rule.lr
        0.003
    """

    scale_free = True

    kind: str | Maker = "adamw"
    lr: float | None = number(None, "learning rate; none: the optimiser's own", above=0.0, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_optimizer(self.kind, name="kind")

    def optimizer(self, params: Sequence[Tensor]) -> torch.optim.Optimizer:
        """The optimiser of `params`."""
        return make_optimizer(self.kind, list(params), self.lr)
