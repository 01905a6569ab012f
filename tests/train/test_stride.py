"""Every so many samples in the place of all: views, whose sums are made up for the others."""

from __future__ import annotations

import pytest
import torch

from altmin import BCD, DLADMM, IPDLAM, MAC, Batch, Method, OnlineAM, Sweep, Trainer
from altmin.core.score import score
from altmin.study.support import takes
from altmin.study.support_cases import INPUTS, LAYERS, OUTPUTS, Case

METHODS: list[Method] = [IPDLAM(), BCD(), DLADMM(rho=3.0), MAC(), OnlineAM()]


def test_every_so_many_samples_count_as_all():
    batch = Batch(torch.arange(20.0).view(10, 2), torch.eye(10)).every(4)
    assert batch.x.tolist() == [[0.0, 1.0], [8.0, 9.0], [16.0, 17.0]]
    assert batch.y.argmax(1).tolist() == [0, 4, 8]
    assert (batch.count, batch.rows) == (10, None)
    assert float(batch.sum(torch.tensor(6.0))) == pytest.approx(20.0)
    assert batch.every(2).count == 10


def numbers(figures: dict[str, torch.Tensor]) -> dict[str, float]:
    return {name: float(t) for name, t in figures.items()}


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@pytest.mark.parametrize("layers", LAYERS)
def test_views_are_worth_what_copies_are(layers: str):
    """Convolutions, pooling and recurrences have their samples far apart in memory, and no copy of them is made."""
    x, y = torch.randn(40, INPUTS, generator=torch.Generator().manual_seed(0)), torch.arange(40) % OUTPUTS
    for method in (m for m in METHODS if takes(m, "layers", layers)):
        torch.manual_seed(0)
        trainer = Trainer(Case(layers).network(), method)
        trainer.step(x, y)
        view = trainer.sweep(stride=7)
        assert {t._is_view() for t in (view.batch.x, *view.state.z, *view.state.a)} == {True}
        state = trainer.state.of_samples(lambda t: t[::7].clone())
        batch = Batch(view.batch.x.clone(), view.batch.y.clone(), weight=40 / 6)
        terms, residuals = method.evaluate(Sweep(method, trainer.problem, state, batch))
        found = trainer.evaluate(stride=7)
        for ours, theirs in zip(found, (terms, residuals), strict=True):
            assert numbers(ours) == pytest.approx(numbers(theirs), rel=1e-4, abs=1e-5)
        one, two = score(trainer.problem, view.state, view.batch, True), score(trainer.problem, state, batch, True)
        assert (one.loss, one.accuracy) == pytest.approx((two.loss, two.accuracy), rel=1e-4)
        assert one.gap == (None if two.gap is None else pytest.approx(two.gap, rel=1e-4, abs=1e-6))
