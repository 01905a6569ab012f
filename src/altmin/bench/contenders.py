"""Who is timed: the library's methods as `fit` runs them, and Adam as plain PyTorch has it fastest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.onednn import largest_weights
from altmin.precision import computing
from altmin.study.setup import Setup
from altmin.train.options import Options
from altmin.train.trainer import Trainer

FORMS: tuple[Literal["fused", "foreach"], ...] = ("fused", "foreach")
ADAM = "torch.optim.Adam"


class Contender(Protocol):
    """What can be timed.

    Attributes:
        name: What its row is called.
        batch_size: Samples a step.
    """

    name: str
    batch_size: int

    def epoch(self) -> None:
        """One pass over the samples: many steps on batches, or one on all samples."""
        ...


class Trained:
    """A method of the library: the steps of an epoch, as `fit` makes them, and nothing else of `fit`."""

    def __init__(self, name: str, method: Method, setup: Setup) -> None:
        options: dict[str, Any] = setup.of(Options) | {"loss": setup.loss_of(name)}
        self._trainer = Trainer(setup.network.build(setup.seed), method, **options)
        self._samples = setup.dataset.train.x, setup.dataset.train.y
        self.name = " ".join([name, *changed(method, METHODS[name].method)])
        self.batch_size = setup.batch_size_of(method)

    def epoch(self) -> None:
        """One pass."""
        self._trainer.epoch(*self._samples, self.batch_size)


class TorchAdam:
    """The yardstick: the same network in plain PyTorch, its Adam in one of its fast forms, samples held in memory.

    Its products are made by the library that makes those of the methods.
    """

    def __init__(self, form: Literal["fused", "foreach"], batch_size: int, setup: Setup) -> None:
        train = setup.dataset.train
        self.name, self.batch_size = f"{ADAM}, {form}", batch_size
        self._x, self._y = train.x.to(setup.device), train.y.to(setup.device)
        self._model = setup.network.build(setup.seed).to(setup.device)
        self._optimizer = torch.optim.Adam(
            self._model.parameters(), lr=1e-3, fused=form == "fused", foreach=form == "foreach"
        )
        self._loss = nn.CrossEntropyLoss() if setup.dataset.classes is not None else nn.MSELoss()
        self._generator = torch.Generator().manual_seed(setup.seed)

    def epoch(self) -> None:
        """One pass."""
        with computing(None, self._x.device, largest_weights(self._model)):
            for x, y in self._batches():
                self._optimizer.zero_grad()
                self._loss(self._model(x), y).backward()
                self._optimizer.step()

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y, n = self._x, self._y, len(self._x)
        if self.batch_size == n:
            yield x, y
            return
        for rows in torch.randperm(n, generator=self._generator).to(x.device).split(self.batch_size):
            yield x.index_select(0, rows), y.index_select(0, rows)


def changed(method: object, usual: object, path: str = "") -> list[str]:
    """The numbers of a method that are not the usual ones, as the command line names them."""
    if type(method) is not type(usual) or not is_dataclass(method):
        return [] if method == usual else [f"{path}={method}"]
    names = (field.name for field in fields(method))
    return [
        text
        for name in names
        for text in changed(getattr(method, name), getattr(usual, name), f"{path}.{name}" if path else name)
    ]


def line_up(plan: dict[str, tuple[Setup, Method]]) -> list[Contender]:
    """The methods of `plan`, and Adam in both forms for every batch size that they have."""
    methods: list[Contender] = [Trained(name, method, setup) for name, (setup, method) in plan.items()]
    any_setup, _ = next(iter(plan.values()))
    sizes = dict.fromkeys(contender.batch_size for contender in methods)
    return [TorchAdam(form, size, any_setup) for size in sizes for form in FORMS] + methods
