"""Passes over a `DataLoader`, whose batches are never held whole."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from torch.utils.data import DataLoader

from altmin.core.batch import Batch
from altmin.methods.base import Method
from altmin.train.history import History
from altmin.train.holdout import check_no_share
from altmin.train.loop import Loop, Rounds, read_held
from altmin.train.options import FitOptions
from altmin.train.trainer import Trainer


def fit_loader(trainer: Trainer, loader: DataLoader[Any], chosen: FitOptions) -> History:
    """Train in passes over the batches of a loader, a record after each, of its own passes or of the latest batch.

    Args:
        trainer: Of a method that needs nothing of samples outside a batch.
        loader: Gives the batches, in an order of its own.
        chosen: What `fit` was asked for.

    Raises:
        TypeError: A method that needs all samples, or a loader that does not know how many batches it has.
        ValueError: Options that need all samples; a loader that is empty.
    """
    _check_method(trainer.method)
    _check_options(chosen)
    passes = _Passes(loader, trainer, chosen.epochs, _length(loader))
    with trainer.active():
        held, batches = read_held(trainer, chosen), passes.of(0)
        first = next(batches, None)
        if first is None:
            raise ValueError("`data` is a DataLoader without batches; training needs one or more")
        loop = Loop(trainer, chosen, held, last=chosen.epochs)
        loop.begin(first, passes.samples)
        return loop.run(_rounds(chain([first], batches), passes, chosen.record_every))


def _rounds(first: Iterator[Batch], passes: _Passes, every: int) -> Rounds:
    """The batches of the passes from one record to the next, and the number of the last of these."""
    for start in range(0, passes.epochs, every):
        end = min(start + every, passes.epochs)
        yield end, chain.from_iterable(passes.of(k) if k else first for k in range(start, end))


def _check_method(method: Method) -> None:
    advice = "hand in tensors or arrays, fit(model, method, x, y, ...)"
    if not method.online:
        why = "keeps variables of every sample or needs all of them at once"
        raise TypeError(f"`data` is a DataLoader, and {type(method).__name__} {why}; {advice}")
    if getattr(method, "refit", False):
        raise ValueError(f"`data` is a DataLoader, and refit=True fits the last layer to all samples; {advice}")


def _check_options(chosen: FitOptions) -> None:
    check_no_share("validation", chosen.validation)
    if chosen.weighed:
        name = "sample_weight" if chosen.sample_weight is not None else "class_weight"
        raise ValueError(f"`{name}` needs all samples, and `data` is a DataLoader; hand in tensors or arrays")
    if chosen.batch_size is not None:
        raise ValueError("`batch_size` is the DataLoader's own; leave it out, or hand in tensors or arrays")
    if chosen.checkpoint is not None:
        raise ValueError(
            "`checkpoint`: a DataLoader's order cannot be gone on with to the bit; hand in tensors or arrays, or train "
            "by fit_stream on a stream that is the same every time"
        )


def _length(loader: DataLoader[Any]) -> int:
    try:
        return len(loader)
    except TypeError as error:
        raise TypeError(f"`data` is a DataLoader without a length ({error}); train on it by fit_stream") from error


@dataclass
class _Passes:
    """The batches of a loader, each checked when it is read.

    Attributes:
        length: The batches of a pass.
        samples: Those of a pass, over which the regulariser is spread; known from the first batch on.
    """

    loader: DataLoader[Any]
    trainer: Trainer
    epochs: int
    length: int
    samples: int = 0

    def of(self, epoch: int) -> Iterator[Batch]:
        """Those of a pass, of which records are about the latest."""
        seen = 0
        for i, data in enumerate(self.loader):
            batch = self.trainer.reader.read(f"data[{i}]", data)
            self.trainer.reader.variance.check(f"data[{i}]", batch)
            self.samples = self.samples or self._count(len(batch.x))
            done = (epoch + min(1.0, seen / self.samples)) / self.epochs
            seen += len(batch.x)
            self.trainer.samples = batch = replace(batch, ends_epoch=i + 1 == self.length, done=done)
            yield batch

    def _count(self, size: int) -> int:
        """The samples of a pass: as the sampler says, or where it makes no batches, all as large as the first."""
        most, sampler = self.length * size, self.loader.sampler
        return min(most, len(sampler)) if self.loader.batch_size and isinstance(sampler, Sized) else most
