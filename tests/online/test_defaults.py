"""What stands for numbers that nobody set: it goes by the rule of the weights and by the depth of the network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from altmin import SGD, Adam, CoActivationMemory, Codes, Newton, OnlineAM, OptimizerRule, Residual
from altmin.online.rules.adam import RATE
from methods.table import Loop, digits


def deep() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        inner = [Residual(nn.Sequential(nn.Tanh(), nn.Linear(12, 12))) for _ in range(3)]
        return nn.Sequential(nn.Linear(64, 12), *inner, nn.Tanh(), nn.Linear(12, 10)).double()


@pytest.mark.parametrize(
    ("codes", "rule", "scaling", "momentum"),
    [
        (Codes(), Adam(), "gradients", 0.0),
        (Codes(), OptimizerRule("muon"), "gradients", 0.0),
        (Codes(), SGD(), "samples", 0.9),
        (Codes(), CoActivationMemory(), "samples", 0.9),
        (Codes(steps=5), Adam(), "samples", 0.9),
        (Codes(scaling="samples"), Adam(), "samples", 0.9),
        (Codes(scaling="entries", momentum=0.5), Adam(), "entries", 0.5),
    ],
)
def test_scaling_goes_by_the_rule_unless_it_is_said(codes: Codes, rule: Any, scaling: str, momentum: float):
    found = codes.for_rule(rule)
    assert (found.scaling, found.momentum, found.steps) == (scaling, momentum, codes.steps)


def test_adams_rate_goes_by_the_depth_unless_it_is_said():
    for rule, rate in ((Adam(), RATE / 5), (Adam(0.01), 0.01)):
        memory = Loop.on(OnlineAM(rule=rule, last=rule), deep(), *digits(40)).state.memory.rules[0]
        assert memory.decaying.rates == [pytest.approx(rate)]


def test_with_the_defaults_layers_follow_the_gradient_of_the_networks_loss():
    """By autograd, through residual connections; each layer's is that gradient times a positive number, here 1."""
    model, (x, y) = deep(), digits(40)
    loop = Loop.on(OnlineAM(rule=Adam(), last=Adam()), model, x, y)
    assert isinstance(loop.method, OnlineAM)
    targets = loop.method.prepare(loop.sweep()).layers
    found = [g for target in targets for g in target.gradient().grads]
    twin = deep()
    cross_entropy(twin(x.double()), y).backward()
    for g, p in zip(found, twin.parameters(), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(g, p.grad, rtol=1e-9, atol=1e-12)


def test_newton_has_its_own_codes():
    codes = OnlineAM.newton(Newton()).codes
    assert (codes.scaling, codes.momentum, codes.steps) == ("gradients", 0.0, 1)
