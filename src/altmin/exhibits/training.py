"""Train one setting with one seed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from altmin.convert import problem_of
from altmin.core.state import State
from altmin.data import Dataset, Split, load
from altmin.errors import DivergenceError
from altmin.exhibits.outcomes import Outcome
from altmin.exhibits.provenance import provenance
from altmin.exhibits.setting import Setting
from altmin.study.description import NetworkDescription
from altmin.study.run import curve
from altmin.train.fit import fit
from altmin.train.fit_stream import fit_stream
from altmin.train.history import History

DATA_SETS = 2  # that a process keeps
WEIGHTS = "weights"  # what a setting calls the figures of `note_zeros`


def train(setting: Setting, seed: int, data_dir: Path | None = None, device: str = "cpu") -> Outcome:
    """Train as `setting` says, from the start that `seed` draws; divergence is an outcome."""
    data = dataset(setting.data, setting.train_samples, setting.share, data_dir, setting.center)
    network = network_of(setting, data)
    error = None
    try:
        history = _fit(setting, network.build(seed), data, torch.Generator().manual_seed(seed), device)
    except DivergenceError as diverged:
        history, error = diverged.history, str(diverged)
    status = "ok" if error is None and history.status != "diverged" else "diverged"
    return Outcome(status, error, _curves(history, len(data.train)), seed, provenance(device))


def network_of(setting: Setting, data: Dataset) -> NetworkDescription:
    """The network of a setting, for the shapes of a data set."""
    return NetworkDescription(
        model=setting.model,
        inputs=data.image or (data.features,),
        outputs=data.outputs,
        options=setting.options,
        init=setting.init,
    )


def check(setting: Setting, data: Dataset) -> None:
    """Raise what training would about a network, a loss or a method that do not fit, before anything is trained.

    Raises:
        ValueError: Names or numbers that do not exist.
        TypeError: A method that does not support the network or the regulariser.
    """
    setting.method.check(problem_of(network_of(setting, data).build(), setting.loss, setting.regularizer))


@lru_cache(maxsize=DATA_SETS)
def dataset(name: str, most: int | None, share: float, data_dir: Path | None, center: bool) -> Dataset:
    """A data set with a share of at most so many training samples."""
    data = load(name, data_dir=data_dir, center=center)
    count = round(share * min(len(data.train), most or len(data.train)))
    return replace(data, train=Split(data.train.x[:count], data.train.y[:count]))


def _fit(setting: Setting, model: nn.Sequential, data: Dataset, generator: torch.Generator, device: str) -> History:
    options: dict[str, Any] = {
        "loss": setting.loss,
        "regularizer": setting.regularizer,
        "record": tuple(name for name in setting.record if name != WEIGHTS),
        "callbacks": [note_zeros] if WEIGHTS in setting.record else [],
        "generator": generator,
        "device": device,
    }
    for part in ("validation", "test"):
        if part in setting.record:
            split = getattr(data, part)
            options[part] = (split.x, split.y)
    size = setting.batch_size and min(setting.batch_size, len(data.train))
    if setting.batches is not None:
        batches = mini_batches(data.train, size or setting.method.default_batch or len(data.train), generator)
        return fit_stream(model, setting.method, batches, steps=setting.batches, every=setting.every, **options)
    known = {"epochs": setting.epochs, "batch_size": size, "record_every": setting.every}
    return fit(model, setting.method, (data.train.x, data.train.y), **known, **options)


def note_zeros(history: History, state: State[Any]) -> None:
    """A callback: the record has the shares of weights that are exactly zero, and of hidden units without others.

    A unit's weights are those that lead to it, not its intercept.
    """
    zero = [W.flatten(1) == 0 for W in state.W]
    units = [rows.all(1) for rows in zero[:-1]]
    history.records[-1]["zero_weights"] = _share([rows.flatten() for rows in zero])
    history.records[-1]["zero_units"] = _share(units)


def _share(parts: Sequence[Tensor]) -> float:
    """Which share of the entries is true; 0 of none."""
    return float(torch.cat(list(parts)).double().mean()) if parts else 0.0


def mini_batches(split: Split, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of a random order of the samples, then of another one, without end."""
    for _ in itertools.count():
        for rows in torch.randperm(len(split), generator=generator).split(size):
            yield split.x[rows], split.y[rows]


def _curves(history: History, samples: int) -> dict[str, list[float]]:
    """The records' numbers by name; those of mini-batches count these as iterations."""
    rows = curve("", history)
    names = [name for name, value in (rows[-1] if rows else {}).items() if isinstance(value, int | float)]
    curves = {name: [float("nan") if row[name] is None else row[name] for row in rows] for name in names}
    if "objective" in curves:
        curves["mean_objective"] = [value / samples for value in curves["objective"]]
    return curves | ({"iteration": curves["steps"]} if "steps" in curves else {})
