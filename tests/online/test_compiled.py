"""Compiled steps: the numbers of plain ones, and what they cannot have."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

import altmin
from altmin import SGD, CoActivationMemory, Codes, Mu, OnlineAM
from altmin.online import compiled
from altmin.online.compiled import SHAPES
from methods.table import Loop, digits, network

compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler")
vectors = pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="PyTorch's compiler then writes vector code without including its vectors, which no compiler takes",
)


def normed() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        layers = [nn.Linear(64, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 10)]
    return nn.Sequential(*layers).double()


def trained(method: altmin.Method, audit: bool = False, n: int = 130) -> dict[str, torch.Tensor]:
    """Two epochs of batches of 50, the last of which is shorter."""
    model, generator = normed(), torch.Generator().manual_seed(0)
    altmin.fit(model, method, digits(n), epochs=2, batch_size=50, generator=generator, audit=audit)
    return model.state_dict()


METHODS = [OnlineAM(codes=Codes(steps=3)), OnlineAM(last=SGD(0.1)), OnlineAM.newton()]
methods = pytest.mark.parametrize("method", METHODS, ids=["am-adam", "two rules", "am-newton"])


@compiler
@vectors
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's own, while it compiles
def test_compiled_steps_are_the_plain_ones():
    assert_as_plain(OnlineAM(codes=Codes(steps=3)), n=100)


def assert_as_plain(method: OnlineAM, n: int) -> None:
    found, start = trained(replace(method, compile=True), n=n), normed().state_dict()
    for key, expected in trained(method, n=n).items():
        torch.testing.assert_close(found[key], expected, rtol=1e-9, atol=1e-9)
        assert not expected.is_floating_point() or not torch.equal(found[key], start[key])


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """For each graph that is to be compiled the samples of the batches that it runs on; it runs as it was recorded."""
    runs: list[list[int]] = []

    def compile(graph: Callable[..., Any], **options: object) -> Callable[..., Any]:
        assert options == {"dynamic": False}
        runs.append(sizes := [])

        def run(*tensors: torch.Tensor) -> Any:
            sizes.append(len(tensors[0]))
            return graph(*tensors)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    return runs


@methods
def test_every_shape_of_a_batch_has_its_code(method: OnlineAM, recorded: list[list[int]]):
    """The first step has none; of the others, whole batches run on one graph and the shorter ones on another."""
    assert_as_plain(method, n=130)
    assert recorded == [[50, 50, 50], [30, 30]]


@pytest.mark.slow
def test_code_for_many_shapes_is_not_compiled(recorded: list[list[int]]):
    loop = Loop.on(OnlineAM(compile=True), normed(), *digits(60))
    twin = Loop.on(OnlineAM(), normed(), *digits(60))
    for n in range(3, 3 + SHAPES + 3):
        for other in (loop, twin):
            other.step(other.batch.select(slice(0, n), ends_epoch=False))
    assert recorded == [[n] for n in range(4, 4 + SHAPES)]
    torch.testing.assert_close(list(loop.state.W), list(twin.state.W), rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_code_lives_beside_the_state_and_no_longer(recorded: list[list[int]]):
    """A state with compiled code can be saved and copied, its copy has code of its own, and both die with it."""
    loop = Loop.on(OnlineAM(compile=True), normed(), *digits(60))
    loop.step()
    loop.step()
    packed = loop.state.state_dict()
    twin = loop.twin()
    twin.step()
    assert len(recorded) == 2
    assert packed.keys() == Loop.on(OnlineAM(), normed(), *digits(60)).state.state_dict().keys()
    before = len(compiled._RECORDED)
    del loop, twin
    gc.collect()
    assert len(compiled._RECORDED) <= before - 2


def test_an_audit_sees_every_operator(monkeypatch: pytest.MonkeyPatch):
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("compiled under an audit")

    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/g++")
    found = trained(OnlineAM(compile=True), audit=True)
    assert all(torch.equal(t, found[key]) for key, t in trained(OnlineAM()).items())
    with pytest.raises(AssertionError, match="under an audit"):
        trained(OnlineAM(compile=True))


@pytest.mark.parametrize(
    ("method", "what"),
    [
        (OnlineAM(weight_steps=2, compile=True), "`weight_steps` above 1"),
        (OnlineAM(rule=CoActivationMemory(), compile=True), "the memory rule"),
        (OnlineAM(mu=Mu(add=0.1), compile=True), "a `mu` that changes"),
        (OnlineAM(mu=Mu(factor=2.0), compile=True), "a `mu` that changes"),
    ],
)
def test_what_changes_is_refused(method: OnlineAM, what: str):
    with pytest.raises(TypeError, match=f"`compile=True` does not support {what}; leave it out"):
        altmin.fit(network(8), method, digits(50), epochs=1)


@pytest.mark.parametrize(
    ("layers", "what"),
    [
        ([nn.Linear(64, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 10)], "dropout"),
        ([altmin.Elman(8, 3), nn.Flatten(), nn.Linear(24, 10)], "recurrent layers"),
    ],
)
def test_networks_that_are_not_fixed_are_refused(layers: list[nn.Module], what: str):
    with pytest.raises(TypeError, match=f"`compile=True` does not support {what}"):
        altmin.fit(nn.Sequential(*layers).double(), OnlineAM(compile=True), digits(50), epochs=1)


def test_a_missing_compiler_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(RuntimeError, match=r"needs a C\+\+ compiler"):
        altmin.fit(network(8), OnlineAM(compile=True), digits(50), epochs=1)
