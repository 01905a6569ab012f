"""Sweeps over a part of the data: its samples' variables are gathered and scattered, and no others are touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from altmin import Batch, State, Sweep
from altmin.core.state import Iterate
from methods.table import ROWS, Loop, digits
from sweep.case import NETS, Weighted, sweep_of

nets = pytest.mark.parametrize("net", NETS)
ROW_KINDS = {
    "a permutation": torch.tensor([17, 4, 29, 0, 8, 11, 23, 5]),
    "a slice": slice(6, 19),
    "one sample": torch.tensor([12]),
    "in order": torch.arange(10),
}
kinds = pytest.mark.parametrize("kind", ROW_KINDS)


@dataclass(frozen=True)
class Everything(Weighted):
    """Writes every variable, those of the previous iterate included."""

    def step(self, sweep: Sweep[Any]) -> None:
        for layer in reversed(sweep.layers):
            if not layer.last:
                layer.solve_a(prox=0.5, inertia=0.4)
            layer.solve_z(prox=0.5, inertia=0.4)
            layer.solve_weights(prox=0.5, inertia=0.4)
        sweep.ascend_dual(0.3)


def of_samples(state: State[Any]) -> list[Tensor]:
    assert state.u is not None
    assert state.previous is not None
    return [*state.z, *state.a, state.u, *state.previous.z, *state.previous.a]


def indices(rows: Any) -> Tensor:
    return torch.arange(30)[rows]


@nets
@kinds
def test_samples_outside_the_batch_stay_to_the_bit(net: str, kind: str):
    rows = ROW_KINDS[kind]
    sweep = sweep_of(net, Everything(), dual=True, previous=True, rows=rows)
    before, places = [t.clone() for t in of_samples(sweep.whole)], [t.data_ptr() for t in of_samples(sweep.whole)]
    sweep.run()
    outside = torch.ones(30, dtype=torch.bool)
    outside[rows] = False
    for old, new in zip(before, of_samples(sweep.whole), strict=True):
        assert torch.equal(old[outside], new[outside])
        assert not torch.equal(old[rows], new[rows])
    assert [t.data_ptr() for t in of_samples(sweep.whole)] == places


@nets
@kinds
def test_a_batch_is_a_state_of_its_samples(net: str, kind: str):
    """The same as a step on these samples alone, in the same order, written where they come from."""
    rows = ROW_KINDS[kind]
    sweep = sweep_of(net, Everything(), dual=True, previous=True, rows=rows)
    alone = sweep.whole.clone()
    alone.z[:], alone.a[:] = [t[rows].clone() for t in alone.z], [t[rows].clone() for t in alone.a]
    assert alone.u is not None
    assert alone.previous is not None
    alone.u = alone.u[rows].clone()
    before = alone.previous
    alone.previous = Iterate(before.W, before.b, before.z, before.a)
    alone.previous.z[:], alone.previous.a[:] = [t[rows].clone() for t in before.z], [t[rows].clone() for t in before.a]
    sweep.run()
    Sweep(Everything(), sweep.problem, alone, Batch(sweep.batch.x, sweep.batch.y)).run()
    for one, two in zip(of_samples(sweep.whole), of_samples(alone), strict=True):
        torch.testing.assert_close(one[rows], two, rtol=1e-10, atol=1e-11)
    assert sweep.whole.previous is not None
    for name in ("W", "b"):
        pairs = zip(getattr(sweep.whole, name), getattr(alone, name), strict=True)
        pairs_before = zip(getattr(sweep.whole.previous, name), getattr(alone.previous, name), strict=True)
        for one, two in (*pairs, *pairs_before):
            torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-11)


@kinds
def test_gathering_copies_and_shares_the_weights(kind: str):
    rows = ROW_KINDS[kind]
    sweep = sweep_of("chain", dual=True, previous=True, rows=rows)
    for part, whole in zip(of_samples(sweep.state), of_samples(sweep.whole), strict=True):
        assert torch.equal(part, whole[rows])
        assert part.untyped_storage().data_ptr() != whole.untyped_storage().data_ptr()
    assert sweep.state.W is sweep.whole.W
    assert sweep.state.b is sweep.whole.b
    assert sweep.memory is sweep.whole.memory
    assert torch.equal(sweep.batch.x, digits(30)[0][rows])


def test_all_samples_are_worked_on_where_they_are():
    sweep = sweep_of("chain", dual=True)
    assert sweep.state is sweep.whole


def test_iterations_and_epochs_are_counted():
    loop = Loop.on_digits(ROWS["ipdlam"].method, n=60)
    counted = []
    for i in range(4):
        loop.step(loop.batch.select(slice(30 * (i % 2), 30 * (i % 2) + 30), ends_epoch=i % 2 == 1))
        counted.append((loop.state.k, loop.state.epoch))
    assert counted == [(1, 0), (2, 1), (3, 1), (4, 2)]


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.method.batched])
def test_methods_leave_other_samples_alone(name: str):
    """Every method that takes a part of the data."""
    loop = Loop.on_digits(ROWS[name].method, hidden=(13, 11), n=80, s=ROWS[name].s).scattered()
    state, rows = loop.state, torch.tensor([3, 77, 40, 12, 5, 6, 70, 21, 33, 64, 50, 51])
    outside = torch.ones(80, dtype=torch.bool)
    outside[rows] = False

    def variables() -> list[Tensor]:
        before = [] if state.previous is None else [*state.previous.z, *state.previous.a]
        return [*state.z, *state.a, *([] if state.u is None else [state.u]), *before]

    before = [t.clone() for t in variables()]
    for k in range(3):
        loop.step(loop.batch.select(rows, ends_epoch=k == 2))
    for old, new in zip(before, variables(), strict=True):
        assert torch.equal(old[outside], new[outside])
    assert state.k == 3
