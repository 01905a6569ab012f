"""One training: its samples, its figures, divergence as an outcome, and the same curves in every process."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from math import isfinite
from pathlib import Path

import pytest
import torch

from altmin import exhibits
from altmin.convert import state_of
from altmin.data import Split, load
from altmin.exhibits import Outcome, Setting
from altmin.exhibits import training as module
from altmin.exhibits.training import dataset, mini_batches, train
from altmin.methods import BCD, IPDLAM, SGD, Adam, Backprop, OnlineAM
from altmin.train.history import History
from exhibits.making import setting

TIMES = {"seconds", "cpu_seconds", "elapsed_seconds", "elapsed_cpu_seconds"}
ONLINE = setting(OnlineAM(rule=Adam(0.01), last=SGD(0.1)), batches=5, batch_size=16, epochs=1)
AGAIN = """
import json, sys
sys.path.insert(0, sys.argv[1])
from exhibits.test_training import ONLINE, curves, settings
print(json.dumps([curves(ONLINE, 3), [one.digest(2) for one in settings()]]))
"""


def curves(one: Setting, seed: int) -> dict[str, list[float]]:
    """What does not depend on the machine's speed."""
    return {name: values for name, values in train(one, seed).curves.items() if name not in TIMES}


def settings() -> list[Setting]:
    """Every tenth or so of the exhibits' settings."""
    every = [one for name in exhibits.names() for one in exhibits.load(name).settings("desk").values()]
    return every[::10]


@pytest.mark.slow
def test_another_process_gives_the_same_curves_and_names():
    """With another seed of Python's own hashes, too."""
    argv = [sys.executable, "-c", AGAIN, str(Path(__file__).parents[1])]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "5"})
    ours, names = json.loads(done.stdout.splitlines()[-1])
    assert ours == curves(ONLINE, 3)
    assert ours != curves(ONLINE, 4)
    assert names == [one.digest(2) for one in settings()]


@pytest.mark.parametrize("size", [3, 4, 10, 25])
def test_mini_batches_go_through_all_samples_again_and_again(size: int):
    split = Split(torch.arange(10.0).reshape(10, 1), torch.arange(10))
    of_a_pass = -(-10 // size)
    batches = mini_batches(split, size, torch.Generator().manual_seed(0))
    passes = [list(itertools.islice(batches, of_a_pass)) for _ in range(3)]
    orders = [torch.cat([y for _, y in one]).tolist() for one in passes]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert all(torch.equal(x[:, 0].long(), y) for one in passes for x, y in one)
    assert all(len(y) == size for one in passes for _, y in one[:-1])


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        (partial(Backprop, "sgd", lr=1e6), {}),
        (partial(Backprop, "sgd", lr=1e6), {"batches": 30, "batch_size": 10}),
        (partial(IPDLAM, alpha=1.2, beta=1.2, gamma=1.2, rho=1.0, rho_max=100.0), {"batch_size": 10}),
    ],
    ids=["gradients", "mini-batches", "inertia"],
)
@pytest.mark.filterwarnings("ignore::altmin.InertiaWarning", "ignore::RuntimeWarning")
def test_divergence_is_an_outcome(method, fields):
    outcome = train(setting(method(), **{"epochs": 60, "loss": "squared", **fields}), 0)
    assert outcome.diverged
    assert exhibits.Measure("test_accuracy").of(outcome) != exhibits.Measure("test_accuracy").of(outcome)
    assert outcome.error is None or "diverged" in outcome.error
    assert len({len(curve) for curve in outcome.curves.values()}) <= 1


def test_a_training_that_goes_well_does_not_diverge():
    outcome = train(setting(), 0)
    assert (outcome.status, outcome.error, outcome.seed) == ("ok", None, 0)
    assert outcome.curve("iteration") == [1, 2]
    assert outcome.curve("mean_objective") == pytest.approx([v / 40 for v in outcome.curve("objective")])
    assert all(map(isfinite, outcome.curve("test_accuracy")))
    assert {"altmin", "commit", "torch", "processor", "threads"} == outcome.about.keys()


def test_mini_batches_are_counted_as_iterations():
    assert train(replace(ONLINE, every=2), 0).curve("iteration") == [2, 4, 5]
    assert train(ONLINE, 0).curve("iteration") == [1, 2, 3, 4, 5]


