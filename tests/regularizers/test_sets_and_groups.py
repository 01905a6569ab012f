"""Regularisers that are sets of weights, and group sparsity: prox by search, what methods keep to, who refuses them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

import altmin
from altmin import DLADMM, DLAM, DTP, IPDLAM, MDLAM, SGD, Backprop, Method, Mu, OnlineAM, problem_of
from altmin.regularizers import Binary, Box, GroupSparsity, Nonnegative, Regularizer, make_regularizer
from methods.table import Loop, digits, network

SETS: dict[str, Regularizer] = {
    "nonnegative": Nonnegative(),
    "box:-0.2:0.3": Box(-0.2, 0.3),
    "binary:0.1": Binary(0.1),
}
CONVEX = [text for text in SETS if text != "binary:0.1"]
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def randn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("text", [*SETS, "group:0.5", "binary"])
def test_names(text: str):
    known: dict[str, Regularizer] = {**SETS, "group:0.5": GroupSparsity(0.5), "binary": Binary(1.0)}
    assert make_regularizer(text) == known[text]


WRONG = {
    "box:1:1": "`low` of a box must be < `high`",
    "box:1": "missing a required argument: 'high'",
    "box:nan:1": "`low` of a box must be < `high`",
    "binary:0": "`size` must be > 0",
    "group:-1": ">= 0 and finite",
    "nonnegative:1": "too many positional arguments",
}


@pytest.mark.parametrize("text", WRONG)
def test_numbers_are_checked(text: str):
    with pytest.raises(ValueError, match=WRONG[text]):
        make_regularizer(text)


@pytest.mark.parametrize("text", SETS)
def test_the_prox_is_the_nearest_point_of_the_set(text: str):
    """By a look at every point of a fine grid that belongs to the set, as its own value says."""
    omega, V = SETS[text], torch.cat([randn(0, 40), torch.tensor([0.0, -0.2, 0.3, 0.1, -0.1], dtype=torch.float64)])
    grid = torch.arange(-400, 401, dtype=torch.float64) / 100
    inside = torch.stack([point for point in grid if float(omega(point[None])) == 0.0])
    found = omega.prox(V, 0.7)
    assert float(omega(found)) == 0.0
    least = (inside[:, None] - V).abs().amin(0)
    assert ((found - V).abs() <= least + 1e-12).all()
    assert ((found - V).abs() >= least - 0.01).all()


@pytest.mark.parametrize("text", SETS)
def test_outside_the_set_the_value_is_infinite(text: str):
    assert math.isinf(SETS[text](torch.tensor([[0.1, -0.7]])))
    assert float(SETS[text](torch.full((2, 2), 0.1))) == 0.0


@pytest.mark.parametrize("weight", [0.0, 0.4, 2.0])
def test_group_sparsity_by_scipy(weight: float):
    omega, v, r = GroupSparsity(weight), randn(1, 3, 4), 0.8

    def objective(flat: np.ndarray) -> float:
        W = torch.tensor(flat).view(3, 4)
        rows = sum(math.sqrt(float(row.square().sum())) for row in W)
        return weight * rows + 0.5 * r * float((W - v).square().sum())

    found = omega.prox(v, r)
    best = minimize(objective, v.numpy().ravel() * 0.5, method="Powell", options={"xtol": 1e-9, "ftol": 1e-14})
    assert objective(found.numpy().ravel()) <= best.fun + 1e-9
    torch.testing.assert_close(found, torch.tensor(best.x).view(3, 4), rtol=0, atol=2e-3)
    assert float(omega(v)) == pytest.approx(weight * float(v.norm(dim=1).sum()))


def test_rows_that_are_short_enough_and_zeros_become_zero():
    W = torch.tensor([[0.3, 0.4], [0.0, 0.0], [30.0, 40.0]])
    torch.testing.assert_close(GroupSparsity(1.0).prox(W, 1.0), torch.tensor([[0.0, 0.0], [0.0, 0.0], [29.4, 39.2]]))


KEEPING: dict[str, Method] = {
    "ipdlam": IPDLAM(),
    "dlam": DLAM(delta=1.0),
    "mdlam": MDLAM(rho=0.3, eps=0.3, eps_rule="fixed"),
    "dladmm": DLADMM(rho=3.0, nu=1.0, schedule="constant"),
    "am-adam": OnlineAM(),
    "am-sgd": OnlineAM(rule=SGD(0.5), last=SGD(0.2)),
    "dtp": DTP(),
}
BATCH = ("ipdlam", "dlam", "mdlam", "dladmm")


@quiet
@pytest.mark.parametrize(("name", "text"), list(itertools.product(KEEPING, SETS)))
def test_every_weight_stays_in_the_set(name: str, text: str):
    if text.startswith("binary") and name not in BATCH:
        with pytest.raises(TypeError, match=r"small steps, by which weights of Binary.* never change; IPDLAM can"):
            KEEPING[name].check(problem_of(network(8), regularizer=text))
        return
    model = network(8)
    altmin.fit(model, KEEPING[name], digits(100), epochs=4, regularizer=text, keep="last")
    weights = [m.weight for m in model if isinstance(m, torch.nn.Linear)]
    assert [float(SETS[text](W.detach())) for W in weights] == [0.0] * len(weights)


@quiet
@pytest.mark.parametrize(("name", "text"), list(itertools.product(("dlam", "mdlam", "dladmm"), [*SETS, "group:0.5"])))
def test_objectives_never_rise_once_the_weights_are_in_the_set(name: str, text: str):
    method = KEEPING[name]
    method = replace(method, accelerated=False) if isinstance(method, MDLAM) else method
    loop = Loop.on_digits(method, n=100, regularizer=text).scattered()
    for _ in range(2):
        loop.step()
    values = loop.run(15)
    assert all(after <= before + 1e-9 * abs(before) for before, after in itertools.pairwise(values))
    assert values[-1] < values[0]


def test_group_sparsity_switches_units_off():
    loop = Loop.on_digits(
        OnlineAM(rule=SGD(0.5), last=SGD(0.5), mu=Mu(start=0.1)), hidden=(12,), n=100, regularizer="group:0.6"
    )
    for _ in range(60):
        loop.step()
    rows = loop.state.W[0].norm(dim=1)
    assert 0 < int((rows == 0).sum()) < 12


@pytest.mark.parametrize("text", SETS)
def test_backpropagation_and_a_refit_refuse_sets(text: str):
    problem = problem_of(network(4), regularizer=text)
    with pytest.raises(TypeError, match=r"Backprop (follows gradients|takes small steps)"):
        Backprop("adam").check(problem)
    with pytest.raises(TypeError, match="none, l1 and l2, got"):
        altmin.BCD().check(problem)
    if text in CONVEX:
        with pytest.raises(TypeError, match="`refit` fits a last layer without its regulariser"):
            OnlineAM(refit=True).check(problem)
