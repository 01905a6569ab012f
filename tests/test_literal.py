"""The library's iterates are those of the papers' printed loops, which `benchmarks/literal` has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import literal
from altmin import Adam, Codes, Method, Mu, OnlineAM, State
from altmin import methods as library
from literal.shared import softmax_prox
from methods.table import Loop, digits, network

HIDDEN, SAMPLES = (12, 9), 150
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def begin(method: Method, loss: str) -> Loop:
    """A small network on digits in float64."""
    return Loop.of(method, network(*HIDDEN), loss, SAMPLES)


def equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=1e-9)


def moved(state: State[Any], start: State[Any]) -> float:
    """The movement of the layer whose weights moved least."""
    return min(float((new - old).abs().max()) for new, old in zip(state.W, start.W, strict=True))


def compare(method: Method, printed: type, loss: str, iterations: int, **numbers: Any) -> None:
    """Every iterate of `method` is that of the loops in `printed`, begun off the forward pass; all weights move."""
    loop = begin(method, loss)
    start, batch, state = loop.state.weights(), loop.batch, loop.state
    theirs = printed([t.clone() for t in start.W], [t.clone() for t in start.b], batch.x, batch.y, **numbers)
    loop.scattered()
    theirs.z, theirs.a[: len(state.a)] = [t.clone() for t in state.z], [t.clone() for t in state.a]
    for _ in range(iterations):
        loop.step()
        theirs.step()
        equal(state.W, theirs.W)
        equal(state.b, theirs.b)
        equal(state.z, theirs.z)
        equal(state.a, theirs.a[: len(state.a)])
    if state.u is not None:
        equal([state.u], [theirs.u])
    assert moved(state, start) > 1e-4


@pytest.mark.parametrize("order", ["increase", "reverse", "nested"])
@pytest.mark.parametrize(("factor", "delta", "rho"), [(0.7, 1.0, 1.0), (0.2, 0.3, 0.05)])
def test_ipdlam(order: str, factor: float, delta: float, rho: float):
    method = library.IPDLAM(alpha=factor, beta=factor, gamma=factor, delta=delta, rho=rho, order=order)
    compare(method, literal.IPDLAM, "squared", 12, factor=factor, delta=delta, rho=rho, order=order)


def test_ipdlam_in_nested_order_is_another_iteration():
    """Increase and reverse have the same iterates, so that only this order tells whether it is the one asked for."""
    found = {}
    for order in ("increase", "reverse", "nested"):
        loop = begin(library.IPDLAM(order=order), "squared").scattered()
        for _ in range(3):
            loop.step()
        found[order] = loop.state.W
    equal(found["increase"], found["reverse"])
    for one, two in zip(found["increase"], found["nested"], strict=True):
        assert (one - two).abs().max() > 1e-3


@pytest.mark.thinned(1)
@quiet
@pytest.mark.parametrize("per_sample", [True, False])
@pytest.mark.parametrize(("rho", "nu", "start", "factor"), [(2.5, 1.0, 1.0, 2.0), (0.7, 0.2, 1e-3, 1.5)])
def test_dladmm(per_sample: bool, rho: float, nu: float, start: float, factor: float):
    numbers = {"rho": rho, "nu": nu, "start": start, "factor": factor, "per_sample": per_sample}
    method = library.DLADMM(schedule="constant", **numbers)  # type: ignore[arg-type]
    compare(method, literal.DLADMM, "cross_entropy", 8, tol=1e-14, **numbers)


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("rho", "start", "factor"), [(1.0, 1.0, 2.0), (0.3, 1e-3, 1.5)])
@pytest.mark.parametrize("eps", [1.0, 0.05])
def test_mdlam(rho: float, start: float, factor: float, eps: float):
    """The band stays wide: in a narrow one momentum ends in the corner where it began, and rounding says which step."""
    numbers: dict[str, Any] = {"rho": rho, "start": start, "factor": factor, "eps": eps}
    compare(library.MDLAM(**numbers), literal.MDLAM, "cross_entropy", 8, tol=1e-14, **numbers)


@pytest.mark.thinned(1)
@pytest.mark.parametrize(("rho", "start", "factor"), [(1.0, 1.0, 2.0), (0.3, 1e-3, 1.5), (0.5, 1e-5, 3.0)])
@pytest.mark.parametrize("eps", [1.0, 0.05])
def test_mdlam_without_momentum(rho: float, start: float, factor: float, eps: float):
    numbers = {"rho": rho, "start": start, "factor": factor, "eps": eps, "accelerated": False}
    compare(library.MDLAM(**numbers), literal.MDLAM, "cross_entropy", 20, tol=1e-14, **numbers)


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize(("code_lr", "mu"), [(0.3, 0.003), (3.0, 0.1)])
def test_online(steps: int, code_lr: float, mu: float):
    codes = Codes(steps=steps, lr=code_lr, scaling="entries")
    method = OnlineAM(rule=Adam(0.002), last=Adam(0.002), codes=codes, regressors="codes", mu=Mu(start=mu))
    loop, labels = begin(method, "cross_entropy"), digits(SAMPLES)[1]
    start = loop.state.weights()
    theirs = literal.OnlineAM(start.W, start.b, code_lr=code_lr, code_steps=steps, mu=mu)
    for rows in torch.arange(SAMPLES).split(30) * 4:
        loop.step(loop.batch.select(rows, ends_epoch=False))
        theirs.step(loop.batch.x[rows], labels[rows])
        equal(loop.state.W, theirs.W)
        equal(loop.state.b, theirs.b)
    assert moved(loop.state, start) > 1e-4


def test_fista_finds_the_minimiser():
    """The prox that both dlADMM and mDLAM print, by its stationarity."""
    generator = torch.Generator().manual_seed(0)
    v = 4 * torch.randn(40, 7, generator=generator, dtype=torch.float64)
    y = nn.functional.one_hot(torch.arange(40) % 7, 7).double()
    z = softmax_prox(v, y, 0.3, v, tol=1e-14)
    torch.testing.assert_close(torch.softmax(z, 1) - y, 0.3 * (v - z), rtol=0, atol=1e-9)
