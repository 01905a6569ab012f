"""What the experiments share: train settings on equal terms, choose by validation, look at test samples once.

Not an experiment itself; run the other files of this folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

import altmin
from altmin import data as data_sets
from altmin.core.score import predict
from altmin.data import Dataset, Split

Network = Callable[[], nn.Sequential]
SMOKE_TRAIN, SMOKE_HELD = 256, 64  # samples of a smoke run
CHUNK = 8192  # samples that are evaluated at once
PIXELS = {"cifar10": 3_072}  # where they are not the 784 of drawn images


@dataclass(frozen=True)
class Trial:
    """One network trained by one method.

    Attributes:
        name: What the row of the table is called; of trials with the same name the best on validation stays.
        setting: The numbers that were tried.
        method: The method with these numbers.
        network: Makes the network.
        loss: As in `altmin.fit`.
        epochs: As in `altmin.fit`.
        batch_size: As in `altmin.fit`.
    """

    name: str
    setting: str
    method: altmin.Method
    network: Network
    epochs: int
    batch_size: int | None = None
    loss: str = "cross_entropy"


@dataclass(frozen=True)
class Row:
    """What became of a trial."""

    trial: Trial
    model: nn.Sequential
    validation: float
    epoch: int
    seconds: float


def online_am(**numbers: Any) -> altmin.OnlineAM:
    """Online alternating minimisation whose weights learn from the codes, at constant rates, as the paper has it."""
    return altmin.OnlineAM(**{"codes": altmin.Codes(steps=5), "regressors": "codes", "decay": "none", **numbers})


def parser(about: str, seed: bool = True) -> argparse.ArgumentParser:
    """The options that every experiment has; one thread, so that CPU seconds are comparable.

    Args:
        about: What the experiment is, in a sentence.
        seed: Whether it has one seed, which is an option; the others have their own.
    """
    torch.set_num_threads(1)
    made = argparse.ArgumentParser(description=about)
    made.add_argument("--data-dir", help="folder of data sets; ALTMIN_DATA or ~/.cache/altmin by default")
    if seed:
        made.add_argument("--seed", type=int, default=0, help="seed of the networks' start and of the batches")
    made.add_argument(
        "--smoke",
        action="store_true",
        help="only see that it runs: few samples, drawn ones without --data-dir; one trial a method, one epoch, no bar",
    )
    return made


def options(about: str) -> argparse.Namespace:
    """What was given on the command line of an experiment that has no options of its own."""
    return parser(about).parse_args()


def load(name: str, given: argparse.Namespace, train_samples: int | None = None, center: bool = False) -> Dataset:
    """A data set; in a smoke run a few of its samples, and drawn images in its stead where no folder is named.

    Args:
        name: As in `altmin.data.load`.
        given: The options.
        train_samples: As in `altmin.data.load`.
        center: As in `altmin.data.load`.
    """
    if not given.smoke:
        return data_sets.load(name, data_dir=given.data_dir, train_samples=train_samples, center=center)
    if given.data_dir is None:
        whole = data_sets.load("synthetic", train_samples=SMOKE_TRAIN)
    else:
        whole = data_sets.load(name, data_dir=given.data_dir, train_samples=SMOKE_TRAIN)
    pixels = PIXELS.get(name, 784)
    sizes = {"train": SMOKE_TRAIN, "validation": SMOKE_HELD, "test": SMOKE_HELD}
    few = {}
    for part, size in sizes.items():
        split: Split = getattr(whole, part)
        x = split.x[:size].repeat(1, -(-pixels // split.x.shape[1]))[:, :pixels]
        few[part] = Split(x, split.y[:size])
    small = replace(whole, **few)
    return small.centred() if center else small


def train(trial: Trial, data: Dataset, seed: int) -> Row:
    """The trial's network with the weights that were best on validation."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = trial.network()
    history = altmin.fit(
        model,
        trial.method,
        (data.train.x, data.train.y),
        loss=trial.loss,
        epochs=trial.epochs,
        batch_size=trial.batch_size,
        validation=(data.validation.x, data.validation.y),
        keep="best",
        generator=torch.Generator().manual_seed(seed),
    )
    best = history.kept or {}
    row = Row(trial, model, best["validation_accuracy"], best["iteration"], sum(history["cpu_seconds"]))
    print(f"  {trial.name}, {trial.setting}: validation {row.validation:.4f}, {row.seconds:.0f} CPU s", flush=True)
    return row


def smallest(trial: Trial, data: Dataset) -> Trial:
    """The trial with one epoch, in batches that the samples fill."""
    size = trial.batch_size and min(trial.batch_size, len(data.train))
    return replace(trial, epochs=1, batch_size=size)


def chosen(trials: Iterable[Trial], data: Dataset, given: argparse.Namespace) -> list[Row]:
    """For each name the trial that was best on validation; in a smoke run the first one, after one epoch."""
    best: dict[str, Row] = {}
    for trial in trials:
        if given.smoke and trial.name in best:
            continue
        row = train(smallest(trial, data) if given.smoke else trial, data, given.seed)
        if trial.name not in best or row.validation > best[trial.name].validation:
            best[trial.name] = row
    return list(best.values())


@torch.no_grad()
def accuracy(model: nn.Sequential, split: Split) -> float:
    """The share of samples that are classified as their label says."""
    found = torch.cat([predict(model(x)) for x in split.x.split(CHUNK)])
    return float((found == split.y).double().mean())


def table(rows: Sequence[Row], data: Dataset, others: dict[str, Split] | None = None) -> dict[str, float]:
    """Print a row for each method; the test accuracies by name.

    Args:
        rows: What was chosen.
        data: Its test samples are looked at here and nowhere else.
        others: Further samples to report on, by name.
    """
    splits = {"test": data.test} | (others or {})
    print(
        f"{'':26}{'setting':42}{'epoch':>6}{'valid.':>8}" + "".join(f"{name:>10}" for name in splits) + f"{'CPU s':>8}"
    )
    tested = {}
    for row in rows:
        measured = [accuracy(row.model.eval(), split) for split in splits.values()]
        figures = f"{row.epoch:6d}{row.validation:8.4f}" + "".join(f"{value:10.4f}" for value in measured)
        print(f"{row.trial.name:26}{row.trial.setting:42}{figures}{row.seconds:8.0f}", flush=True)
        tested[row.trial.name] = measured[0]
    return tested


def judge(bars: dict[str, tuple[float, float]], given: argparse.Namespace) -> None:
    """Print what was expected of each figure, and leave with status 1 if one is missed; with 0 in a smoke run."""
    for name, (reached, bar) in bars.items():
        print(f"{name}: {reached:.4f}, expected {bar} or more")
    sys.exit(not given.smoke and any(reached < bar for reached, bar in bars.values()))
