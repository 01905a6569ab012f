"""One training run and its results, the same way for one method or for several on equal terms."""

from __future__ import annotations

import csv
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

import altmin
from altmin.checkpoint import Description, replacing, write_json
from altmin.data import Dataset, Split
from altmin.diagnostics import Score, score
from altmin.errors import DivergenceError
from altmin.fit import Callback, fit
from altmin.history import History, Record, finite, flat
from altmin.inputs import batch_of, check_batch_size
from altmin.methods import Method
from altmin.problem import Problem
from altmin.registry import METHODS
from altmin.state import State

EPOCHS = {"ipdlam": 50, "dlam": 50, "mdlam": 200, "dladmm": 200}
"""Iterations by default; a pass of an online method makes many steps, one of the others a single step."""
ONLINE_EPOCHS = 60
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

    def loss_of(self, name: str) -> str:
        """The loss that the method `name` is trained with."""
        return self.loss or ("squared" if self.dataset.classes is None else METHODS[name].loss)

    def epochs_of(self, name: str) -> int:
        """The epochs that the method `name` is trained for."""
        return self.epochs or EPOCHS.get(name, ONLINE_EPOCHS)

    def threads_of(self, method: Method) -> int:
        """The CPU threads that the method is trained with."""
        widths = self.network.widths
        largest = max(p * q for p, q in pairwise(widths))
        small = largest * check_batch_size(self.batch_size, method, len(self.dataset.train)) < SMALL
        return self.threads or (1 if small else torch.get_num_threads())

    def check(self, name: str, method: Method) -> None:
        """Raise what `fit` would about a method that does not support this network, loss or batch size."""
        check_batch_size(self.batch_size, method, len(self.dataset.train))
        problem = Problem.from_module(self.network.build(), self.loss_of(name), self.regularizer)
        if self.dataset.classes is None and not problem.loss.regression:
            raise ValueError(f"--loss {problem.loss.name} does not fit a target of numbers; use squared")
        method.check(problem)


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
    last = _Last()
    error, data = None, setup.dataset
    threads = torch.get_num_threads()
    torch.set_num_threads(setup.threads_of(method))
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
        )
    except DivergenceError as diverged:
        history, error = diverged.history, diverged
    finally:
        torch.set_num_threads(threads)
    measures = _measures(setup, network, model, history, last.state)
    return Run(name, network, model, history, _entry(setup, name, method, history) | measures, error)


class _Last:
    """A callback that remembers the weights of the last iteration."""

    def __init__(self) -> None:
        self.state: State | None = None

    def __call__(self, history: History, state: State) -> None:
        self.state = state.weights()


def _entry(setup: Setup, name: str, method: Method, history: History) -> dict[str, Any]:
    """What was run, in which circumstances, and how it went."""
    return {
        "method": name,
        "parameters": asdict(method),
        "data": setup.dataset.name,
        "hidden": list(setup.network.widths[1:-1]),
        "activation": setup.network.activation,
        "batch_norm": setup.network.batch_norm,
        "dtype": setup.network.dtype,
        "loss": setup.loss_of(name),
        "regularizer": setup.regularizer or "none",
        "epochs": setup.epochs_of(name),
        "batch_size": check_batch_size(setup.batch_size, method, len(setup.dataset.train)),
        "train_samples": len(setup.dataset.train),
        "seed": setup.seed,
        "device": setup.device,
        "threads": setup.threads_of(method),
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
    setup: Setup, network: Description, model: nn.Sequential, history: History, last: State | None
) -> dict[str, float | None]:
    """Loss and accuracy on every split, of the kept weights and of the last iteration's."""
    problem = Problem.from_module(model, network.loss, setup.regularizer)
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
    batch, classes = batch_of("split", (split.x.to(like.device), split.y.to(like.device)), problem, like)
    return score(problem, state, batch, classes)


def write_results(runs: Sequence[Run], folder: Path) -> None:
    """Write ``results.json`` and ``curves.csv``."""
    write_json(folder / "results.json", finite({"runs": [run.result for run in runs]}))
    rows = [row for run in runs for row in curve(run)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(folder / "curves.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def curve(run: Run) -> list[Record]:
    """The records of a run as flat rows, with the seconds since its start."""
    wall, cpu = (accumulate(run.history[name]) for name in ("seconds", "cpu_seconds"))
    return [
        {"method": run.name, "elapsed_seconds": w, "elapsed_cpu_seconds": c} | flat(record)
        for w, c, record in zip(wall, cpu, run.history.records, strict=True)
    ]
