"""The training loop: the only one, for every method."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal

import torch
from torch import Tensor, nn

from altmin.audit import no_backprop
from altmin.convert.weights import copy_weights
from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.errors import DivergenceError
from altmin.losses import Loss
from altmin.methods.base import Method
from altmin.precision import Precision, computing, exact
from altmin.regularizers import Regularizer
from altmin.train.history import History, Record
from altmin.train.inputs import Place, Prepared, prepare
from altmin.train.score import score

Callback = Callable[[History, State], bool | None]


@torch.no_grad()
def fit(
    model: nn.Sequential,
    method: Method,
    data: Any,
    *,
    loss: str | Loss = "cross_entropy",
    regularizer: str | Regularizer | None = None,
    epochs: int,
    batch_size: int | None = None,
    validation: Any = None,
    keep: Literal["last", "best"] = "last",
    callbacks: Sequence[Callback] = (),
    generator: torch.Generator | None = None,
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    audit: bool = False,
) -> History:
    """Train `model` in place, from its present weights.

    Args:
        model: A network of modules that `altmin.convert.reading` knows.
        method: How it is trained, such as ``DLADMM(rho=1e-3)``.
        data: ``(x, y)`` as tensors or arrays, or a `Dataset` of such pairs. `x` is floating point, ``(N, n_0)`` or
            flattened to it, images or sequences where the network takes them. `y` holds class indices ``(N,)``, or,
            with squared loss, real targets ``(N,)`` or ``(N, n_L)``.
        loss: ``"cross_entropy"``, ``"squared"``, ``"hinge"`` or an object.
        regularizer: ``"l1:WEIGHT"``, ``"l2:WEIGHT"`` or an object; it is added to the *sum* of the losses.
        epochs: Passes over the data; for full-batch methods iterations.
        batch_size: Samples a step; `None` is the method's default (all samples for full-batch methods).
        validation: As `data`; evaluated after every epoch.
        keep: ``"last"``: the model ends with the last weights; ``"best"``: with those best on validation.
        callbacks: Called as ``callback(history, state)`` after every epoch; `True` stops training.
        generator: Draws the order of the samples; by default seeded from PyTorch's global generator.
        device: Where to train; the model and the data are moved there. By default they stay where they are.
        precision: ``"float32"`` or ``"float64"``: the model, for good, and the data are converted. ``"bf16"``: float32
            with matrix products in bfloat16, added up in float32, where the hardware has them; factorisations, small
            matrices and recorded figures need no such products. By default the model's own dtype.
        audit: Whether to train under `altmin.no_backprop`, which raises where gradients pass through several layers.

    Returns:
        What was recorded; see `History`.

    Raises:
        TypeError: A module, dtype or device that is not supported.
        ValueError: Data, labels or numbers that do not fit; the message names the argument.
        DivergenceError: nan or inf while training. The model has the last finite weights (the best ones with
            ``keep="best"``), and the error has the records in its attribute `history`.
        BackpropError: A method that backpropagates under an `audit`.
    """
    check_positive("epochs", epochs)
    check_options(method, keep, validation, callbacks, generator)
    problem, place = Problem.from_module(model, loss, regularizer), Place.of(model, device, precision)
    task = prepare(model, problem, method, data, validation, batch_size, place)
    place.take(model)
    run = Run(task, method, model, keep, generator or fresh_generator())
    with no_backprop() if audit else nullcontext(), computing(precision, place.like.device):
        return run.train((run.batches(k, epochs) for k in range(epochs)), callbacks)


def check_positive(name: str, value: object) -> None:
    """Raise `ValueError` where an argument is no positive integer."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer, got {value!r}")


