"""What people type first: samples as two arguments, methods and losses by their names, a seed, a device, a share."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import altmin
from altmin import Backprop, Trainer, fit_stream
from altmin.core.batch import Batch
from altmin.data import Split
from altmin.losses import one_hot
from altmin.methods.registry import METHODS
from altmin.train import Options
from altmin.train.holdout import hold_out
from altmin.train.place import check_device

N = 40
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1))
Y = (X[:, 0] > 0.2).long()


def network(outputs=2):
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, outputs))


def weights(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def trained(*data, method: Any = None, **options):
    """The weights after two epochs in batches."""
    model = network()
    if not {"seed", "generator"} & options.keys():
        options["generator"] = torch.Generator().manual_seed(0)
    altmin.fit(model, method or Backprop(), *data, **{"epochs": 2, "batch_size": 16, **options})
    return weights(model)


# Samples


@pytest.mark.parametrize("form", [lambda t: t, torch.Tensor.numpy, torch.Tensor.tolist])
def test_inputs_and_targets_may_be_two_arguments(form):
    targets = form(Y)
    assert torch.equal(trained(X, targets), trained((X, Y)))
    assert torch.equal(trained(X.numpy(), targets), trained((X, Y)))


def test_the_parts_of_a_data_set_are_samples():
    part = Split(X, Y)
    assert torch.equal(trained(part, validation=part), trained((X, Y), validation=(X, Y)))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (Split(X, Y), "a Split"),
        ((X, Y), r"a pair \(x, y\)"),
        (TensorDataset(X, Y), "a TensorDataset"),
        (DataLoader(TensorDataset(X, Y)), "a DataLoader"),
    ],
)
def test_targets_beside_data_that_hold_theirs_are_refused(data, text):
    with pytest.raises(TypeError, match=f"`y` was given beside {text}.*leave `y` out"):
        trained(data, Y)


# Methods


def test_fit_takes_a_method_by_its_name():
    assert torch.equal(trained(X, Y, method="am-adam"), trained(X, Y, method=METHODS["am-adam"].method))


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
def test_a_trainer_takes_a_method_by_its_name():
    trainer = Trainer(network(), "dladmm")
    assert trainer.method == METHODS["dladmm"].method
    trainer.step(X, Y)
    assert trainer.residuals()


def test_a_stream_takes_a_method_by_its_name():
    history = fit_stream(network(), "am-adam", [(X, Y)], steps=1)
    assert history["steps"] == [1]
    with pytest.raises(TypeError, match="`method`: DLADMM"):
        fit_stream(network(), "dladmm", [(X, Y)], steps=1)


def test_an_unknown_method_gets_the_nearest_name():
    with pytest.raises(ValueError, match="unknown method 'am-newtn'; did you mean 'am-newton'"):
        trained(X, Y, method="am-newtn")
    with pytest.raises(TypeError, match=r"`method` must be a method such as .*, or its name, got <class"):
        trained(X, Y, method=Backprop)


# Seeds


def test_a_seed_is_the_generator_that_it_makes():
    assert torch.equal(trained(X, Y, seed=7), trained(X, Y, generator=torch.Generator().manual_seed(7)))
    assert not torch.equal(trained(X, Y, seed=7), trained(X, Y, seed=8))


@pytest.mark.parametrize("seed", [0, np.int64(3), 2**64 - 1])
def test_a_seed_leaves_the_global_generator_alone(seed):
    before = torch.get_rng_state()
    assert torch.equal(trained(X, Y, seed=seed), trained(X, Y, seed=seed))
    assert torch.equal(torch.get_rng_state(), before)


def test_streams_and_trainers_take_a_seed():
    for start in (fit_stream_of, epoch_of):
        assert torch.equal(start(seed=1), start(seed=1))
        assert not torch.equal(start(seed=1), start(seed=2))


def fit_stream_of(**options):
    first, relu, last = network()
    model = nn.Sequential(first, relu, nn.Dropout(0.5), last)
    fit_stream(model, Backprop(), [(X, Y)] * 3, steps=3, **options)
    return weights(model)


def epoch_of(**options):
    trainer = Trainer(network(), Backprop(), **options)
    trainer.epoch(X, Y, 8)
    return weights(trainer.model)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "0"])
def test_what_is_no_seed_is_refused(seed):
    with pytest.raises(ValueError, match=f"`seed` must be an integer from 0 to .*got {seed!r}"):
        trained(X, Y, seed=seed)


def test_a_seed_beside_a_generator_is_refused():
    with pytest.raises(ValueError, match="`seed` makes a generator, and `generator` is one"):
        trained(X, Y, seed=0, generator=torch.Generator())


def test_a_run_goes_on_by_its_seed_and_no_other(tmp_path):
    chosen: dict[str, Any] = {"checkpoint": tmp_path, "resume": True, "record_every": 2}
    trained(X, Y, seed=np.int64(3), epochs=2, **chosen)
    with pytest.raises(altmin.CheckpointError, match="`generator` was 3 and is 4"):
        trained(X, Y, seed=4, epochs=2, **chosen)
    trained(X, Y, generator=torch.Generator().manual_seed(3), epochs=2, **chosen)


# Devices


def test_auto_is_the_cpu_where_there_is_no_other(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check_device("auto") == "cpu"
    assert Options(device="auto").device == "cpu"
    assert torch.equal(trained(X, Y, device="auto"), trained(X, Y, device="cpu"))


def test_auto_is_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ValueError, match="`device` cuda: PyTorch finds 0 CUDA"):
        trained(X, Y, device="auto")


# Shares


def held_out(share, y, classes, seed):
    return hold_out("validation", share, Batch(X, y), classes, lambda: seed)[:2]


@pytest.mark.parametrize("seed", range(8))
def test_a_share_is_held_out_of_every_class_and_of_training(seed):
    train, held = held_out(0.25, one_hot(Y, 2, X.dtype), True, seed)
    assert sorted([*train.x[:, 0].tolist(), *held.x[:, 0].tolist()]) == sorted(X[:, 0].tolist())
    for kind in (0, 1):
        assert int(held.y[:, kind].sum()) == int(0.25 * int(Y.eq(kind).sum()) + 0.5)
    assert torch.equal(held.y[:, 1].bool(), held.x[:, 0] > 0.2), "targets stay with their inputs"


def test_what_is_held_out_is_the_seeds():
    held = held_out(0.25, one_hot(Y, 2, X.dtype), True, 0)[1]
    assert torch.equal(held.x, held_out(0.25, one_hot(Y, 2, X.dtype), True, 0)[1].x)
    assert not torch.equal(held.x, held_out(0.25, one_hot(Y, 2, X.dtype), True, 1)[1].x)


def test_a_share_of_real_targets_is_one_of_all():
    train, held = held_out(0.1, X[:, 1:2], False, 0)
    assert (len(train.x), len(held.x)) == (36, 4)
    assert torch.equal(held.y[:, 0], held.x[:, 1])


@dataclass(frozen=True)
class Watched(Backprop):
    """A method that notes what it trains on."""

    seen: ClassVar[list[torch.Tensor]] = []

    def init(self, sweep):
        self.seen.append(sweep.batch.x)
        super().init(sweep)


def test_the_run_trains_on_the_rest_which_its_seed_draws():
    for seed in (0, 0, 1):
        altmin.fit(network(), Watched(), X, Y, validation=0.25, epochs=1, seed=seed)
    first, again, other = Watched.seen
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first) == len(X) - sum(int(0.25 * int(Y.eq(kind).sum()) + 0.5) for kind in (0, 1))


def test_the_best_weights_are_those_of_the_held_out_samples():
    model = network()
    history = altmin.fit(model, "am-adam", X, Y, validation=0.3, keep="best", epochs=4, batch_size=8, seed=0)
    assert len(history["validation_accuracy"]) == 4
    assert history.kept is not None
    assert history.kept["validation_accuracy"] == max(history["validation_accuracy"])


def test_a_run_with_a_share_goes_on_with_the_same_split(tmp_path):
    def run(epochs, seed, validation=0.25, **options):
        torch.manual_seed(seed)
        model, chosen = network(), {"epochs": 4, "batch_size": 8, "callbacks": [stop(epochs)]}
        altmin.fit(model, Backprop(), X, Y, validation=validation, **chosen, **options)
        return weights(model)

    run(2, seed=5, checkpoint=tmp_path)
    assert torch.equal(run(4, seed=6, checkpoint=tmp_path, resume=True), run(4, seed=5))
    with pytest.raises(altmin.CheckpointError, match=r"`validation` was '11 samples .* and is '20 samples"):
        run(4, seed=5, validation=0.5, checkpoint=tmp_path, resume=True)


def stop(epochs):
    return lambda history, state: history.iterations == epochs


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5, 20, True, float("nan")])
def test_a_number_that_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match=f"`validation` must be samples, or a share .* got {share!r}"):
        trained(X, Y, validation=share)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.01, rf"0.01 of the {int((Y == 0).sum())} samples of class 0 leaves none of them to validate on"),
        (0.99, rf"0.99 of the {int((Y == 0).sum())} samples of class 0 leaves none of them to train on"),
    ],
)
def test_a_share_that_leaves_a_side_without_a_class_is_refused(share, text):
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=f"`validation`: a share of {text}; take another share"):
        altmin.fit(network(), Backprop(), X, Y, epochs=1, validation=share)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_share_that_leaves_a_side_empty_is_refused():
    with pytest.raises(ValueError, match=r"`validation`: a share of 0.01 of the 40 samples leaves none of"):
        altmin.fit(network(1), Backprop(), X, X[:, 0], epochs=1, validation=0.01, loss="squared")


def test_streams_hold_out_nothing():
    with pytest.raises(ValueError, match=r"`validation` must be samples, got 0.1; only `fit`"):
        fit_stream(network(), Backprop(), [(X, Y)], steps=1, validation=0.1)
