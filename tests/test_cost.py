"""The products over the samples that the code makes, counted, against the table of what an iteration needs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from altmin import (
    BCD,
    DLADMM,
    DLAM,
    IPDLAM,
    MAC,
    MDLAM,
    Adam,
    AMRidge,
    Backprop,
    Codes,
    Method,
    OnlineAM,
    TaylorADMM,
    Trainer,
)
from altmin.train.record import record_of
from cost_model import least, multiplications, products
from methods.table import Loop

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
        self.all = 0  # those of products without such a side included

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in MATRICES:
            left, right = (args[k] for k in MATRICES[name])
            self.add(left, right)
        return func(*args, **(kwargs or {}))

    def add(self, left: Tensor, right: Tensor) -> None:
        sides = [left.shape[-2], left.shape[-1], right.shape[-1]]
        self.sides |= {*sides} if all(sides) else set()  # of no sample there is nothing to multiply
        self.all += left.shape[:-2].numel() * sides[0] * sides[1] * sides[2]
        if N in sides:
            sides.remove(N)
            self.by_sides[tuple(sorted(sides))] += left.shape[:-2].numel() * N * sides[0] * sides[1]


def away(loop: Loop) -> None:
    """Move the pre-activations of mDLAM far from what the layers give, whose distance nothing but rounding would be.

    In a wide band every hidden layer is fitted exactly: its activations would move by rounding, and rounding would say
    which samples seem to rise and take the plain step. Now every sample falls by far in every layer.
    """
    generator = torch.Generator().manual_seed(0)
    for z in loop.state.z:
        z.add_(5.0 * torch.randn(z.shape, generator=generator, dtype=z.dtype))


def widths(hidden: tuple[int, ...]) -> list[int]:
    return [64, *hidden, 10]


def counted(method: Method, hidden: tuple[int, ...]) -> Multiplications:
    """The third iteration."""
    loop = Loop.on_digits(method, hidden=hidden, n=N)
    loop.step()
    loop.step()
    if isinstance(method, MDLAM):
        away(loop)
    with Multiplications() as found:
        loop.step()
    return found


def modelled(method: Method, hidden: tuple[int, ...]) -> Counter[tuple[int, ...]]:
    total: Counter[tuple[int, ...]] = Counter()
    for p in products(method, widths(hidden), N):
        total[min(p.inputs, p.outputs), max(p.inputs, p.outputs)] += round(N * p.inputs * p.outputs * p.times * p.share)
    return total


@pytest.mark.thinned(1)
@methods
@pytest.mark.parametrize("hidden", [(), (12,), (20, 15), (33, 21, 17, 14), (90, 70)], ids=str)
def test_the_code_makes_the_products_of_the_model(method: Method, hidden: tuple[int, ...]):
    found = counted(method, hidden)
    assert found.by_sides == modelled(method, hidden)
    assert found.sides <= {N, 64, *hidden, 10, 1}, "products of some of the samples are in neither count"


@pytest.mark.parametrize("method", [DLADMM(), MDLAM(rho=0.1, eps=100.0, eps_rule="fixed")], ids=repr)
def test_wide_symmetric_products_are_made_in_part(method: Method):
    """By blocks of columns: the sides are the blocks', and only the totals agree."""
    hidden = (300, 20)
    assert counted(method, hidden).by_sides.total() == modelled(method, hidden).total()


@methods
def test_the_least_is_no_more_than_what_is_made(method: Method):
    rows = products(method, widths((20, 15)), N)
    assert 0 < least(rows) <= multiplications(rows)


@pytest.mark.parametrize("method", [*METHODS[:9], AMRidge(), MAC()], ids=repr)
def test_default_records_of_many_samples_multiply_a_tenth_of_an_iteration_or_less(
    method: Method, monkeypatch: pytest.MonkeyPatch
):
    """None of their products goes over all samples, as those of the last record and of figures that are named do."""
    monkeypatch.setattr("altmin.train.record.MANY", N - 1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 33), nn.Tanh(), nn.Linear(33, 21), nn.Tanh(), nn.Linear(21, 10))
    trainer, x, y = Trainer(model, method), torch.randn(N, 64), torch.arange(N) % 10
    trainer.step(x, y)
    trainer.step(x, y)
    step, record, last, named = (Multiplications() for _ in range(4))
    with step:
        trainer.step(x, y)
    with record:
        record_of(trainer, {}, 3)
    with last:
        record_of(trainer, {}, 3, last=True)
    with named:
        record_of(trainer, {}, 3, ("objective", "train"))
    assert record.by_sides.total() == 0 < record.all <= 0.1 * step.all
    assert min(last.by_sides.total(), named.by_sides.total()) > 0


def test_dladmm_needs_eight_products_and_two_of_the_data():
    """Eight of N x 50 x 40, two of N x 64 x 50, and those of the ten outputs."""
    assert least(products(DLADMM(), widths((50, 40)), N)) == 8 * 50 * 40 + 2 * 64 * 50 + 8 * 40 * 10


def test_backpropagation_in_numbers():
    rows = products(Backprop(), widths((20,)), 100)
    assert least(rows) == multiplications(rows) == 2 * 64 * 20 + 3 * 20 * 10


def test_no_product_is_made_twice_by_exact_least_squares():
    """For each layer the prediction and ``Z^T A``; ``A^T A`` but of the data; two for ``A``, by the smaller side."""
    n = (9, 30, 20, 10)
    expected = 2 * (9 * 30 + 30 * 20 + 20 * 10) + 30 * 30 + 20 * 20
    expected += (30 * 20 + 30 * 20) + (20 * 10 + 20 * 10)
    assert multiplications(products(IPDLAM(), n, N)) == expected
