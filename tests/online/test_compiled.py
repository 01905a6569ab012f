"""Compiled steps: the numbers of plain ones, and what they cannot have."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn

import altmin
from altmin import Codes, Memory, Mu, OnlineAM
from methods.table import digits, network

compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="there is no C++ compiler")


def normed() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [nn.Linear(64, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 10)]
    return nn.Sequential(*layers).double()


def trained(method: altmin.Method, audit: bool = False) -> dict[str, torch.Tensor]:
    """Two epochs of three batches, the last of which is shorter."""
    model, generator = normed(), torch.Generator().manual_seed(0)
    altmin.fit(model, method, digits(130), epochs=2, batch_size=50, generator=generator, audit=audit)
    return model.state_dict()


@compiler
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # PyTorch's own, while it compiles
@pytest.mark.parametrize("method", [OnlineAM(codes=Codes(steps=3)), OnlineAM.newton()], ids=["am-adam", "am-newton"])
def test_compiled_steps_are_the_plain_ones(method: OnlineAM):
    found, start = trained(replace(method, compile=True)), normed().state_dict()
    for key, expected in trained(method).items():
        torch.testing.assert_close(found[key], expected, rtol=1e-9, atol=1e-9)
        assert not expected.is_floating_point() or not torch.equal(found[key], start[key])


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
        (OnlineAM(rule=Memory(), compile=True), "the memory rule"),
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
