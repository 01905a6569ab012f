"""What the methods of a comparison share: data, network and the options of training."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from altmin.audit import Gradients
from altmin.convert import problem_of
from altmin.core.problem import Problem
from altmin.data import Dataset
from altmin.diagnostics import require_penalty
from altmin.methods import Method
from altmin.methods.registry import METHODS, listed
from altmin.study.description import NetworkDescription
from altmin.study.machine import most_threads
from altmin.train.inputs import SampleReader, check_batch_size, check_shapes
from altmin.train.option_field import check_positive, option, restated
from altmin.train.options import FitOptions
from altmin.train.place import Place

BATCHED_EPOCHS, FULL_EPOCHS = 60, 100  # a pass over batches makes many steps, one over all samples a single one
REFUSED = (Gradients.STRAIGHT_THROUGH, Gradients.BACKPROP)
SMALL = 2**25  # multiplications in a product of matrices


def usual_epochs() -> str:
    """The epochs of each method where none are named, in words."""
    named = [f"{e.name} {e.epochs}" for e in listed() if e.epochs is not None]
    return ", ".join([f"none: {BATCHED_EPOCHS}", f"full-batch methods {FULL_EPOCHS}", *named])


def _check_threads(name: str, value: int) -> None:
    check_positive(name, value)
    if value > most_threads():
        raise ValueError(f"`{name}` must be at most {most_threads()}, four for each CPU of this machine, got {value}")


@dataclass(frozen=True, kw_only=True)
class Setup(FitOptions):
    """The options of `altmin.fit`, where `None` leaves the choice to each method, and what goes with them.

    The data set's validation samples stand for `validation`, and the seed is the network's, too.

    Attributes:
        dataset: The samples.
        network: What is trained; its `loss` is replaced by the run's.
        seed: Of the network's start and of the batches.
        start: The folder of a network whose weights come first; `None` for those that the seed draws.
        preset: The exhibit that the options came from, which is noted in the results; `None` where they came from none.
        memory: Bytes that the run was found to need, which are noted in the results; `None` where nobody has tried.
        threads: Of the CPU; `None` is one for products so small that threads only wait for each other, else as it is.
    """

    dataset: Dataset
    network: NetworkDescription
    loss: str | None = restated(  # type: ignore[assignment]
        FitOptions, "loss", None, "none: as in the method's paper, squared in regression"
    )
    epochs: int | None = restated(FitOptions, "epochs", None, usual_epochs)  # type: ignore[assignment]
    keep: Literal["last", "best"] = restated(FitOptions, "keep", "best")
    device: str = restated(FitOptions, "device", "cpu")
    seed: int = 0
    start: Path | None = None
    preset: str | None = None
    memory: int | None = None
    threads: int | None = option(
        "of the CPU; none: one for small products, else PyTorch's choice",
        default=None,
        check=_check_threads,
        flag=int | None,
    )

    def check_together(self) -> None:
        """The best weights are chosen on validation samples, which not every split of a data set has."""
        if self.keep == "best" and not len(self.dataset.validation):
            raise ValueError(
                f"{self.dataset.name} holds no validation samples to choose weights by; ask for `keep` = last"
            )

    def loss_of(self, name: str) -> str:
        """The loss that the method `name` is trained with."""
        return self.loss or ("squared" if self.dataset.classes is None else METHODS[name].loss)

    def epochs_of(self, name: str) -> int:
        """The epochs that the method `name` is trained for."""
        usual = BATCHED_EPOCHS if METHODS[name].method.batched else FULL_EPOCHS
        return self.epochs or METHODS[name].epochs or usual

    def batch_size_of(self, method: Method) -> int:
        """The samples of a step of the method."""
        return check_batch_size(self.batch_size, method, len(self.dataset.train))

    def threads_of(self, method: Method, problem: Problem) -> int:
        """The CPU threads that the method is trained with."""
        largest = max(prod(layer.map.shape) for layer in problem.layers)
        small = largest * self.batch_size_of(method) < SMALL
        return self.threads or (1 if small else torch.get_num_threads())

    def options_of(self, name: str) -> dict[str, Any]:
        """What `altmin.fit` is called with for the method `name`, callbacks aside."""
        validation = self.dataset.validation
        chosen = {
            "loss": self.loss_of(name),
            "epochs": self.epochs_of(name),
            "validation": (validation.x, validation.y) if len(validation) else None,
        }
        return self.of(FitOptions) | chosen

    def problem(self, name: str) -> Problem:
        """What the method `name` minimises; an error where network or loss do not fit the data."""
        model = self.network.build()
        problem = problem_of(model, self.loss_of(name), self.regularizer)
        self._check_shapes(model, problem)
        if self.dataset.classes is None and not problem.loss.regression:
            raise ValueError(f"--loss {problem.loss.name} does not fit a target of numbers; use squared")
        return problem

    def check(self, name: str, method: Method, problem: Problem) -> None:
        """Raise what `fit` would about a method that does not support this problem, batch size or audit."""
        self.batch_size_of(method)
        if self.audit and method.gradients in REFUSED:
            raise ValueError(f"--audit refuses {name}, whose label is {method.gradients.value!r}")
        for name_of, given in (("diagnose", self.diagnose), ("tol", self.tol is not None)):
            if given:
                require_penalty(method, name_of)
        method.check(problem)

    def check_samples(self, name: str) -> None:
        """Raise what training by the method `name`, or scoring it in the end, would about samples of any split."""
        model, data = self.network.build(), self.dataset
        problem = problem_of(model, self.loss_of(name))
        reader = SampleReader(model, problem, Place.of(model, None, None))
        for part in ("train", "validation", "test"):
            split = getattr(data, part)
            if part == "validation" and not len(split):
                continue
            reader.read(f"{part} samples of {data.name}", (split.x, split.y))

    def _check_shapes(self, model: nn.Sequential, problem: Problem) -> None:
        """Compare the network's ends with the data; a user's own knows nothing of them."""
        data = self.dataset
        ends = {
            "takes {} features": (problem.inputs, data.features),
            "gives {} outputs": (problem.outputs, data.outputs),
        }
        for what, (own, given) in ends.items():
            if own not in (None, given):
                raise ValueError(f"{self.network.name} {what.format(own)}, but {data.name} has {given}")
        check_shapes(data.name, data.train.x, model, problem)
