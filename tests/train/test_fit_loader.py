"""A DataLoader as the data of `fit`: passes over its batches, which are never held whole."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, SubsetRandomSampler, TensorDataset

import altmin
from altmin import BCD, Backprop, OnlineAM

N = 40
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] > 0.2).long()
DATA = TensorDataset(X, Y)


def network():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("method", ["am-adam", "am-newton", "backprop"])
def test_passes_over_a_loader_are_those_over_its_samples(method, monkeypatch):
    method = Backprop(epoch_decay=0.5) if method == "backprop" else method
    model, other = network(), network()
    history = altmin.fit(model, method, DataLoader(DATA, 16), epochs=3, seed=0, regularizer="l2:0.1")
    monkeypatch.setattr(torch, "randperm", lambda n, **_: torch.arange(n))  # the samples as they are
    same = altmin.fit(other, method, X, Y, batch_size=16, epochs=3, seed=0, regularizer="l2:0.1")
    assert torch.equal(weights(model), weights(other))
    assert history["iteration"] == [1, 2, 3]
    assert history["train_loss"] == same["train_loss"], "of the passes' own outputs"


def test_every_pass_asks_the_loader_anew():
    model, seen = network(), []
    loader = DataLoader(DATA, 8, shuffle=True, generator=torch.Generator().manual_seed(0))

    class Watched(Backprop):
        def step(self, sweep):
            seen.append(sweep.batch.x)
            super().step(sweep)

    history = altmin.fit(model, Watched(), loader, epochs=2, record_every=2, validation=(X, Y), keep="best")
    passes = torch.cat(seen[:5]), torch.cat(seen[5:])
    assert not torch.equal(*passes)
    for one in passes:
        assert torch.equal(one.sort(0).values, X.sort(0).values)
    assert history["iteration"] == [2]
    assert history.kept is not None


@pytest.mark.parametrize(
    ("loader", "samples"),
    [
        (DataLoader(DATA, 16), 40),
        (DataLoader(DATA, 16, drop_last=True), 32),
        (DataLoader(DATA, 16, sampler=SubsetRandomSampler(range(20))), 20),
        (DataLoader(DATA, batch_sampler=[[0, 1, 2], [3, 4, 5]]), 6),
    ],
)
def test_a_pass_has_as_many_samples_as_the_loader_gives(loader, samples):
    found = []

    class Watched(Backprop):
        def step(self, sweep):
            found.append((sweep.state.samples, sweep.batch.ends_epoch, sweep.batch.done))
            super().step(sweep)

    altmin.fit(network(), Watched(), loader, epochs=2)
    assert {count for count, _, _ in found} == {samples}
    assert [ends for _, ends, _ in found] == [i % len(loader) == len(loader) - 1 for i in range(2 * len(loader))]
    assert found[len(loader)][2] == 0.5
    assert found[1][2] == pytest.approx(0.5 * (16 if samples > 6 else 3) / samples)


class Numbers(IterableDataset):
    def __iter__(self):
        yield from zip(X, Y, strict=True)


CASES: dict[str, tuple[Any, Any, dict[str, Any], type[Exception], str]] = {
    "a batch method": (DATA, BCD(), {}, TypeError, r"`data` is a DataLoader, and BCD .*hand in tensors or arrays"),
    "a refit": (DATA, OnlineAM(refit=True), {}, ValueError, "`data` is a DataLoader, and refit=True"),
    "a size of batches": (DATA, Backprop(), {"batch_size": 8}, ValueError, "`batch_size` is the DataLoader's own"),
    "checkpoints": (DATA, Backprop(), {"checkpoint": "run"}, ValueError, "`checkpoint`: a DataLoader's order"),
    "a share": (DATA, Backprop(), {"validation": 0.1}, ValueError, "`validation` must be samples, got 0.1"),
    "no length": (Numbers(), Backprop(), {}, TypeError, "`data` is a DataLoader without a length .*fit_stream"),
    "no samples": (TensorDataset(X[:0], Y[:0]), Backprop(), {}, ValueError, "`data` is a DataLoader without batches"),
    "one part": (TensorDataset(X), Backprop(), {}, TypeError, r"`data\[0\]` must be a pair"),
    "nan": (TensorDataset(X / 0, Y), Backprop(), {}, ValueError, r"`data\[0\]`: x holds"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_go_with_a_loader_is_refused_by_name(case):
    data, method, options, error, text = CASES[case]
    model = network()
    with pytest.raises(error, match=text):
        altmin.fit(model, method, DataLoader(data, 16), epochs=2, **options)
    assert torch.equal(weights(model), weights(network()))
