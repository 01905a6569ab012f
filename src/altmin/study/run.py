"""One training run and its results, the same way for one method or for several on equal terms."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any, Literal

import torch
from torch import nn

import altmin
from altmin.audit import Gradients
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.data import Dataset, Split
from altmin.errors import DivergenceError
from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.precision import Precision
from altmin.study.checkpoint import Description
from altmin.train.fit import Callback, fit
from altmin.train.history import History
from altmin.train.inputs import Place, batch_of, check_batch_size, check_shapes
from altmin.train.score import Score, score

EPOCHS = {"ipdlam": 50, "dlam": 50}
"""Iterations by default of methods that need other numbers than their kind."""
BATCHED_EPOCHS, FULL_EPOCHS = 60, 200  # a pass over batches makes many steps, one over all samples a single one
REFUSED = (Gradients.STRAIGHT_THROUGH, Gradients.BACKPROP)
SMALL = 2**25  # multiplications in a product of matrices


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What every method of a comparison shares.

    Attributes:
        dataset: The samples.
        network: What is trained; its `loss` is replaced by the run's.
        loss: `None` stands for the loss of each method's paper, and for squared loss in regression.
        regularizer: As in `altmin.fit`.
        epochs: `None` stands for `EPOCHS`.
        batch_size: `None` stands for the method's default.
        keep: As in `altmin.fit`.
        seed: Of the network's start and of the batches.
        device: Where to train.
        threads: Of the CPU; `None` is one for products so small that threads only wait for each other, else as it is.
        precision: As in `altmin.fit`.
        audit: As in `altmin.fit`.
    """

    dataset: Dataset
    network: Description
    loss: str | None = None
    regularizer: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    keep: Literal["last", "best"] = "best"
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    precision: Precision | None = None
    audit: bool = False

    def loss_of(self, name: str) -> str:
        """The loss that the method `name` is trained with."""
        return self.loss or ("squared" if self.dataset.classes is None else METHODS[name].loss)

    def epochs_of(self, name: str) -> int:
        """The epochs that the method `name` is trained for."""
        usual = BATCHED_EPOCHS if METHODS[name].method.batched else FULL_EPOCHS
        return self.epochs or EPOCHS.get(name, usual)

    def threads_of(self, method: Method, problem: Problem) -> int:
        """The CPU threads that the method is trained with."""
        largest = max(prod(layer.map.shape) for layer in problem.layers)
        small = largest * check_batch_size(self.batch_size, method, len(self.dataset.train)) < SMALL
        return self.threads or (1 if small else torch.get_num_threads())

    def problem(self, name: str) -> Problem:
        """What the method `name` minimises; an error where network or loss do not fit the data."""
        model = self.network.build()
        problem = Problem.from_module(model, self.loss_of(name), self.regularizer)
        self._check_shapes(model, problem)
        if self.dataset.classes is None and not problem.loss.regression:
            raise ValueError(f"--loss {problem.loss.name} does not fit a target of numbers; use squared")
        return problem

    def check(self, name: str, method: Method, problem: Problem) -> None:
        """Raise what `fit` would about a method that does not support this problem, batch size or audit."""
        check_batch_size(self.batch_size, method, len(self.dataset.train))
        if self.audit and method.gradients in REFUSED:
            raise ValueError(f"--audit refuses {name}, whose label is {method.gradients.value!r}")
        method.check(problem)

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


@dataclass(frozen=True)
class Run:
    """One method's training.

    Attributes:
        name: The method's name in the registry.
        network: The description of `model`.
        model: With the weights that were kept.
        history: What was recorded.
        result: The run's entry in ``results.json``.
        error: Why training diverged, where it did.
    """

    name: str
    network: Description
    model: nn.Sequential
    history: History
    result: dict[str, Any]
    error: DivergenceError | None = None


def run(setup: Setup, name: str, method: Method, callbacks: Sequence[Callback] = ()) -> Run:
    """Train one method and measure it; divergence is a result, not an exception."""
    network = replace(setup.network, loss=setup.loss_of(name))
    model = network.build(setup.seed)
    problem = Problem.from_module(model, network.loss, setup.regularizer)
    last = _Last()
    error, data = None, setup.dataset
    threads = torch.get_num_threads()
    torch.set_num_threads(setup.threads_of(method, problem))
    try:
        history = fit(
            model,
            method,
            (data.train.x, data.train.y),
            loss=network.loss,
            regularizer=setup.regularizer,
            epochs=setup.epochs_of(name),
            batch_size=setup.batch_size,
            validation=(data.validation.x, data.validation.y),
            keep=setup.keep,
            callbacks=(last, *callbacks),
            generator=torch.Generator().manual_seed(setup.seed),
            device=setup.device,
            precision=setup.precision,
            audit=setup.audit,
        )
    except DivergenceError as diverged:
        history, error = diverged.history, diverged
    finally:
        torch.set_num_threads(threads)
    result = _entry(setup, name, method, problem, history) | _measures(setup, problem, model, history, last.state)
    return Run(name, network, model, history, result, error)


class _Last:
    """A callback that remembers the weights of the last iteration."""

    def __init__(self) -> None:
        self.state: State | None = None

    def __call__(self, history: History, state: State) -> None:
        self.state = state.weights()


def _entry(setup: Setup, name: str, method: Method, problem: Problem, history: History) -> dict[str, Any]:
    """What was run, in which circumstances, and how it went."""
    return {
        "method": name,
        "parameters": asdict(method),
        "data": setup.dataset.name,
        "model": setup.network.name,
        **setup.network.options,
        "widths": [setup.dataset.features, *(layer.map.outputs for layer in problem.layers)],
        "dtype": setup.network.dtype,
        "precision": setup.precision or setup.network.dtype,
        "loss": setup.loss_of(name),
        "regularizer": setup.regularizer or "none",
        "epochs": setup.epochs_of(name),
        "batch_size": check_batch_size(setup.batch_size, method, len(setup.dataset.train)),
        "train_samples": len(setup.dataset.train),
        "seed": setup.seed,
        "device": setup.device,
        "threads": setup.threads_of(method, problem),
        "audit": setup.audit,
        "versions": {
            "altmin": altmin.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "status": history.status,
        "iterations": len(history),
        "seconds": sum(history["seconds"]),
        "cpu_seconds": sum(history["cpu_seconds"]),
        "keep": setup.keep,
        "kept_iteration": (history.kept or {}).get("iteration"),
        "best_iteration": history.best,
        "objective": history["objective"],
    }


def _measures(
    setup: Setup, problem: Problem, model: nn.Sequential, history: History, last: State | None
) -> dict[str, float | None]:
    """Loss and accuracy on every split, of the kept weights and of the last iteration's."""
    kept = _scores(problem, State.from_module(model), setup.dataset, model)
    moved = last is not None and history.kept is not None and history.kept["iteration"] < len(history)
    final = _scores(problem, last, setup.dataset, model) if last is not None and moved else kept
    return kept | {f"last_{name}": value for name, value in final.items()}


def _scores(problem: Problem, state: State, data: Dataset, model: nn.Sequential) -> dict[str, float | None]:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    scores = {name: scored(problem, state, split, model) for name, split in parts.items()}
    return {f"{name}_{what}": getattr(s, what) for name, s in scores.items() for what in ("accuracy", "loss")}


def scored(problem: Problem, state: State, split: Split, model: nn.Sequential) -> Score:
    """Loss and accuracy of `state` on a split, where `model` lies."""
    like = next(model.parameters())
    batch, classes = batch_of("split", (split.x, split.y), problem, Place(like, move=True))
    return score(problem, state, batch, classes)
