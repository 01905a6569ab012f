"""One training run and its results, the same way for one method or for several on equal terms."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

import altmin
from altmin.convert import problem_of, state_of
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.data import Dataset
from altmin.errors import DivergenceError
from altmin.methods import Method
from altmin.study.measures import measured
from altmin.study.saved_network import NetworkDescription, new_run
from altmin.study.setup import Setup
from altmin.train.fit import fit
from altmin.train.history import History
from altmin.train.loop import Callback


@dataclass(frozen=True)
class TrainedRun:
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
    network: NetworkDescription
    model: nn.Sequential
    history: History
    result: dict[str, Any]
    error: DivergenceError | None = None


def run(setup: Setup, name: str, method: Method, callbacks: Sequence[Callback] = ()) -> TrainedRun:
    """Train one method and measure it; divergence is a result, not an exception."""
    network = replace(setup.network, loss=setup.loss_of(name), run=new_run())
    model = network.build(setup.seed)
    problem = problem_of(model, network.loss, setup.regularizer)
    last, error, train = _Last(), None, setup.dataset.train
    options: dict[str, Any] = setup.options_of(name) | {"callbacks": (last, *callbacks)}
    threads = torch.get_num_threads()
    torch.set_num_threads(setup.threads_of(method, problem))
    try:
        history = fit(model, method, (train.x, train.y), **options)
    except DivergenceError as diverged:
        history, error = diverged.history, diverged
    finally:
        torch.set_num_threads(threads)
    result = (
        {"run": network.run}
        | _entry(setup, name, method, problem, history)
        | _measures(setup, problem, model, history, last.state)
    )
    return TrainedRun(name, network, model, history, result, error)


class _Last:
    """A callback that remembers the weights of the last iteration."""

    def __init__(self) -> None:
        self.state: State[Any] | None = None

    def __call__(self, history: History, state: State) -> None:
        self.state = state.weights()


def _entry(setup: Setup, name: str, method: Method, problem: Problem, history: History) -> dict[str, Any]:
    """What was run, in which circumstances, and how it went."""
    spoken = {f.name: getattr(setup, f.name) for f in Setup.listed() if f.metadata["flag"] is not None}
    return {
        "method": name,
        "parameters": asdict(method),
        "data": setup.dataset.name,
        "model": setup.network.name,
        **setup.network.options,
        "widths": [setup.dataset.features, *(layer.map.outputs for layer in problem.layers)],
        "dtype": setup.network.dtype,
        **spoken,
        "precision": setup.precision or setup.network.dtype,
        "loss": setup.loss_of(name),
        "regularizer": setup.regularizer or "none",
        "epochs": setup.epochs_of(name),
        "batch_size": setup.batch_size_of(method),
        "train_samples": len(setup.dataset.train),
        "seed": setup.seed,
        "threads": setup.threads_of(method, problem),
        "versions": {
            "altmin": altmin.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "status": history.status,
        "iterations": len(history),
        "seconds": sum(history["seconds"]),
        "cpu_seconds": sum(history["cpu_seconds"]),
        "kept_iteration": (history.kept or {}).get("iteration"),
        "best_iteration": history.best,
        "objective": history["objective"],
    }


def _measures(
    setup: Setup, problem: Problem, model: nn.Sequential, history: History, last: State | None
) -> dict[str, float | None]:
    """Loss and accuracy, or R^2 and RMSE, on every split, of the kept weights and of the last iteration's."""
    chosen = _scores(problem, state_of(model), setup.dataset, model)
    moved = last is not None and history.kept is not None and history.kept["iteration"] < len(history)
    final = _scores(problem, last, setup.dataset, model) if last is not None and moved else chosen
    return chosen | {f"last_{name}": value for name, value in final.items()}


def _scores(problem: Problem, state: State, data: Dataset, model: nn.Sequential) -> dict[str, float | None]:
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    scores = {name: measured(problem, state, split, model, data.units) for name, split in parts.items()}
    return {f"{name}_{what}": value for name, s in scores.items() for what, value in asdict(s).items()}
