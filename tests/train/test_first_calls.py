"""What people type first: samples as two arguments, methods and losses by their names, a seed, a device, a share."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import altmin
from altmin import Backprop

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
