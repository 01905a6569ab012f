"""Train a network on a stream of mini-batches that is never held whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from torch import nn

from altmin.core.batch import Batch
from altmin.errors import CheckpointError
from altmin.methods.base import Method
from altmin.methods.registry import METHODS
from altmin.train.history import History
from altmin.train.identity import fingerprint, loop_facts
from altmin.train.loop import Loop, read_held
from altmin.train.options import Options, StreamOptions
from altmin.train.saver import Saver
from altmin.train.signature import takes
from altmin.train.trainer import Trainer


@takes(StreamOptions)
def fit_stream(model: nn.Sequential, method: str | Method, batches: Iterable[Any], **options: Any) -> History:
    """Train `model` in place on mini-batches that are read once, in turn, one at a time.

    There is a record after every `every` batches, and one after the last. Its objective, loss and accuracy are those
    of the latest batch, after the step on it: the loss is a sum over that batch alone, the regulariser is whole. It
    counts in ``iteration`` the records, in ``steps`` the batches and in ``samples`` the samples so far, and its
    ``seconds`` hold the reading of the batches too.

    A stream has no epochs, even one that repeats itself: no batch ends one, and schedules by the epoch stand still,
    while learning rates that fall do so over `steps`. The regulariser is spread over `steps` times the first batch's
    samples, the number that is expected.

    Args:
        model: A network of modules that `altmin.convert.reading` knows.
        method: One that needs nothing of samples outside its batch, such as ``OnlineAM()``, or its name.
        batches: Pairs ``(x, y)`` of tensors or arrays, such as a `DataLoader`; no more than `steps` of them are read.
        **options: See `StreamOptions`.

    Returns:
        What was recorded; see `History`.

    Raises:
        TypeError: A method that is not online; a module, dtype or device that is not supported.
        ValueError: No batch at all; a batch that does not fit, named as in ``batches[3]``; options that do not fit. The
            model has the weights of the last record (the best one with ``keep="best"``).
        DivergenceError: nan or inf while training, or a loss or weights far beyond those of a network that predicts
            nothing; its `iteration` counts records. The model has the weights of the last good record, or the best
            ones.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from altmin import OnlineAM, fit_stream
        >>> _ = torch.manual_seed(0)
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> stream = ((x, (x[:, 0] > 0).long()) for x in torch.randn(100, 8, 2))
        >>> fit_stream(model, OnlineAM(), stream, steps=100, every=25)["steps"]
        [25, 50, 75, 100]
    """
    chosen = StreamOptions.given("fit_stream", options)
    trainer = Trainer(model, method, **chosen.of(Options))
    _check_streams(trainer.method, batches)
    saver = Saver.of(chosen)
    with trainer.active():
        feed = _Feed(iter(batches), trainer, chosen.steps)
        held = read_held(trainer, chosen)
        first = next(feed, None)
        if first is None:
            raise ValueError("`batches` is empty; training needs one batch or more")
        loop = Loop(trainer, chosen, held, feed.counts, saver, feed.position)
        facts = partial(loop_facts, chosen, held, data=first, steps=chosen.steps, every=chosen.every)
        saved = saver and saver.begin(trainer, facts)
        loop.begin(first, chosen.steps * len(first.x), saved)
        ahead = islice(chain([first], feed), chosen.steps)
        if saved is not None:
            feed.skip(**saved["position"])
            ahead = islice(feed, chosen.steps - feed.steps)
            saved = None  # its tensors, as large as the state's own, are no longer needed
        return loop.run(enumerate(_rounds(ahead, chosen.every), loop.history.iterations + 1))


def _check_streams(method: Method, batches: object) -> None:
    """Refuse what cannot be trained batch by batch, and what holds no batches."""
    if not method.online:
        online = sorted({type(entry.method).__name__ for entry in METHODS.values() if entry.method.online})
        why = "keeps variables of every sample or needs all of them at once"
        raise TypeError(f"`method`: {type(method).__name__} {why}; for streams there are {', '.join(online)}")
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
    trainer: Trainer
    most: int
    steps: int = 0
    samples: int = 0

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> Batch:
        name = f"batches[{self.steps}]"
        batch = self.trainer.reader.read(name, next(self.source))
        self.trainer.reader.variance.check(name, batch)
        batch = replace(batch, ends_epoch=False, done=self.steps / self.most)
        self.steps, self.samples, self.trainer.samples = self.steps + 1, self.samples + len(batch.x), batch
        return batch

    def skip(self, steps: int, samples: int, latest: str) -> None:
        """Read the batches that were used before, the first one being read, and know the latest of them again."""
        for _ in islice(self.source, max(0, steps - 1 - self.steps)):
            pass
        self.steps = steps - 1
        batch = self.trainer.samples if steps == 1 else next(self, None)
        if batch is None or fingerprint(batch) != latest:
            name = f"batches[{steps - 1}]"
            found = f"`batches` ends before {name}," if batch is None else f"`{name}` is not"
            raise CheckpointError(
                f"{found} the latest batch of the run that is to go on; hand in the same stream, from its first batch"
            )
        self.steps, self.samples = steps, samples

    def position(self) -> dict[str, Any]:
        """Where in the stream training is."""
        assert self.trainer.samples is not None
        return {**self.counts(), "latest": fingerprint(self.trainer.samples)}

    def counts(self) -> dict[str, int]:
        """What a record says about the stream so far."""
        return {"steps": self.steps, "samples": self.samples}
