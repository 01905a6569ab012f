"""Weights that share memory, by whatever views, and weights that repeat a number are refused before training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import altmin

X = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))


def square() -> Any:
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))


def tied(view: Callable[[Tensor], Tensor]) -> nn.Sequential:
    model = square()
    model[4].weight = nn.Parameter(view(model[0].weight.data))
    return model


def tied_intercept() -> nn.Sequential:
    model = square()
    model[2].bias = nn.Parameter(model[0].weight.data[1])
    return model


def one_parameter() -> nn.Sequential:
    model = square()
    model[4].weight = model[0].weight
    return model


def one_module() -> nn.Sequential:
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def halves_that_overlap() -> nn.Sequential:
    model, flat = square(), torch.randn(24)
    model[0].weight, model[2].weight = nn.Parameter(flat[:16].view(4, 4)), nn.Parameter(flat[8:].view(4, 4))
    return model


def arrays() -> nn.Sequential:
    model, array = square(), np.random.default_rng(0).standard_normal(20, np.float32)
    model[0].weight = nn.Parameter(torch.from_numpy(array[:16]).view(4, 4))
    model[2].weight = nn.Parameter(torch.from_numpy(array[4:]).view(4, 4))
    return model


def running_mean() -> nn.Sequential:
    model: Any = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 4))
    model[1].running_mean = model[0].bias.data
    return model


def repeating(weight: Tensor) -> nn.Sequential:
    model = square()
    model[2].weight = nn.Parameter(weight)
    return model


SHARED: dict[str, tuple[Callable[[], nn.Sequential], str]] = {
    "the transpose": (lambda: tied(Tensor.t), r"0\.weight and 4\.weight share memory"),
    "the same data": (lambda: tied(lambda w: w), r"0\.weight and 4\.weight share memory"),
    "a row as an intercept": (tied_intercept, r"0\.weight and 2\.bias share memory"),
    "one parameter": (one_parameter, r"shares its weights with a module before it"),
    "one module": (one_module, r"shares its weights with a module before it"),
    "halves that overlap": (halves_that_overlap, r"0\.weight and 2\.weight share memory"),
    "arrays of one memory": (arrays, r"0\.weight and 2\.weight share memory"),
    "running statistics": (running_mean, r"0\.bias and 1\.running_mean share memory"),
    "one number": (lambda: repeating(torch.ones(()).expand(4, 4)), r"2\.weight repeats numbers"),
    "one row": (lambda: repeating(torch.randn(4).expand(4, 4)), r"2\.weight repeats numbers"),
    "windows": (lambda: repeating(torch.randn(7).unfold(0, 4, 1)), r"2\.weight repeats numbers"),
}


@pytest.mark.parametrize("case", SHARED)
def test_shared_memory_is_refused_by_name(case: str):
    make, text = SHARED[case]
    for train in (
        lambda: altmin.Trainer(make(), altmin.IPDLAM(), loss="squared"),
        lambda: altmin.fit(make(), altmin.OnlineAM(), "no data", loss="squared", epochs=1),
    ):
        with pytest.raises(TypeError, match=text):
            train()


def slices_of_one_tensor() -> nn.Sequential:
    model, flat = square(), torch.randn(40)
    for i in (0, 2):
        model[i].weight = nn.Parameter(flat[8 * i :][:16].view(4, 4))
    return model


def columns_of_one_matrix() -> nn.Sequential:
    model, both = square(), torch.randn(4, 8)
    model[0].weight, model[2].weight = nn.Parameter(both[:, :4]), nn.Parameter(both[:, 4:])
    return model


def transposed() -> nn.Sequential:
    model = square()
    model[2].weight = nn.Parameter(torch.randn(4, 4).t())
    return model


@pytest.mark.parametrize("make", [slices_of_one_tensor, columns_of_one_matrix, transposed])
def test_memory_of_ones_own_is_trained_however_it_lies(make: Callable[[], nn.Sequential]):
    model = make()
    history = altmin.fit(model, altmin.DLAM(), (X, X), loss="squared", epochs=2)
    own = 0.5 * (model(X) - X).square().sum().item() / len(X)
    assert history["train_loss"][-1] == pytest.approx(own, rel=1e-5)
