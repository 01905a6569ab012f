"""Train a network on samples that are at hand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from altmin.core.batch import Batch
from altmin.diagnostics import require_penalty
from altmin.methods.base import Method
from altmin.train.fit_loader import fit_loader
from altmin.train.history import History
from altmin.train.holdout import hold_out, is_share
from altmin.train.identity import loop_facts
from altmin.train.inputs import check_batch_size
from altmin.train.loop import Loop, read_held
from altmin.train.options import FitOptions, Options
from altmin.train.pairs import pair_of
from altmin.train.saver import Saver
from altmin.train.signature import takes_samples
from altmin.train.trainer import Trainer
from altmin.train.weights import check_weighs, weigh


@takes_samples(FitOptions)
def fit(model: nn.Sequential, method: str | Method, data: Any, y: Any = None, **options: Any) -> History:
    """Train `model` in place, from its present weights.

    Args:
        model: A network of modules that `altmin.convert.reading` knows.
        method: How it is trained, such as ``DLADMM(rho=1e-3)``, or its name, such as ``"dladmm"``.
        data: ``(x, y)`` as tensors, arrays or data frames of numbers, or a `Dataset` of such pairs, or the `Split` of a
            data set; or `x` alone, with `y` behind it; or for an online method a `DataLoader`, each epoch a pass over
            its batches, whose records are as those of `fit_stream`. `x` is ``(N, n_0)`` or flattened to it, images or
            sequences where the network takes them; other numbers than the model's are converted.
        y: Class indices ``(N,)``, or, with squared loss, real targets ``(N,)`` or ``(N, n_L)``; `None` where `data`
            holds them.
        **options: See `FitOptions`.

    Returns:
        What was recorded; see `History`.

    Raises:
        TypeError: A module, dtype or device that is not supported; a model that computes something else than is
            trained, with the first module that does.
        ValueError: Data, labels or numbers that do not fit; the message names the argument.
        DivergenceError: nan or inf while training, or a loss or weights far beyond those of a network that predicts
            nothing. The model has the last good weights (the best ones with ``keep="best"``), and the error has the
            records in its attribute `history`.
        BackpropError: A method that backpropagates under an `audit`.
        Exception: What a callback raises. The model has the weights of the last record, or the best ones.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from altmin import DLAM, fit
        >>> _ = torch.manual_seed(0)
        >>> model, x = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)), torch.randn(20, 2)
        >>> history = fit(model, DLAM(), x, (x[:, 0] > 0).long(), epochs=20)
        >>> history["train_accuracy"][-1] > 0.9
        True
    """
    chosen = FitOptions.given("fit", options)
    trainer = Trainer(model, method, **chosen.of(Options))
    if chosen.tol is not None:
        require_penalty(trainer.method, "tol")
    data = data if y is None else pair_of(data, y)
    if isinstance(data, DataLoader):
        return fit_loader(trainer, data, chosen)
    saver = Saver.of(chosen, chosen.every)
    with trainer.active():
        train, held, position = _split(trainer, _read(trainer, data, chosen), chosen, saver)
        size = check_batch_size(chosen.batch_size, trainer.method, len(train.x))
        trainer.reader.variance.check_split(size, train)
        loop = Loop(trainer, chosen, held, saver=saver, position=position.copy, last=chosen.epochs, tol=chosen.tol)
        numbers = {"epochs": chosen.epochs, "batch_size": size, "record_every": chosen.record_every}
        facts = partial(loop_facts, chosen, held, data=train, **numbers)
        loop.begin(train, saved=saver and saver.begin(trainer, facts))
        return loop.run(_rounds(trainer, size, loop.history.iterations, chosen))


def _read(trainer: Trainer, data: Any, chosen: FitOptions) -> Batch:
    """All samples that count, of which a classifier needs two classes."""
    samples = trainer.reader.read("data", data)
    if chosen.weighed:
        check_weighs(trainer.method, trainer.problem)
        samples = weigh(samples, bool(trainer.reader.classes), chosen.sample_weight, chosen.class_weight)
    if trainer.reader.classes and len(torch.unique(samples.y, dim=0)) < 2:
        raise ValueError("`data` holds one class only; a classifier needs two or more")
    return samples


def _split(
    trainer: Trainer, samples: Batch, chosen: FitOptions, saver: Saver | None
) -> tuple[Batch, dict[str, Batch], dict[str, int]]:
    """What is trained on, what is evaluated for every record, and what a checkpoint has of how they were parted."""
    held = read_held(trainer, chosen)
    if not is_share(chosen.validation):
        return samples, held, {}
    share, draw = float(chosen.validation), partial(_seed_of_split, trainer, saver)
    train, validation, seed = hold_out("validation", share, samples, bool(trainer.reader.classes), draw)
    return train, {"validation": validation} | held, {"split": seed}


def _seed_of_split(trainer: Trainer, saver: Saver | None) -> int:
    """What held-out samples are drawn with: the seed of a run that goes on, or one that the generator draws."""
    saved = saver and saver.newest()
    if saved and "split" in saved["position"]:
        return saved["position"]["split"]
    generator = trainer.generator
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


def _rounds(trainer: Trainer, size: int, done: int, chosen: FitOptions) -> Iterator[tuple[int, Iterator[Batch]]]:
    """The batches of the epochs from one record to the next, and the number of the last of these."""
    for first in range(done, chosen.epochs, chosen.record_every):
        end = min(first + chosen.record_every, chosen.epochs)
        yield end, chain.from_iterable(trainer.batches(size, k, chosen.epochs) for k in range(first, end))
