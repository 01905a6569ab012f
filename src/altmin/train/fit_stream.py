"""Training from a stream of mini-batches that is never held whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any, Literal

import torch
from torch import nn

from altmin.audit import no_backprop
from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.losses import Loss
from altmin.methods.base import Method
from altmin.methods.registry import METHODS
from altmin.precision import Precision, computing
from altmin.regularizers import Regularizer
from altmin.train.fit import Callback, Run, check_options, check_positive, fresh_generator
from altmin.train.history import History, Record
from altmin.train.inputs import Place, Prepared, batch_of, check_shapes


@torch.no_grad()
def fit_stream(
    model: nn.Sequential,
    method: Method,
    batches: Iterable[Any],
    *,
    loss: str | Loss = "cross_entropy",
    regularizer: str | Regularizer | None = None,
    steps: int,
    every: int = 100,
    validation: Any = None,
    keep: Literal["last", "best"] = "last",
    callbacks: Sequence[Callback] = (),
    generator: torch.Generator | None = None,
    device: str | torch.device | None = None,
    precision: Precision | None = None,
    audit: bool = False,
) -> History:
    """Train `model` in place on mini-batches that are read once, in turn, one at a time.

    There is a record after every `every` batches, and one after the last. Its objective, loss and accuracy are those
    of the latest batch, after the step on it: the loss is a sum over that batch alone, the regulariser is whole. It
    counts in ``iteration`` the records, in ``steps`` the batches and in ``samples`` the samples so far, and its
    ``seconds`` hold the reading of the batches too. Everything else is as in `altmin.fit`.

    A stream has no epochs, even one that repeats itself: no batch ends one, and schedules by the epoch (`Mu.factor`,
    `OnlineAM.halve_every`) stand still; `OnlineAM.decay` runs over `steps`. The regulariser is spread over `steps`
    times the first batch's samples, the number that is expected.

    Args:
        model: As in `fit`.
        method: One that needs nothing of samples outside its batch, such as ``OnlineAM()``.
        batches: Pairs ``(x, y)`` of tensors or arrays, such as a `DataLoader`; no more than `steps` of them are read.
        loss: As in `fit`.
        regularizer: As in `fit`.
        steps: The most batches to train on; a stream that ends earlier ends training.
        every: Batches from one record to the next.
        validation: As in `fit`; evaluated for every record.
        keep: As in `fit`; the weights of the records compete.
        callbacks: Called as ``callback(history, state)`` after every record; `True` stops training.
        generator: For methods that draw random numbers; by default seeded from PyTorch's global generator.
        device: Where to train; the model and each batch are moved there.
        precision: As in `fit`.
        audit: As in `fit`.

    Returns:
        What was recorded; see `History`.

    Raises:
        TypeError: A method that is not online; else as in `fit`.
        ValueError: No batch at all; a batch that does not fit, named as in ``batches[3]``; else as in `fit`. The model
            has the weights of the last record (the best one with ``keep="best"``).
        DivergenceError: As in `fit`; its `iteration` counts records.
    """
    check_positive("steps", steps)
    check_positive("every", every)
    check_options(method, keep, validation, callbacks, generator)
    _check_streams(method, batches)
    problem = Problem.from_module(model, loss, regularizer)
    method.check(problem)
    place = Place.of(model, device, precision)
    feed = _Feed(iter(batches), model, problem, place, steps)
    held = None if validation is None else feed.checked("validation", validation)
    first = next(feed, None)
    if first is None:
        raise ValueError("`batches` is empty; training needs one batch or more")
    task = Prepared(problem, _Expected.of(first, steps), held, bool(feed.classes), len(first.x))
    place.take(model)
    run = _StreamRun(task, method, model, keep, generator or fresh_generator(), feed)
    with no_backprop() if audit else nullcontext(), computing(precision, place.like.device):
        return run.train(_rounds(islice(chain([first], feed), steps), every), callbacks)


def _check_streams(method: Method, batches: object) -> None:
    """Refuse what cannot be trained batch by batch, and what holds no batches."""
    if not method.online:
        online = sorted({type(entry.method).__name__ for entry in METHODS.values() if entry.method.online})
        kept = "keeps variables of every sample or needs all of them at once"
        raise TypeError(f"`method`: {type(method).__name__} {kept}; for streams there are {', '.join(online)}")
    if getattr(method, "refit", False):
        raise ValueError("`method`: refit=True fits the last layer to all samples, which a stream does not hold")
    if not isinstance(batches, Iterable):
        raise TypeError(f"`batches` must be an iterable of pairs (x, y) such as a DataLoader, got {batches!r}")


def _rounds(batches: Iterator[Batch], every: int) -> Iterator[Iterator[Batch]]:
    """Groups of `every` batches, the last one perhaps shorter, none empty; a batch is read when it is asked for."""
    for first in batches:
        yield chain([first], islice(batches, every - 1))


@dataclass
class _Feed:
    """The batches of a stream, each checked when it is read, and how many there were."""

    source: Iterator[Any]
    model: nn.Sequential
    problem: Problem
    place: Place
    most: int
    classes: bool | None = None
    shape: torch.Size | None = None
    steps: int = 0
    samples: int = 0
    latest: Batch = field(init=False)

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> Batch:
        batch = self.checked(f"batches[{self.steps}]", next(self.source))
        self.latest = replace(batch, ends_epoch=False, done=self.steps / self.most)
        self.steps, self.samples = self.steps + 1, self.samples + len(batch.x)
        return self.latest

    def checked(self, name: str, data: Any) -> Batch:
        """The samples of `data`, which fit the model and have the kind of targets that others had before."""
        batch, classes = batch_of(name, data, self.problem, self.place)
        if self.shape != batch.x.shape[1:]:
            check_shapes(name, batch.x, self.model, self.problem)
        if self.classes not in (None, classes):
            kinds = ("real-valued targets", "class labels")
            raise TypeError(f"`{name}` has {kinds[classes]}, what came before it {kinds[not classes]}")
        self.classes, self.shape = classes, batch.x.shape[1:]
        return batch


@dataclass(frozen=True)
class _Expected(Batch):
    """The first batch, which stands for all: a method's `init` asks how many samples there will be."""

    total: int = 0

    @classmethod
    def of(cls, first: Batch, steps: int) -> _Expected:
        return cls(first.x, first.y, ends_epoch=False, total=steps * len(first.x))

    @property
    def count(self) -> int:
        """The number of samples that is expected."""
        return self.total


@dataclass
class _StreamRun(Run):
    """One call of `fit_stream`."""

    feed: _Feed

    def measured(self) -> Batch:
        return self.feed.latest

    def report(self, state: State, iteration: int) -> Record:
        counts = {"steps": self.feed.steps, "samples": self.feed.samples}
        return counts | super().report(state, iteration)
