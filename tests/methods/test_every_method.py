"""Properties that hold for every method of the table."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from altmin import Batch, Problem, State
from altmin.state import forward
from methods.table import ROWS, Loop, Row, network

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")

descending = [name for name, row in ROWS.items() if row.descends is not None]
learning = [name for name, row in ROWS.items() if row.learns]
alike = [name for name, row in ROWS.items() if row.units_alike]
adding = [name for name, row in ROWS.items() if row.adds]


def accuracy(loop: Loop) -> float:
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    return float((z.argmax(1) == loop.batch.y.argmax(1)).double().mean())


def largest_rise(values: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(values))


@pytest.mark.parametrize("name", learning)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy", "hinge"])
def test_learns_the_training_set(name: str, loss: str):
    loop = Loop.on_digits(ROWS[name].method, loss)
    for _ in range(200):
        loop.step()
    assert accuracy(loop) > 0.5, "chance is 0.1"


@pytest.mark.parametrize("name", descending)
@pytest.mark.parametrize("loss", ["squared", "cross_entropy"])
@pytest.mark.parametrize("hidden", [(20, 15), (12,), ()])
def test_objective_never_rises(name: str, loss: str, hidden: tuple[int, ...]):
    loop = Loop.on_digits(ROWS[name].method, loss, hidden)
    values = [loop.objective()]
    for _ in range(40):
        loop.step()
        values.append(loop.objective())
    values = values[ROWS[name].descends :]
    assert largest_rise(values) <= 1e-9 * abs(values[0])
    assert values[-1] < 0.9 * values[0]


@pytest.mark.parametrize("name", descending)
@pytest.mark.parametrize("regularizer", ["l1:0.01", "l2:0.05"])
def test_objective_with_a_regularizer_never_rises(name: str, regularizer: str):
    loop = Loop.on_digits(ROWS[name].method, regularizer=regularizer)
    values = [loop.objective()]
    for _ in range(20):
        loop.step()
        values.append(loop.objective())
    assert largest_rise(values[ROWS[name].descends :]) <= 1e-9 * abs(values[0])


@pytest.mark.parametrize("name", ROWS)
def test_permuting_samples_changes_nothing_but_their_order(name: str, generator: torch.Generator):
    loop, other = Loop.on_digits(ROWS[name].method), Loop.on_digits(ROWS[name].method)
    order = torch.randperm(len(loop.batch.x), generator=generator)
    other.batch = Batch(loop.batch.x[order], loop.batch.y[order])
    other.state = other.method.init(other.problem, State.from_module(network(20, 15)), other.batch)
    for _ in range(3):
        loop.step(), other.step()
    for one, two in zip(loop.state.W, other.state.W, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-6, atol=1e-7)
    for one, two in zip(loop.state.z, other.state.z, strict=True):
        torch.testing.assert_close(one[order], two, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", alike)
def test_permuting_hidden_units_permutes_the_weights(name: str, generator: torch.Generator):
    loop, other = Loop.on_digits(ROWS[name].method), Loop.on_digits(ROWS[name].method)
    order = torch.randperm(20, generator=generator)
    start = State.from_module(network(20, 15))
    (W1, W2, W3), (b1, b2, b3) = start.W, start.b
    start = replace(start, W=(W1[order], W2[:, order], W3), b=(b1[order], b2, b3))
    other.state = other.method.init(other.problem, start, other.batch)
    for _ in range(2):
        loop.step(), other.step()
    torch.testing.assert_close(loop.state.W[0][order], other.state.W[0], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(loop.state.W[1][:, order], other.state.W[1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ROWS)
def test_start_is_copied(name: str):
    loop = Loop.on_digits(ROWS[name].method)
    start = State.from_module(network(20, 15))
    before = [w.clone() for w in start.W]
    loop.state = loop.method.init(loop.problem, start, loop.batch)
    loop.step()
    assert all(torch.equal(a, b) for a, b in zip(before, start.W, strict=True))


def _share(rank: int, name: str, store: str, out: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    loop = Loop.on_digits(ROWS[name].method)
    half = slice(0, 130) if rank == 0 else slice(130, 300)
    batch = Batch(loop.batch.x[half], loop.batch.y[half], group=dist.group.WORLD)
    loop = Loop(
        loop.method, loop.problem, batch, loop.method.init(loop.problem, State.from_module(network(20, 15)), batch)
    )
    for _ in range(5):
        loop.step()
    objective = loop.objective()
    if rank == 1:
        torch.save({"W": loop.state.W, "b": loop.state.b, "objective": objective}, out)
    dist.destroy_process_group()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", adding)
def test_two_processes_equal_one(name: str, tmp_path: Path):
    out = str(tmp_path / "out.pt")
    mp.spawn(_share, (name, str(tmp_path / "store"), out), nprocs=2)  # type: ignore[attr-defined]
    shared = torch.load(out)
    loop = Loop.on_digits(ROWS[name].method)
    for _ in range(5):
        loop.step()
    for one, two in zip((*loop.state.W, *loop.state.b), (*shared["W"], *shared["b"]), strict=True):
        torch.testing.assert_close(one, two, rtol=10 * ROWS[name].rounding, atol=ROWS[name].rounding)
    assert shared["objective"] == pytest.approx(loop.objective(), rel=1e-9)


def test_table_names_every_public_method():
    import altmin

    public = {getattr(altmin, n) for n in altmin.__all__ if isinstance(getattr(altmin, n), type)}
    methods = {m for m in public if issubclass(m, altmin.Method) and m is not altmin.Method}
    assert methods == {type(row.method) for row in ROWS.values()}


def test_row_is_readable():
    assert "DLADMM" in repr(Row(ROWS["dladmm"].method))


def test_problem_of_table_is_the_models():
    problem = Problem.from_module(network(20, 15))
    assert (problem.inputs, problem.outputs, len(problem.layers)) == (64, 10, 3)