def test_the_order_of_mini_batches_is_the_seeds(monkeypatch: pytest.MonkeyPatch):
    seeds: list[int] = []

    def noting(split: Split, size: int, generator: torch.Generator):
        seeds.append(generator.initial_seed())
        return mini_batches(split, size, generator)

    monkeypatch.setattr(module, "mini_batches", noting)
    train(ONLINE, 3)
    train(ONLINE, 4)
    assert seeds == [3, 4]


def test_nothing_but_time_where_nothing_is_recorded():
    outcome = train(setting(record=()), 0)
    assert outcome.curve("cpu_seconds")
    assert not outcome.curve("objective")
    assert not outcome.curve("test_accuracy")


def test_shares_of_weights_that_are_zero():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    state, history = state_of(model), History([{}])
    state.W[0].fill_(1.0)[0].zero_()
    state.W[0][1, 0] = 0.0
    state.W[1].fill_(1.0)[1].zero_()
    module.note_zeros(history, state)
    assert history.records == [{"zero_weights": 8 / 20, "zero_units": 1 / 4}]


@pytest.mark.parametrize("method", [BCD(), OnlineAM()], ids=["batch", "online"])
def test_zeros_are_counted_where_records_name_weights(method):
    outcome = train(setting(method, record=("weights", "test")), 0)
    assert outcome.curve("zero_weights") == outcome.curve("zero_units") == [0.0, 0.0]
    assert len(outcome.curve("test_accuracy")) == 2
    assert not train(setting(method, record=("test",)), 0).curve("zero_weights")


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_figures_are_of_the_samples_that_they_name(part: str, monkeypatch: pytest.MonkeyPatch):
    """All labels of a split but one kind are wrong: its accuracy, and it alone, is that of guessing so."""
    data = load("synthetic", train_samples=200)
    own = getattr(data, part)
    absurd = replace(data, **{part: Split(own.x, (own.y + 5) % 10)})
    usual, other = (figures_on(each, monkeypatch) for each in (data, absurd))
    assert usual.curve(f"{part}_accuracy") != other.curve(f"{part}_accuracy")
    for name in {"train", "validation", "test"} - {part} if part != "train" else set():
        assert usual.curve(f"{name}_accuracy") == other.curve(f"{name}_accuracy")


def figures_on(data: object, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    with monkeypatch.context() as patch:
        patch.setattr(module, "dataset", lambda *_: data)
        own = {"record": ("train", "validation", "test"), "batch_size": 20, "epochs": 3}
        return train(setting(Backprop("adam", lr=0.01), **own), 0)


@pytest.mark.parametrize(
    ("most", "share", "count"), [(None, 1.0, 1000), (50, 1.0, 50), (50, 0.5, 25), (7, 0.2, 1), (9_999, 0.6, 600)]
)
def test_a_share_of_at_most_so_many_samples_from_the_front(most, share, count, monkeypatch):
    whole = load("synthetic", train_samples=1000)
    monkeypatch.setattr(module, "load", lambda *_, **__: whole)
    dataset.cache_clear()
    data = dataset("synthetic", most, share, None, False)
    assert len(data.train) == count
    assert torch.equal(data.train.x, whole.train.x[:count])
    assert torch.equal(data.train.y, whole.train.y[:count])
    assert data.test is whole.test
    dataset.cache_clear()


def test_samples_are_centred_on_request():
    dataset.cache_clear()
    centred, usual = (dataset("synthetic", 100, 1.0, None, center) for center in (True, False))
    assert not torch.equal(centred.train.x, usual.train.x)
    dataset.cache_clear()


def test_a_batch_is_no_larger_than_the_samples():
    """60,000 a batch stand for all; the objective of one step is that of a full batch."""
    whole, named = (curves(setting(BCD(), batch_size=size), 0) for size in (60_000, 40))
    assert whole == named


@pytest.mark.slow
def test_the_split_that_a_paper_trains_on(real_data: Path):
    counts = {"mnist-60k": 60_000, "mnist-50k": 50_000, "mnist": 55_000, "mnist-196": 55_000}
    dataset.cache_clear()
    assert {name: len(dataset(name, None, 1.0, real_data, False).train) for name in counts} == counts
    assert len(dataset("mnist", None, 0.2, real_data, False).train) == 11_000
    dataset.cache_clear()
