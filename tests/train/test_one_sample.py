"""Batch normalisation over one sample has no variance: such a batch is refused before training, as in PyTorch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin

ONLINE = [altmin.OnlineAM(), altmin.OnlineAM.newton(), altmin.DTP(), altmin.Backprop(), altmin.ProxProp()]
X = torch.randn(41, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


def images(padding: int = 0) -> nn.Sequential:
    """Of six pixels, which the convolution makes one number or several for each channel."""
    conv = nn.Sequential(nn.Conv2d(1, 3, (2, 3), padding=padding), nn.BatchNorm2d(3))
    return nn.Sequential(nn.Unflatten(1, (1, 2, 3)), *conv, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))


def built(model: nn.Sequential) -> nn.Sequential:
    model.eval()(X)
    return model.train()


def takes(method: altmin.Method, model: nn.Sequential) -> bool:
    try:
        method.check(altmin.problem_of(model))
    except TypeError:
        return False
    return True


METHODS = [method for method in ONLINE if takes(method, network())]


def refused(model: nn.Sequential, text: str, train: Any) -> None:
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=f"{text}.*batch normalisation has no variance"):
        train()
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_methods_that_normalise_by_the_batch_are_tested():
    assert {type(method) for method in METHODS} >= {altmin.OnlineAM, altmin.Backprop}


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(("size", "n", "fits"), [(1, 41, 3), (20, 41, 21), (8, 41, 9), (40, 41, 41)])
def test_a_batch_of_one_sample_is_refused_before_training(method: altmin.Method, size: int, n: int, fits: int):
    model = network()
    data = X[:n], Y[:n]
    refused(
        model, f"`batch_size` {size} splits {n}", lambda: altmin.fit(model, method, data, epochs=3, batch_size=size)
    )
    refused(
        model, f"`batch_size` {size} splits {n}", lambda: altmin.Trainer(model, method).epoch(*data, batch_size=size)
    )
    with pytest.raises(ValueError, match=f"such as {fits}, or leave a sample out"):
        altmin.fit(model, method, data, epochs=3, batch_size=size)
    altmin.fit(model, method, data, epochs=1, batch_size=fits)


def test_the_remainder_of_a_methods_own_batch_size_is_refused():
    size = altmin.OnlineAM.default_batch
    assert size is not None
    model, x = network(), torch.randn(size + 1, 6)
    text = f"`batch_size` {size} splits {size + 1} samples"
    refused(model, text, lambda: altmin.fit(model, altmin.OnlineAM(), (x, (x[:, 0] > 0).long()), epochs=1))


def test_one_sample_in_all_is_refused():
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1))
    one: tuple[Tensor, Tensor] = (X[:1], X[:1, :1])
    method = altmin.OnlineAM()
    refused(model, "`data` holds one sample", lambda: altmin.fit(model, method, one, loss="squared", epochs=1))
    altmin.fit(nn.Sequential(nn.Linear(6, 1)), altmin.BCD(), one, loss="squared", epochs=1)


def test_a_step_on_one_sample_is_refused_and_the_next_one_is_the_first():
    model = network()
    trainer = altmin.Trainer(model, altmin.OnlineAM())
    refused(model, "`data` is a batch of one sample", lambda: trainer.step(X[:1], Y[:1]))
    refused(model, "`data` is a batch of one sample", lambda: trainer.step(X, Y, rows=slice(3, 4)))
    with pytest.raises(RuntimeError, match="before the first step"):
        trainer.state_dict()
    trainer.step(X, Y)
    assert trainer.state.samples == len(X)
    with pytest.raises(ValueError, match="one sample"):
        trainer.step(X[:1], Y[:1])


@pytest.mark.parametrize("before", [0, 2])
def test_a_stream_is_refused_at_its_batch_of_one_sample(before: int):
    batches = [(X[:20], Y[:20])] * before + [(X[:1], Y[:1])]
    with pytest.raises(ValueError, match=rf"`batches\[{before}\]` is a batch of one sample"):
        altmin.fit_stream(network(), altmin.OnlineAM(), batches, steps=10)


@pytest.mark.filterwarnings("ignore:Lazy modules:UserWarning")
def test_an_image_of_several_pixels_has_a_variance_and_one_of_one_pixel_has_none():
    model = built(images(padding=1))
    altmin.fit(model, altmin.OnlineAM(), (X, Y), epochs=1, batch_size=1)
    model = built(images())
    text = "`batch_size` 20 splits 41"
    refused(model, text, lambda: altmin.fit(model, altmin.OnlineAM(), (X, Y), epochs=1, batch_size=20))


def test_validation_on_one_sample_and_networks_without_normalisation_are_free():
    altmin.fit(network(), altmin.OnlineAM(), (X, Y), epochs=1, batch_size=41, validation=(X[:1], Y[:1]))
    plain = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    altmin.fit(plain, altmin.OnlineAM(), (X, Y), epochs=1, batch_size=20)
