"""States of online methods with dropout, momentum, batch normalisation, convolutions and recurrences: saved, loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import forked
from altmin import (
    DTP,
    SGD,
    Adam,
    Backprop,
    CoActivationMemory,
    Elman,
    Method,
    Mu,
    Newton,
    OnlineAM,
    OptimizerRule,
    ProxProp,
    Residual,
    Sign,
    StraightThrough,
)
from altmin.online.optimizers import OPTIMIZERS
from methods.table import Loop, digits, seeded
from methods.test_states import assert_same, differs


def dense() -> list[nn.Module]:
    head = [nn.Dropout(0.2), nn.Linear(64, 12, bias=False), nn.BatchNorm1d(12), nn.Dropout(0.3), nn.ReLU()]
    return [*head, nn.Dropout(0.4), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 10)]


def plain() -> list[nn.Module]:
    return [nn.Dropout(0.2), nn.Linear(64, 12), nn.Dropout(0.3), Sign(), nn.Linear(12, 9), nn.Tanh(), nn.Linear(9, 10)]


def images() -> list[nn.Module]:
    head = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)]
    body = [nn.Conv2d(4, 4, 3, padding=1, groups=2), Residual(nn.Tanh(), nn.Conv2d(4, 4, 1)), nn.ReLU()]
    return [*head, *body, nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 10)]


def sequences() -> list[nn.Module]:
    return [Elman(8, 6), nn.Flatten(), nn.Dropout(0.3), nn.Linear(48, 12), nn.Tanh(), nn.Linear(12, 10)]


ADAM = OnlineAM(mu=Mu(start=0.5, add=0.01, factor=1.1), halve_every=2)
MOMENTUM = OnlineAM(rule=SGD(0.1, momentum=0.9), last=SGD(0.05, momentum=0.9), weight_steps=2)
CASES: dict[str, tuple[Method, Callable[[], list[nn.Module]]]] = {
    "adam-dense": (ADAM, dense),
    "adam-images": (ADAM, images),
    "adam-sequences": (ADAM, sequences),
    "adam-plain": (ADAM, plain),
    "muon-images": (OnlineAM(rule=OptimizerRule("muon"), last=OptimizerRule("nadam")), images),
    "momentum-dense": (MOMENTUM, dense),
    "momentum-images": (MOMENTUM, images),
    "memory-plain": (OnlineAM(rule=CoActivationMemory()), plain),
    "memory-sequences": (OnlineAM(rule=CoActivationMemory()), sequences),
    "newton-dense": (OnlineAM.newton(), dense),
    "newton-images": (OnlineAM.newton(Newton(rank=5, refresh=3)), images),
    "newton-whole": (OnlineAM(rule=Newton(rank=0, refresh=3), last=Adam(0.01)), sequences),
    "dtp-dense": (DTP(rule=SGD(0.01, momentum=0.9)), dense),
    "dtp-plain": (DTP(), plain),
    "proxprop": (ProxProp("nadam"), images),
    "straight-through": (StraightThrough("rmsprop", decay="linear"), plain),
    "backprop": (Backprop("radam"), sequences),
}
CASES |= {f"backprop-{name}": (Backprop(name), plain) for name in OPTIMIZERS}
BEFORE, AFTER, SIZE = 5, 4, 32


def begin(name: str) -> Loop:
    method, layers = CASES[name]
    return Loop.on(method, seeded(layers), *digits(96))


def advance(loop: Loop, steps: int) -> Loop:
    for _ in range(steps):
        i = loop.state.k % 3
        loop.step(loop.batch.select(torch.arange(SIZE * i, SIZE * i + SIZE), ends_epoch=i == 2))
    return loop


@pytest.mark.parametrize("name", CASES)
def test_clones_step_to_equal_states(name: str):
    loop = advance(begin(name), BEFORE)
    twin, start = loop.twin(), copy.deepcopy(loop.state.state_dict())
    advance(loop, AFTER)
    assert_same(twin.state.state_dict(), start)
    assert_same(advance(twin, AFTER).state.state_dict(), loop.state.state_dict())
    assert differs(loop.state.state_dict(), start)


def resume(_: int, folder: str) -> None:
    """Every case from its saved state: what the fresh process of the next test does."""
    torch.set_num_threads(1)
    found = {}
    for name in CASES:
        loop = begin(name)
        loop.state.load_state_dict(torch.load(Path(folder, f"{name}.pt"), weights_only=True))
        found[name] = advance(loop, AFTER).state.state_dict()
    torch.save(found, Path(folder, "found.pt"))


@pytest.mark.slow
def test_saved_states_go_on_in_a_fresh_process(tmp_path: Path):
    """To the bit."""
    expected = {}
    for name in CASES:
        loop = advance(begin(name), BEFORE)
        torch.save(loop.state.state_dict(), tmp_path / f"{name}.pt")
        expected[name] = advance(loop, AFTER).state.state_dict()
    forked.run(resume, str(tmp_path))
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    for name, state in expected.items():
        try:
            assert_same(found[name], state)
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
