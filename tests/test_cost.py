"""The cost model against the products that the code makes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import altmin
from altmin import (
    BCD,
    DLADMM,
    DLAM,
    IPDLAM,
    MDLAM,
    Adam,
    Backprop,
    Codes,
    Memory,
    Method,
    OnlineAM,
    Problem,
    TaylorADMM,
)
from methods.table import Loop, network

N = 151  # the width of no layer
MATRICES = {"mm": (0, 1), "addmm": (1, 2), "bmm": (0, 1), "baddbmm": (1, 2)}
METHODS = [
    DLADMM(),
    DLADMM(schedule="adaptive"),
    MDLAM(rho=0.1, eps=100.0, eps_rule="fixed"),
    MDLAM(rho=0.1, eps=100.0, eps_rule="fixed", accelerated=False),
    IPDLAM(),
    IPDLAM(order="nested"),
    DLAM(),
    BCD(),
    TaylorADMM(warmup=0, start="forward"),
    Backprop(),
    OnlineAM(rule=Adam(0.01), last=Adam(0.01)),
    OnlineAM(rule=Adam(0.01), last=Adam(0.01), codes=Codes(steps=3), weight_steps=2),
    OnlineAM(rule=Adam(0.01), last=Adam(0.01), codes=Codes(steps=1), regressors="forward"),
    OnlineAM(rule=Adam(0.01), last=Adam(0.01), codes=Codes(steps=0), weight_steps=2),
]
methods = pytest.mark.parametrize("method", METHODS, ids=repr)
pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


class Multiplications(TorchDispatchMode):
    """Counts the multiplications of all matrix products that have a side of `N`, by their other two sides."""

    def __init__(self):
        super().__init__()
        self.by_sides: Counter[tuple[int, ...]] = Counter()
        self.sides: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in MATRICES:
            left, right = (args[k] for k in MATRICES[name])
            self.add(left, right)
        return func(*args, **(kwargs or {}))

    def add(self, left: Tensor, right: Tensor) -> None:
        sides = [left.shape[-2], left.shape[-1], right.shape[-1]]
        self.sides |= {*sides} if all(sides) else set()  # of no sample there is nothing to multiply
        if N in sides:
            sides.remove(N)
            self.by_sides[tuple(sorted(sides))] += left.shape[:-2].numel() * N * sides[0] * sides[1]


def away(loop: Loop) -> None:
    """Move the pre-activations of mDLAM far from what the layers give, whose distance nothing but rounding would be.

    In a wide band every hidden layer is fitted exactly: its activations would move by rounding, and rounding would say
    which samples seem to rise and take the plain step. Now every sample falls by far in every layer.
    """
    generator = torch.Generator().manual_seed(0)
    z = tuple(t + 5.0 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in loop.state.z)
    loop.state = replace(loop.state, z=z)


def counted(method: Method, hidden: tuple[int, ...]) -> Multiplications:
    """The third iteration."""
    loop = Loop.on_digits(method, hidden=hidden, n=N)
    loop.step(), loop.step()
    if isinstance(method, MDLAM):
        away(loop)
    with Multiplications() as seen:
        loop.step()
    return seen


def made(method: Method, hidden: tuple[int, ...]) -> Counter[tuple[int, ...]]:
    """The multiplications of the third iteration."""
    return counted(method, hidden).by_sides


def modelled(method: Method, hidden: tuple[int, ...]) -> Counter[tuple[int, ...]]:
    total: Counter[tuple[int, ...]] = Counter()
    for p in method.cost(Problem.from_module(network(*hidden)), N).products:
        total[min(p.inputs, p.outputs), max(p.inputs, p.outputs)] += round(N * p.inputs * p.outputs * p.made * p.share)
    return total


@methods
@pytest.mark.parametrize("hidden", [(), (12,), (20, 15), (33, 21, 17, 14), (90, 70)], ids=str)
def test_the_code_makes_the_products_of_the_model(method: Method, hidden: tuple[int, ...]):
    seen = counted(method, hidden)
    assert seen.by_sides == modelled(method, hidden)
    assert seen.sides <= {N, 64, *hidden, 10, 1}, "products of some of the samples are in neither count"


@pytest.mark.parametrize("method", [DLADMM(), MDLAM(rho=0.1, eps=100.0, eps_rule="fixed")], ids=repr)
def test_wide_symmetric_products_are_made_in_part(method: Method):
    """By blocks of columns: the sides are the blocks', and only the totals agree."""
    hidden = (300, 20)
    assert made(method, hidden).total() == modelled(method, hidden).total()


@methods
def test_the_least_is_no_more_than_what_is_made(method: Method):
    cost = method.cost(Problem.from_module(network(20, 15)), N)
    assert 0 < cost.least <= cost.flops


def test_dladmm_needs_eight_products_and_two_of_the_data():
    """Eight of N x 50 x 40, two of N x 64 x 50, and those of the ten outputs."""
    cost = DLADMM().cost(Problem.from_module(network(50, 40)), N)
    assert cost.least == 2 * N * (8 * 50 * 40 + 2 * 64 * 50 + 8 * 40 * 10)


def test_backpropagation_in_numbers():
    cost = Backprop().cost(Problem.from_module(network(20)), 100)
    assert cost.flops == cost.least == 2 * 100 * (2 * 64 * 20 + 3 * 20 * 10)
    assert cost.bytes == 4 * (2 * (100 * 84 + 64 * 20) + 3 * (100 * 30 + 20 * 10))
    assert "A_1 W_2^T" in str(cost)


@pytest.mark.parametrize(
    ("method", "regularizer", "message"),
    [
        (altmin.MAC(), None, "MAC has no cost model"),
        (DLADMM(), "l1:0.1", "DLADMM has no cost model with a regulariser"),
        (OnlineAM(rule=Memory(), last=Adam(0.01)), None, "OnlineAM has no cost model of the rule Memory"),
    ],
)
def test_what_depends_on_the_data_is_refused(method: Method, regularizer: str | None, message: str):
    problem = Problem.from_module(network(20), regularizer=regularizer)
    with pytest.raises(TypeError, match=message):
        method.cost(problem, N)


def test_networks_that_are_not_linear_layers_are_refused():
    problem = Problem.from_module(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)))
    with pytest.raises(TypeError, match=r"`problem`.*layer 1 \(Conv2d\)"):
        Backprop().cost(problem, N)


def test_cost_is_linear_in_the_samples():
    problem = Problem.from_module(network(20, 15, dtype=torch.float32))
    assert DLADMM().cost(problem, 2 * N).flops == 2 * DLADMM().cost(problem, N).flops
