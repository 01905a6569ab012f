"""One training run and its results, the same way for one method or for several on equal terms."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, fields, replace
from itertools import accumulate, groupby
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
from altmin.methods.registry import METHODS
from altmin.study.description import NetworkDescription
from altmin.study.measures import Measures, measured
from altmin.study.saved_network import load, new_run
from altmin.study.setup import Setup
from altmin.train.callback import Observer
from altmin.train.checkpoint import Checkpoints
from altmin.train.fit import fit
from altmin.train.history import History, Record, flat
from altmin.train.shards import uncut

PARTS, FIGURES = ("train", "validation", "test"), [f.name for f in fields(Measures)]


@dataclass(frozen=True)
class Run:
    """What the files of results have of one method's training.

    Attributes:
        name: The method's name in the registry, or its label.
        result: The entry in ``results.json``.
        curve: The rows in ``curves.csv``.
    """

    name: str
    result: dict[str, Any]
    curve: list[Record]

    @property
    def seed(self) -> int:
        """The seed of its start and its batches."""
        return self.result["seed"]

    @property
    def finished(self) -> bool:
        """Whether nothing would come of going on: it ended by itself, or diverged."""
        return self.result["status"] not in ("stopped", "failed")


@dataclass(frozen=True)
class TrainedRun(Run):
    """One method's training, just now.

    Attributes:
        network: The description of `model`.
        model: With the weights that were kept.
        history: What was recorded.
        error: Why training diverged or failed, where it did.
    """

    network: NetworkDescription
    model: nn.Sequential
    history: History
    error: Exception | None = None

    @property
    def failure(self) -> Exception | None:
        """What ended training that is no fault of the numbers."""
        return None if isinstance(self.error, DivergenceError) else self.error

    @property
    def worthwhile(self) -> bool:
        """Whether it has weights that are worth a file."""
        return bool(self.history.records) or self.failure is None


def by_name(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that differ in nothing but their seeds, together."""
    return [list(group) for _, group in groupby(runs, key=lambda run: run.name)]


def run(
    setup: Setup,
    name: str,
    method: Method,
    callbacks: Sequence[Observer] = (),
    within: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> TrainedRun:
    """Train one method and measure it; divergence, an end by `KeyboardInterrupt` and failures are results.

    Args:
        setup: What is trained on what, and how.
        name: The method's name in the registry.
        method: The method.
        callbacks: As of `altmin.fit`.
        within: Makes a context that training, and nothing else, stands in.
    """
    network = replace(setup.network, loss=setup.loss_of(name), run=new_run())
    model, before = network.build(setup.seed), None
    if setup.start is not None:
        trained, described = load(setup.start, trust_code=True)  # this run's own, whose code has run already
        model.load_state_dict(trained.state_dict())
        before = described.run
    problem = problem_of(model, network.loss, setup.regularizer)
    last, error, train = _Last(), None, setup.dataset.train
    options: dict[str, Any] = setup.options_of(name) | {"callbacks": (last, *callbacks)}
    threads = torch.get_num_threads()
    torch.set_num_threads(setup.threads_of(method, problem))
    try:
        with within():
            history = fit(model, method, (train.x, train.y), **options)
    except DivergenceError as diverged:
        history, error = diverged.history, diverged
    except KeyboardInterrupt:
        history = replace(last.history, status="stopped")
    except Exception as failure:  # noqa: BLE001 - a method's failure is a result, which has it
        history, error = replace(last.history, status="failed"), failure
    finally:
        torch.set_num_threads(threads)
    try:
        final = _last_saved(setup, model) if last.state is None and len(history) else last.state
        measures = _measures(setup, problem, model, history, final)
    except Exception as failure:  # noqa: BLE001 - such as memory that was enough for training
        history, error = replace(history, status="failed"), error or failure
        measures = dict.fromkeys(
            f"{which}{part}_{what}" for which in ("", "last_") for part in PARTS for what in FIGURES
        )
    entry = _entry(setup, name, method, problem, history, error)
    result = {"run": network.run, **({} if before is None else {"begins_with": before}), **entry, **measures}
    return TrainedRun(name, result, curve(name, history), network, model, history, error)


class _Last:
    """A callback that remembers the weights of the last iteration, and the records."""

    def __init__(self) -> None:
        self.state: State[Any] | None = None
        self.history = History()

    def __call__(self, history: History, state: State) -> None:
        self.state, self.history = state.weights(), history


def _last_saved(setup: Setup, model: nn.Sequential) -> State[Any] | None:
    """The weights of the last iteration of a run that went on and had none left to make, as its checkpoint has them."""
    saved = None if setup.checkpoint is None else Checkpoints(setup.checkpoint).newest()
    if saved is None:
        return None
    state = state_of(model).weights()
    weights = {name: saved["trainer"]["state"][name] for name in ("W", "b", "norm")}
    state.load_state_dict(state.state_dict() | uncut(weights))
    return state


def curve(name: str, history: History) -> list[Record]:
    """The records as flat rows, with the seconds since the start."""
    wall, cpu = (accumulate(history[kind]) for kind in ("seconds", "cpu_seconds"))
    return [
        {"method": name, "elapsed_seconds": w, "elapsed_cpu_seconds": c} | flat(record)
        for w, c, record in zip(wall, cpu, history.records, strict=True)
    ]


def _entry(
    setup: Setup, name: str, method: Method, problem: Problem, history: History, error: Exception | None
) -> dict[str, Any]:
    """What was run, in which circumstances, and how it went."""
    spoken = {f.name: getattr(setup, f.name) for f in Setup.listed() if f.metadata["flag"] is not None}
    return {
        "method": name,
        **({"label_of": METHODS[name].of} if METHODS[name].of else {}),
        **({"preset": setup.preset} if setup.preset else {}),
        "gradients": method.gradients.value,
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
        "test_samples": len(setup.dataset.test),
        "seed": setup.seed,
        "threads": setup.threads_of(method, problem),
        "versions": {
            "altmin": altmin.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "status": history.status,
        **({} if error is None else {"error": str(error)}),
        "iterations": history.iterations,
        "seconds": sum(history["seconds"]),
        "cpu_seconds": sum(history["cpu_seconds"]),
        "memory": setup.memory,
        "kept_iteration": (history.kept or {}).get("iteration"),
        "gap": (history.kept or {}).get("gap"),
        "best_iteration": history.best,
        "objective": history["objective"],
    }


def _measures(
    setup: Setup, problem: Problem, model: nn.Sequential, history: History, last: State | None
) -> dict[str, float | None]:
    """Loss and accuracy, or R^2 and RMSE, on every split, of the kept weights and of the last iteration's."""
    chosen = _scores(problem, state_of(model), setup.dataset, model)
    moved = last is not None and history.kept is not None and history.kept["iteration"] < history.iterations
    final = _scores(problem, last, setup.dataset, model) if last is not None and moved else chosen
    return chosen | {f"last_{name}": value for name, value in final.items()}


def _scores(problem: Problem, state: State, data: Dataset, model: nn.Sequential) -> dict[str, float | None]:
    scores = {name: measured(problem, state, getattr(data, name), model, data.units) for name in PARTS}
    return {f"{name}_{what}": value for name, s in scores.items() for what, value in asdict(s).items()}
