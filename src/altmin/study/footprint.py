"""The memory that a run will need, measured on a few of its samples before it starts.

A method is begun and steps on some samples and on half as many, under a `Ledger` that counts tensors. What it keeps and
what lives meanwhile is then known as a fixed part and one for each sample, for every method, also one of a user's own.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from altmin.core.forward import scaled
from altmin.core.score import chunk_of, score
from altmin.data import Split
from altmin.errors import DivergenceError
from altmin.methods import Method
from altmin.study.description import NetworkDescription
from altmin.study.ledger import Ledger
from altmin.study.machine import in_units
from altmin.study.setup import Setup
from altmin.train.options import Options
from altmin.train.trainer import Trainer

LEAST, WIDTHS, SHARE = 64, 4, 8  # of samples to try on: as many, or so many times a width, but no more than an eighth
COPIES = 3  # of the weights: the model, those kept, and those of the last record
RECORD = 2000  # bytes of an iteration's record
ONLINE = "or an online method, such as am-adam, which keeps no variables of every sample"


@dataclass(frozen=True)
class Footprint:
    """Bytes of memory.

    Attributes:
        samples: Of all splits and their encoded targets.
        variables: Of what the method keeps from step to step, and of copies of the weights.
        temporaries: Of what lives within a step or while a record is made.
        records: Of the history.
        loaded: Of all these, what is in memory already.
    """

    samples: float = 0.0
    variables: float = 0.0
    temporaries: float = 0.0
    records: float = 0.0
    loaded: float = 0.0

    @property
    def total(self) -> float:
        """All of it."""
        return self.samples + self.variables + self.temporaries + self.records

    def __str__(self) -> str:
        """The total and its parts in words."""
        names = [f.name for f in fields(self)][:-1]
        parts = ", ".join(f"{name} {in_units(getattr(self, name))}" for name in names)
        return f"about {in_units(self.total)} ({parts})"

    def together(self, other: Footprint) -> Footprint:
        """That of two runs at once on the same samples, which step in turn."""
        one, two = astuple(self), astuple(other)
        variables, records = one[1] + two[1], one[3] + two[3]
        return Footprint(max(one[0], two[0]), variables, max(one[2], two[2]), records, max(one[4], two[4]))

    def check(self, name: str, free: int | None, cure: str) -> None:
        """Raise `ValueError` where there is not so much memory.

        Args:
            name: The method, for the error.
            free: Bytes that can still be had; `None` where that is not known.
            cure: What to do.
        """
        if free is not None and self.total - self.loaded > free:
            raise ValueError(f"{name} needs {self} of memory, and {in_units(free)} are free; use {cure}")


def check_weights(network: NetworkDescription, free: int | None) -> None:
    """Raise `ValueError` where not even the copies of the weights have room; nothing is made for that."""
    if isinstance(network.model, str):
        with torch.device("meta"):
            model = network.build()
        weights = COPIES * sum(t.nbytes for t in model.state_dict().values())
        Footprint(variables=weights).check("the network", free, "narrower or fewer layers (`hidden`, `depth`)")


def footprint(setup: Setup, name: str, method: Method) -> Footprint:
    """The memory that training by a method, and scoring it on all splits, will need."""
    train, size = setup.dataset.train, setup.batch_size_of(method)
    most = _probe_size(setup, len(train))
    method = replace(method, compile=False) if getattr(method, "compile", False) else method  # type: ignore[call-arg]
    fewer, more = (_Probe(setup, name, method, n) for n in (min(most, max(2, most // 2)), most))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will say the same
        low, high = fewer.measured(), more.measured()
    at = _Line.through((fewer.count, low), (more.count, high))
    kept, gathered = at(len(train))[0], (at(size)[0] - at(0)[0]) * (size < len(train))
    variables = at(size)[0] if method.online else kept + gathered
    temporaries = max(at(size)[1], *at(len(train))[2:5], at(min(chunk_of(more.trainer.state), len(train)))[5])
    samples = sum(_nbytes(split) for split in (setup.dataset.train, setup.dataset.validation, setup.dataset.test))
    encoded = setup.dataset.outputs * train.x.element_size() * (len(train) + len(setup.dataset.validation))
    loaded = samples if torch.device(setup.device).type == "cpu" else 0
    weights = (COPIES - 1) * more.weights
    return Footprint(samples + encoded, variables + weights, temporaries, RECORD * setup.epochs_of(name), loaded)


def _probe_size(setup: Setup, count: int) -> int:
    """So many samples that what grows with them is more than what does not, where there are so many."""
    widest = max(max(t.shape) for t in setup.network.build().parameters())
    return min(count, max(LEAST, min(WIDTHS * widest, count // SHARE)))


def cure_of(found: Footprint, setup: Setup, method: Method) -> str:
    """What to do where a run does not fit into memory."""
    if found.records > found.total / 2:
        return "fewer `epochs`"
    own = "a smaller `batch_size`" if method.batched else f"a method that takes batches, {ONLINE}"
    return f"fewer samples (`train_samples`), narrower layers (`hidden`), {own}"


@dataclass(frozen=True)
class _Line:
    """What is linear in the number of samples, from two measurements."""

    fixed: Sequence[float]
    slope: Sequence[float]

    @classmethod
    def through(cls, low: tuple[int, Sequence[float]], high: tuple[int, Sequence[float]]) -> _Line:
        run = max(1, high[0] - low[0])
        slope = [max(0.0, b - a) / run for a, b in zip(low[1], high[1], strict=True)]
        return cls([b - s * high[0] for b, s in zip(high[1], slope, strict=True)], slope)

    def __call__(self, count: int) -> list[float]:
        return [max(0.0, f + s * count) for f, s in zip(self.fixed, self.slope, strict=True)]


class _Probe:
    """A method on the first samples of a run, on the CPU."""

    def __init__(self, setup: Setup, name: str, method: Method, count: int) -> None:
        self.count = count
        self.shares = count / setup.batch_size_of(method), count / len(setup.dataset.train)
        options: dict[str, Any] = setup.of(Options) | {
            "loss": setup.loss_of(name),
            "device": "cpu",
            "audit": False,
        }
        model = setup.network.build(setup.seed)
        self.weights = sum(t.nbytes for t in model.state_dict().values())
        self.trainer = Trainer(model, method, **options)
        train = setup.dataset.train
        self.samples = train.x[:count].clone(), train.y[:count].clone()  # a view's storage is the whole set

    def measured(self) -> list[float]:
        """Bytes of variables, and of temporaries in a step, the start, an evaluation, the end, and a score."""
        trainer, ledgers = self.trainer, [Ledger() for _ in range(5)]
        step, start, evaluation, end, scoring = ledgers
        batch = trainer.reader.read("data", self.samples)
        with trainer.active(), suppress(DivergenceError):
            with scaled(self.shares[1]), start:
                trainer.begin(batch)
            with scaled(self.shares[0]):
                trainer.advance(batch)  # it makes memories and products that are kept
                with step:
                    trainer.advance(batch)
            with scaled(self.shares[1]):
                with evaluation:
                    trainer.evaluate()
                with end:
                    trainer.method.finish(trainer.sweep())
        with scoring:
            score(trainer.problem, trainer.state, batch, bool(trainer.reader.classes))
        variables = max(_unique(trainer.state.state_dict()), step.existing - batch.x.nbytes - batch.y.nbytes)
        return [variables, *(ledger.peak - ledger.existing for ledger in ledgers)]


def _unique(tree: Any) -> int:
    """The bytes of all tensors in nested dicts and lists, each storage once."""
    storages = {t.untyped_storage()._cdata: t.untyped_storage() for t in tree_leaves(tree) if isinstance(t, Tensor)}
    return sum(storage.nbytes() for storage in storages.values())


def _nbytes(split: Split) -> int:
    return split.x.nbytes + split.y.nbytes
