"""Optimisers of PyTorch as rules of the layers, and Muon for networks that are more than matrices."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import altmin
from altmin import Adam, Codes, OnlineAM, OptimizerRule
from altmin.audit import Gradients
from altmin.online.muon import MuonWithAdam
from methods.table import digits, network


def trained(rule: Any, **numbers: Any) -> list[torch.Tensor]:
    model, generator = network(12), torch.Generator().manual_seed(0)
    method = OnlineAM(rule=rule, last=rule, codes=Codes(steps=1), **numbers)
    altmin.fit(model, method, digits(200), epochs=2, batch_size=50, generator=generator)
    return list(model.parameters())


@pytest.mark.parametrize("decay", ["none", "linear"])
def test_a_rule_by_name_is_the_rule_that_has_a_class(decay: str):
    for one, two in zip(
        trained(OptimizerRule("adam", 0.004), decay=decay), trained(Adam(0.004), decay=decay), strict=True
    ):
        assert torch.equal(one, two)


def test_a_class_and_a_function_do_as_well_as_a_name():
    named = trained(OptimizerRule("nadam", 0.004))
    of_class = trained(OptimizerRule(torch.optim.NAdam, 0.004))
    made = trained(OptimizerRule(lambda params: torch.optim.NAdam(params, lr=0.004)))
    assert all(map(torch.equal, named, of_class))
    assert all(map(torch.equal, named, made))


def test_a_rule_keeps_the_methods_label():
    assert OnlineAM(rule=OptimizerRule("muon")).gradients is Gradients.LAYER


@pytest.mark.parametrize(
    ("kind", "error", "match"),
    [
        ("adem", ValueError, "unknown `kind` 'adem'; did you mean 'adam'"),
        (3, TypeError, "`kind` must be a name, a class or a function"),
        (torch.optim.LBFGS, TypeError, "`kind`: LBFGS needs a closure"),
    ],
)
def test_what_is_no_optimiser_is_refused(kind: Any, error: type[Exception], match: str):
    with pytest.raises(error, match=match):
        OptimizerRule(kind)


def test_muon_moves_matrices_and_adam_the_rest():
    W, b, images = (torch.randn(size, generator=torch.Generator().manual_seed(0)) for size in ((4, 3), (4,), (2, 3, 3)))
    twins = [t.clone() for t in (W, b, images)]
    whole = MuonWithAdam([W, b, images], lr=0.1, adam_lr=0.5)
    muon = torch.optim.Muon(twins[:1], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.Adam(twins[1:], lr=0.05, fused=True)
    for k in range(4):
        whole.param_groups[0]["lr"] = 0.1 / (k + 1)
        muon.param_groups[0]["lr"], adam.param_groups[0]["lr"] = 0.1 / (k + 1), 0.05 / (k + 1)
        for mine, twin in zip((W, b, images), twins, strict=True):
            mine.grad = twin.grad = torch.full_like(mine, k - 1.5) + mine
        for optimizer in (whole, muon, adam):
            optimizer.step()
    for mine, twin in zip((W, b, images), twins, strict=True):
        torch.testing.assert_close(mine, twin)


def test_muon_without_matrices_or_without_others():
    for size in ((2, 2), (3,)):
        p = torch.ones(size)
        p.grad = torch.ones(size)
        MuonWithAdam([p], lr=0.1).step()
        assert (p != 1).all()
    with pytest.raises(TypeError, match="closure"):
        MuonWithAdam([torch.ones(2)]).step(lambda: 0.0)
