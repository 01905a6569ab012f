"""What every loop over a method is made of: its start, one iteration, the order of batches, and a view to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import nn

from altmin.allocation import keep_freed_memory
from altmin.audit import no_backprop
from altmin.convert import problem_of, state_of
from altmin.convert.comparison import check_same_function
from altmin.core.batch import Batch
from altmin.core.score import Tally
from altmin.core.state import State
from altmin.diagnostics import Diagnosis
from altmin.errors import DivergenceError
from altmin.methods.base import Method
from altmin.methods.registry import make_method
from altmin.onednn import largest_weights
from altmin.precision import computing
from altmin.sweep import Products, Sweep
from altmin.train.guard import Guard, frozen_weights, versions_of
from altmin.train.inputs import SampleReader
from altmin.train.modes import own_modes
from altmin.train.options import TrainerOptions
from altmin.train.place import Place, Storage


class Driver:
    """A method at work on the memory of a model's own parameters, batch by batch.

    Args:
        model: A network of modules that `altmin.convert.reading` knows; it is trained in place.
        method: How it is trained, as an object or by name.
        options: How, where and in which numbers.

    Attributes:
        problem: What is minimised.
        place: Where training takes place.
        reader: Turns what users hand in into batches.
        samples: What objective, residuals and records are about: all training samples, or an online method's latest
            batch; `None` before the first step.
        diagnosis: Watches the iterations, with the option `diagnose`.
        tally: Is told, where there is one, of the outputs that an online method's steps have for their batches.
    """

    def __init__(self, model: nn.Sequential, method: str | Method, options: TrainerOptions):
        self.model, self.method, self.options = model, make_method(method), options
        with own_modes():
            self.problem = problem_of(model, options.loss, options.regularizer)
            self.place = Place.of(model, options.device, options.precision)
            self.method.check(self.problem)
        self._largest = largest_weights(model)
        self.diagnosis = Diagnosis(self.method, options.precision == "bf16") if options.diagnose else None
        self.reader = SampleReader(model, self.problem, self.place)
        self.samples: Batch | None = None
        self._state: State[Any] | None = None
        self._products: Products | None = None
        self.tally: Tally | None = None

    @property
    def state(self) -> State[Any]:
        """The method's variables, whose weights are the model's; before the first step there are no others."""
        return state_of(self.model) if self._state is None else self._state

    @cached_property
    def generator(self) -> torch.Generator:
        """Draws the order of the samples, noise and random starts: the one given, or one from the seed."""
        return self.options.generator or _generator(self.options.initial_seed)

    @contextmanager
    def active(self, rounded: bool = True) -> Iterator[None]:
        """A context in which steps are made: in `own_modes`, in the precision and under the audit chosen.

        Args:
            rounded: Whether products are rounded where the precision says so; figures are taken without.
        """
        audit = no_backprop() if self.options.audit else nullcontext()
        device, precision = self.place.like.device, self.options.precision
        with own_modes(device), audit, computing(precision if rounded else None, device, self._largest):
            yield

    def begin(self, samples: Batch, count: int | None = None) -> None:
        """Start the method, once the model is known to compute what is trained.

        Args:
            samples: All training samples; of a stream, the first batch.
            count: How many there are in all, where that is another number.

        Raises:
            TypeError: A module of the model computes another function than what is trained in its place.
        """
        check_same_function(self.model, self.problem, samples.x)
        state = self._attach()
        state.samples = samples.count if count is None else count
        before = versions_of([samples.x, samples.y])
        self.method.init(Sweep(self.method, self.problem, state, samples))
        self._guard = Guard(self.method, state)
        self._guard.check_samples(samples, before)
        self.samples = samples

    def advance(self, batch: Batch) -> None:
        """One iteration on a batch that is known to fit, within `active`.

        Raises:
            ValueError: One sample, where batch normalisation needs more.
        """
        self.reader.variance.check("data", batch)
        whole = batch.rows is None and not self.method.online
        tally = self.tally if self.method.online else None
        sweep = Sweep(self.method, self.problem, self.state, batch, self._products if whole else None, tally)
        frozen = frozen_weights(self.problem, self.state)
        before, weights = versions_of([batch.x, batch.y]), versions_of(frozen)
        try:
            sweep = sweep.run() if self.diagnosis is None else self.diagnosis.run(sweep)
        except DivergenceError as error:
            raise error.at(self.state.k + 1, self.method.cure) from error
        self._guard.check_weights(self.state)
        self._guard.check_frozen(frozen, weights)
        self._guard.check_samples(batch, before)
        if whole:
            self._products = sweep.products

    def batches(self, size: int, epoch: int = 0, epochs: int = 1) -> Iterator[Batch]:
        """A pass over the samples, `epoch` others of `epochs` behind it: all at once, or in a fresh random order."""
        whole, n = self._samples(), len(self._samples().x)
        if size == n:
            yield replace(whole, done=epoch / epochs)
            return
        generator = self.state.generator
        device = "cpu" if generator is None else generator.device
        order = torch.randperm(n, generator=generator, device=device).to(whole.x.device)
        for i in range(0, n, size):
            batch = whole.select(order[i : i + size], ends_epoch=i + size >= n)
            yield replace(batch, done=(epoch + i / n) / epochs)

    def check_storage(self) -> None:
        """Raise `RuntimeError` where the model's parameters are no longer those that are trained."""
        if self._state is not None:
            self._storage.check()

    def sweep(self, tally: Tally | None = None, stride: int = 1) -> Sweep[Any]:
        """The method's view of the present state and `samples`.

        Args:
            tally: Is told of outputs that are made or known: a record's, right behind a step, whose products serve it.
                Without one they do not: weights may have been written since by way of ``data``, which has no version.
            stride: Every so many of the samples are looked at, each in the place of all between.
        """
        if stride > 1:
            state, batch = self.state.of_samples(lambda t: t[::stride]), self._samples().every(stride)
            return Sweep(self.method, self.problem, state, batch, Products(), tally)
        kept = self._products if tally is not None else None
        return Sweep(self.method, self.problem, self.state, self._samples(), kept or Products(), tally)

    def _attach(self) -> State[Any]:
        """Move the model to where it is trained, and make the state that shares its memory."""
        if self._state is None:
            keep_freed_memory()
            self.place.take(self.model)
            self._state, self._storage = state_of(self.model), Storage(self.model)
            self._state.generator = self.generator
        return self._state

    def _samples(self) -> Batch:
        if self.samples is None:
            raise RuntimeError("there are no samples before the first step")
        return self.samples


def _generator(seed: int | None) -> torch.Generator:
    """One of its own; without a seed that is drawn globally, as `DataLoader` does: `torch.manual_seed` governs it."""
    chosen = int(torch.randint(2**62, (), device="cpu")) if seed is None else seed
    return torch.Generator().manual_seed(chosen)
