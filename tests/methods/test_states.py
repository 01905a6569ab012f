"""States of every method: copied, saved, loaded elsewhere, and written by nobody but their own steps."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import forked
from altmin import Batch, State, Sweep, problem_of, state_of
from methods.table import NETS, ROWS, Loop, digits, network, pairs, seeded

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")

BEFORE, AFTER = 4, 3  # steps before a state is copied or saved, and after
SIZE = 40  # of mini-batches
BATCHED = [name for name, row in ROWS.items() if row.method.batched]
RUNS = [(name, None) for name in ROWS] + [(name, SIZE) for name in BATCHED]
runs = pytest.mark.parametrize(("name", "size"), RUNS)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor, number and text of nested dicts and lists, with its place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        yield f"{name}.length", len(value)
        for i, item in enumerate(value):
            yield from leaves(item, f"{name}.{i}")
    else:
        yield name, value


def assert_same(one: Any, two: Any) -> None:
    """To the bit, dtypes and places included."""
    first, second = dict(leaves(one)), dict(leaves(two))
    assert first.keys() == second.keys()
    for name, value in first.items():
        other = second[name]
        if isinstance(value, Tensor):
            assert isinstance(other, Tensor), name
            assert value.dtype == other.dtype, name
            assert torch.equal(value, other), name
        else:
            assert type(value) is type(other), name
            assert value == other, name


def differs(one: Any, two: Any) -> bool:
    try:
        assert_same(one, two)
    except AssertionError:
        return True
    return False


def begin(name: str) -> Loop:
    return Loop.on_digits(ROWS[name].method, hidden=(13, 11), n=120, s=ROWS[name].s).scattered()


def advance(loop: Loop, steps: int, size: int | None) -> Loop:
    """So many steps on all samples, or on parts of them in an order that the count of steps tells."""
    for _ in range(steps):
        if size is None:
            loop.step()
        else:
            parts = torch.arange(len(loop.batch.x)).roll(loop.state.epoch).split(size)
            i = loop.state.k % len(parts)
            loop.step(loop.batch.select(parts[i], ends_epoch=i + 1 == len(parts)))
    return loop


@pytest.mark.thinned(1)
@runs
def test_equal_states_step_to_equal_states(name: str, size: int | None):
    """The clone has kept no products, and steps before and after the original do not mind each other."""
    loop = advance(begin(name), BEFORE, size)
    twin = loop.twin()
    start = copy.deepcopy(loop.state.state_dict())
    assert_same(twin.state.state_dict(), start)
    advance(loop, AFTER, size)
    assert_same(twin.state.state_dict(), start)
    advance(twin, AFTER, size)
    assert_same(twin.state.state_dict(), loop.state.state_dict())
    assert differs(loop.state.state_dict(), start)


def resume(_: int, folder: str) -> None:
    """Every run of the table from its saved state: what the fresh process of the next test does."""
    torch.set_num_threads(1)
    found = {}
    for name, size in RUNS:
        loop = begin(name)
        loop.state.load_state_dict(torch.load(Path(folder, f"{name}-{size}.pt"), weights_only=True))
        found[f"{name}-{size}"] = advance(loop, AFTER, size).state.state_dict()
    torch.save(found, Path(folder, "found.pt"))


@pytest.mark.slow
def test_a_saved_state_goes_on_in_a_fresh_process(tmp_path: Path):
    """To the bit."""
    expected = {}
    for name, size in RUNS:
        loop = advance(begin(name), BEFORE, size)
        torch.save(loop.state.state_dict(), tmp_path / f"{name}-{size}.pt")
        expected[f"{name}-{size}"] = advance(loop, AFTER, size).state.state_dict()
    forked.run(resume, str(tmp_path))
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert set(found) == set(expected)
    for key, state in expected.items():
        try:
            assert_same(found[key], state)
        except AssertionError as error:
            raise AssertionError(f"{key}: {error}") from error


@pytest.mark.parametrize("name", ROWS)
def test_a_loaded_state_does_not_share_what_was_saved(name: str):
    loop = advance(begin(name), 2, None)
    saved = copy.deepcopy(loop.state.state_dict())
    other = begin(name)
    other.state.load_state_dict(saved)
    kept = copy.deepcopy(saved)
    advance(other, 2, None)
    assert_same(saved, kept)
    assert differs(other.state.state_dict(), saved)


def world(loop: Loop) -> list[Any]:
    """Everything that a step may read and must not write."""
    numpy = np.random.get_state(legacy=True)  # noqa: NPY002, the global one is what is looked at
    assert isinstance(numpy, tuple)
    return [
        loop.batch.x.clone(),
        loop.batch.y.clone(),
        repr(loop.method),
        repr(loop.problem),
        sorted(vars(loop.method)),
        torch.get_rng_state(),
        random.getstate()[1],
        [numpy[0], numpy[1].tolist(), *numpy[2:]],
    ]


@pytest.mark.thinned(1)
@runs
def test_a_step_writes_nothing_but_its_own_state(name: str, size: int | None):
    model = network(13, 11, s=ROWS[name].s)
    loop = Loop.of(ROWS[name].method, model, n=120).scattered()
    before = world(loop), copy.deepcopy(model.state_dict())
    advance(loop, 2, size)
    loop.objective()
    loop.method.finish(loop.sweep(loop.state.clone()))
    assert_same(world(loop), before[0])
    assert_same(dict(model.state_dict()), dict(before[1]))


@pytest.mark.thinned(1)
@runs
def test_evaluation_writes_nothing_at_all(name: str, size: int | None):
    loop = advance(begin(name), 2, size)
    before = copy.deepcopy(loop.state.state_dict())
    values = [(loop.objective(), loop.residuals(), loop.method.scalars(loop.state)) for _ in range(2)]
    assert values[0] == values[1]
    assert_same(loop.state.state_dict(), before)


def network_tensors(state: State[Any]) -> list[Tensor]:
    return [*state.W, *state.b, *(t for norm in state.norm if norm is not None for t in norm.tensors())]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "net"), [*((name, "dense") for name in ROWS), *pairs()])
def test_a_module_that_shares_the_weights_is_always_current(name: str, net: str):
    """Weights are written in place, those of convolutions in groups included."""
    row = ROWS[name]
    model = network(13, 11, s=row.s) if net == "dense" else seeded(lambda: NETS[net](row.s))
    problem, state = problem_of(model), state_of(model)
    x, y = digits(60)
    batch = Batch(x, problem.loss.encode(y, 10, x.dtype))
    state.samples, state.generator = 60, torch.Generator().manual_seed(0)
    row.method.init(Sweep(row.method, problem, state, batch))
    before, places = copy.deepcopy(model.state_dict()), [t.data_ptr() for t in network_tensors(state)]
    loop = Loop(row.method, problem, batch, state).scattered()
    for _ in range(2):
        loop.step()
    row.method.finish(loop.sweep())
    assert [t.data_ptr() for t in network_tensors(state)] == places
    assert_same([t.clone() for t in network_tensors(state)], network_tensors(state_of(model)))
    assert all(not torch.equal(before[key], value) for key, value in model.state_dict().items() if "weight" in key)


@pytest.mark.parametrize("name", ROWS)
def test_two_starts_from_one_seed_are_equal(name: str):
    """And what is drawn comes from the state's generator: the global one is elsewhere in between."""
    one = begin(name)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(99)
        two = begin(name)
        assert_same(two.state.state_dict(), one.state.state_dict())
        advance(two, 2, None)
    advance(one, 2, None)
    assert_same(two.state.state_dict(), one.state.state_dict())
