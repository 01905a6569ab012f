"""The yardstick equals an ordinary PyTorch training loop."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import altmin
from altmin import Backprop
from altmin.methods.backprop import OPTIMIZERS
from methods.table import digits, network


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_a_plain_loop_of_full_batches(name: str):
    x, y = digits(200)
    model, twin = network(12), network(12)
    altmin.fit(model, Backprop(name), (x, y), epochs=5, batch_size=200)
    kind, lr = OPTIMIZERS[name]
    optimizer = kind(twin.parameters(), lr=lr)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_sees_the_same_batches_for_the_same_generator():
    x, y = digits(200)
    models = [network(12), network(12)]
    for model in models:
        altmin.fit(model, Backprop("sgd"), (x, y), epochs=3, batch_size=30, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(p, q) for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_takes_a_factory_with_its_own_options():
    x, y = digits(200)
    model, twin = network(12), network(12)
    factory = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    altmin.fit(model, Backprop(factory), (x, y), epochs=4, batch_size=200)
    optimizer = factory(twin.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(model[0].weight, twin[0].weight)


def test_l2_is_spread_over_the_samples():
    """``R + w/2 ||W||^2`` as a sum is ``R/N + w/(2N) ||W||^2`` as a mean: weight decay ``w/N`` on the weights."""
    x, y = digits(200)
    model, twin = network(12), network(12)
    altmin.fit(model, Backprop("sgd", lr=0.1), (x, y), epochs=4, batch_size=200, regularizer="l2:30")
    weights = [m.weight for m in twin if isinstance(m, nn.Linear)]
    intercepts = [m.bias for m in twin if isinstance(m, nn.Linear)]
    groups = [{"params": weights, "weight_decay": 30 / 200}, {"params": intercepts}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(model[0].weight, twin[0].weight)


def test_unknown_optimizer_gets_the_nearest_name():
    with pytest.raises(ValueError, match=r"unknown `optimizer` 'adm'; did you mean 'adam'"):
        Backprop("adm")