def check_options(method: object, keep: object, validation: object, callbacks: object, generator: object) -> None:
    """What can be said of `fit`'s options without a look at the data."""
    if keep not in ("last", "best"):
        raise ValueError(f"`keep` must be 'last' or 'best', got {keep!r}")
    if keep == "best" and validation is None:
        raise ValueError("`keep='best'` needs a `validation` set to be best on")
    if not isinstance(method, Method):
        raise TypeError(f"`method` must be a method such as altmin.DLADMM(), got {method!r}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise TypeError(f"`generator` must be a torch.Generator or None, got {generator!r}")
    if not isinstance(callbacks, Sequence) or not all(map(callable, callbacks)):
        raise TypeError(f"`callbacks` must be a sequence of functions, got {callbacks!r}")


def fresh_generator() -> torch.Generator:
    """Seeded from the global generator, as `DataLoader` does: `torch.manual_seed` governs it."""
    return torch.Generator().manual_seed(int(torch.randint(2**62, ())))


@dataclass
class Run:
    """One call of `fit`, or of `altmin.train.fit_stream.fit_stream`."""

    task: Prepared
    method: Method
    model: nn.Sequential
    keep: Literal["last", "best"]
    generator: torch.Generator

    def train(self, rounds: Iterable[Iterable[Batch]], callbacks: Sequence[Callback]) -> History:
        """Steps on the batches of each round, with a record at its end."""
        history = History(keep=self.keep)
        state = self.method.init(self.task.problem, State.from_module(self.model), self.task.train, self.generator)
        kept = state.weights()
        try:
            start = self.clock()  # before a round is asked for: a stream reads its first batch then
            for iteration, batches in enumerate(rounds, 1):
                state, record = self.iterate(state, iteration, batches, start)
                if history.add(record) or self.keep == "last":
                    kept = state.weights()
                stops = [callback(history, state) for callback in callbacks]
                if any(stops):
                    history.status = "stopped"
                    break
                start = self.clock()
            kept = self.method.finish(self.task.problem, kept, self.measured())
        except DivergenceError as error:
            history.status, error.history = "diverged", history
            raise
        except KeyboardInterrupt:
            history.status = "stopped"
            raise
        finally:
            copy_weights(kept, self.model)
        return history

    def iterate(
        self, state: State, iteration: int, batches: Iterable[Batch], start: tuple[float, float]
    ) -> tuple[State, Record]:
        """One round and its record."""
        try:
            for batch in batches:
                state = self.method.step(self.task.problem, state, batch)
        except DivergenceError as error:
            raise error.at(iteration, self.method.cure) from error
        (wall, cpu), (end_wall, end_cpu) = start, self.clock()
        times = {"iteration": iteration, "seconds": end_wall - wall, "cpu_seconds": end_cpu - cpu}
        return state, times | self.report(state, iteration)

    def measured(self) -> Batch:
        """The samples that a record is about."""
        return self.task.train

    @exact()
    def report(self, state: State, iteration: int) -> Record:
        """The record of a state, after a look for nan and inf."""
        task, method, samples = self.task, self.method, self.measured()
        parts, residuals = method.evaluate(task.problem, state, samples)
        objective = float(torch.stack(list(parts.values())).sum())
        _check_finite(state, objective, iteration, method.cure)
        train = score(task.problem, state, samples, task.classes)
        held = None if task.validation is None else score(task.problem, state, task.validation, task.classes)
        return {
            "objective": objective,
            "parts": {name: float(part) for name, part in parts.items()},
            "residuals": {name: float(r) for name, r in residuals.items()},
            "gap": train.gap,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "validation_loss": held and held.loss,
            "validation_accuracy": held and held.accuracy,
            **method.scalars(state),
        }

    def batches(self, epoch: int = 0, epochs: int = 1) -> Iterator[Batch]:
        """A pass over the samples, `epoch` others of `epochs` behind it: all at once, or in a fresh random order."""
        whole, size = self.task.train, self.task.batch_size
        n = len(whole.x)
        if size == n:
            yield replace(whole, done=epoch / epochs)
            return
        order = torch.randperm(n, generator=self.generator).to(whole.x.device)
        for i in range(0, n, size):
            batch = whole.select(order[i : i + size], ends_epoch=i + size >= n)
            yield replace(batch, done=(epoch + i / n) / epochs)

    def clock(self) -> tuple[float, float]:
        """Wall and CPU seconds, once the device has finished."""
        if self.task.train.x.is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def _check_finite(state: State, objective: float, iteration: int, cure: str) -> None:
    for name, t in state.named():
        if name[0] in "Wb" and not bool(torch.isfinite(t).all()):
            raise DivergenceError(name, _first_bad(t), cure, iteration)
    if not abs(objective) < float("inf"):
        blocks = ((name, t) for name, t in state.named() if not bool(torch.isfinite(t).all()))
        name, t = next(blocks, ("objective", torch.tensor(objective)))
        raise DivergenceError(name, _first_bad(t), cure, iteration)


def _first_bad(t: Tensor) -> float:
    return float(t[~torch.isfinite(t)].flatten()[0]) if t.ndim else float(t)
