"""What people type first: samples as two arguments, methods and losses by their names, a seed, a device, a share."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import altmin
from altmin import Backprop, Trainer, fit_stream
from altmin.methods.registry import METHODS
from altmin.train import Options
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


@pytest.mark.parametrize(
    ("data", "text"),
    [
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
    model = nn.Sequential(*network()[:2], nn.Dropout(0.5), network()[2])
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
