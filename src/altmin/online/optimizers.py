"""Optimisers of `torch.optim` by name, and how papers ran their baselines with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from altmin.core.memory import Memory
from altmin.errors import nearest
from altmin.online.muon import MuonWithAdam

Maker = Callable[..., torch.optim.Optimizer]

OPTIMIZERS: dict[str, tuple[Maker, float]] = {
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
    "muon": (MuonWithAdam, 5e-3),
}
"""Each name's optimiser and its default learning rate."""


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
"""The baselines of papers by name."""


@dataclass(eq=False)
class DecayingOptimizer(Memory):
    """An optimiser whose learning rates may fall over a run.

    Attributes:
        optimizer: The optimiser.
        rates: The learning rate of each of its groups at the start.
    """

    optimizer: torch.optim.Optimizer
    rates: list[float]

    @classmethod
    def of(cls, optimizer: torch.optim.Optimizer) -> DecayingOptimizer:
        """An optimiser at its start."""
        return cls(optimizer, [group["lr"] for group in optimizer.param_groups])

    def set_rates(self, factor: float) -> None:
        """Multiply the learning rates at the start by a factor, and have the optimiser use them."""
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = factor * rate


def check_optimizer(optimizer: str | Maker, preset: str = "none", name: str = "optimizer") -> None:
    """Refuse what is no optimiser, or is not the preset's.

    Args:
        optimizer: A name, a class, or a function of the parameters.
        preset: A paper whose learning rates are to be used, or another text for none.
        name: What the caller knows the optimiser as.

    Raises:
        TypeError: Neither a name nor a function, or an optimiser that needs what backpropagation does not give.
        ValueError: An unknown name, or an optimiser that the preset's paper does not have.
    """
    if not isinstance(optimizer, str) and not callable(optimizer):
        raise TypeError(f"`{name}` must be a name, a class or a function, got {optimizer!r}")
    if optimizer in (torch.optim.LBFGS, torch.optim.SparseAdam):
        need = "a closure" if optimizer is torch.optim.LBFGS else "sparse gradients"
        raise TypeError(f"`{name}`: {optimizer.__name__} needs {need}, which a layer's gradient is not")
    if isinstance(optimizer, str) and optimizer not in OPTIMIZERS:
        raise ValueError(f"unknown `{name}` {optimizer!r}; {nearest(optimizer, list(OPTIMIZERS))}")
    if preset in PRESETS and optimizer not in PRESETS[preset].rates:
        rates = ", ".join(PRESETS[preset].rates)
        raise ValueError(f"`preset` {preset!r} has learning rates of {rates}; got `{name}` {optimizer!r}")


def make_optimizer(
    optimizer: str | Maker, params: list[Tensor], lr: float | None, preset: str = "none"
) -> torch.optim.Optimizer:
    """The optimiser of some parameters.

    Args:
        optimizer: A name, a class, or a function of the parameters.
        params: What it moves.
        lr: Learning rate; `None` takes the preset's, or else the name's or the class's default.
        preset: A paper whose learning rate is used, or another text for none.
    """
    make: Any = optimizer
    if isinstance(optimizer, str):
        make, own = OPTIMIZERS[optimizer]
        rates = PRESETS[preset].rates if preset in PRESETS else {}
        lr = rates.get(optimizer, own) if lr is None else lr
    return make(params) if lr is None else make(params, lr=lr)
