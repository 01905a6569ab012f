"""Layers answer for no more than the layer above: an exchange of all that lies beyond it changes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import (
    DTP,
    MAC,
    SGD,
    Batch,
    OnlineAM,
    ProxProp,
    activations,
    state_of,
)
from altmin.online import codes as codes_module
from altmin.online.forward_pass import forward_pass
from altmin.online.targets import layer_targets
from methods.labels import (
    NETS,
    SHOWN,
    begin,
    deep,
    model_of,
    moved,
    nearby,
    same,
    stepped,
    weights,
)
from methods.table import Loop, begun, seeded, takes

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def reach(loop: Loop, i: int) -> int:
    """The last layer whose error layer `i`'s code answers for: the next one, or where a connection leads."""
    joined = loop.sweep().skip_targets
    return max(i + 1, *joined.get(("z", i), ()), *joined.get(("a", i), ()), 0)


def codes_below(name: str) -> pytest.MarkDecorator:
    """Networks with the hidden layers whose code does not reach the last layer."""
    cases = []
    for net in NETS:
        if takes(SHOWN[name], model_of(name, net)):
            loop = begin(name, net)
            last = len(loop.problem.layers) - 1
            cases += [(net, i) for i in range(last) if reach(loop, i) < last]
    return pytest.mark.parametrize(("net", "i"), cases)


def exchanged(mine: Sequence[Tensor], keep: int, seed: int = 1) -> list[Tensor]:
    """The tensors of the layers up to `keep`, and others for the layers beyond."""
    return [*mine[: keep + 1], *nearby(mine, seed)[keep + 1 :]]


def elsewhere(loop: Loop, keep: int) -> Loop:
    """Another world: beyond layer `keep` other weights, and other targets for the outputs."""
    state = loop.state.clone()
    for group in (state.W, state.b):
        for t, other in zip(group, exchanged(group, keep), strict=True):
            t.copy_(other)
    return Loop(loop.method, loop.problem, Batch(loop.batch.x, loop.batch.y.roll(1, 0)), state)


def forward_codes(loop: Loop) -> list[Tensor]:
    """The pre-activations of the forward pass, where codes begin."""
    return forward_pass(loop.sweep()).z


def code(loop: Loop, i: int, above: list[Tensor], monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Code `i` as online alternating minimisation finds it, where those above are given."""
    layers, solve, method = itertools.count(len(above) - 1, -1), codes_module.nesterov, loop.method
    assert isinstance(method, OnlineAM)

    def nesterov(c: Tensor, *rest: Any) -> Tensor:
        layer = next(layers)
        return above[layer] if layer > i else solve(c, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(codes_module, "nesterov", nesterov)
        sweep = loop.sweep()
        start = forward_pass(sweep)
        settings = method.codes.for_rule(method.rule)
        return settings.find(start, settings.power(sweep, start, ()), loop.state.memory.mu)[i]


@codes_below("am-adam")
def test_online_codes_see_no_further_than_the_codes_above(net: str, i: int, monkeypatch: pytest.MonkeyPatch):
    """Given the code above, nothing behind it counts; a chain through two layers would have the weights beyond.

    Where the code above is another one, or is found in that other world, code `i` differs: the test sees influence.
    """
    loop = begin("am-adam", net)
    keep = reach(loop, i)
    other, above = elsewhere(loop, keep), nearby(forward_codes(loop), 2)
    found = code(loop, i, above, monkeypatch)
    assert torch.equal(found, code(other, i, exchanged(above, keep), monkeypatch))
    assert not torch.equal(found, code(loop, i, nearby(above, 3), monkeypatch))


def weight_step(loop: Loop, codes: list[Tensor]) -> list[Tensor]:
    """The weights after their step towards these codes."""
    method, memory, sweep = loop.method, loop.state.memory, loop.sweep()
    assert isinstance(method, OnlineAM)
    targets = layer_targets(forward_pass(sweep), codes, method.codes, True, memory.mu, loop.state.samples)
    for (rule, group), own in zip(method.groups(loop.problem, targets), memory.rules, strict=True):
        rule.learn(own, group, loop.problem.regularizer, method.weight_steps, 1.0)
    return weights(loop.state)


@pytest.mark.parametrize("name", ["am-adam", "am-sgd", "am-mem", "am-newton"])
@pytest.mark.parametrize("net", NETS)
def test_online_weights_see_no_further_than_their_codes(name: str, net: str):
    """A layer moves on its input and its code: what is above may be exchanged, and no code of a layer above counts."""
    start = begin(name, net)
    for i in range(len(start.problem.layers) - 1):
        one = begin(name, net)
        before, codes = weights(one.state), nearby(forward_codes(one), 2)
        two = elsewhere(begin(name, net), i)
        two.state = begun(two.method, two.problem, two.batch, two.state)
        one, two = weight_step(one, codes), weight_step(two, exchanged(codes, i))
        assert all(same(one[: i + 1], two[: i + 1]))
        assert all(moved(one[: i + 1], before[: i + 1]))


def with_activations(loop: Loop, a: Sequence[Tensor]) -> Loop:
    """The same world with other coordinates."""
    other = loop.twin()
    for t, value in zip(other.state.a, a, strict=True):
        t.copy_(value)
    return other


def coordinates(loop: Loop, i: int) -> Tensor:
    """MAC's step of the coordinates of layer `i`, in a copy of the world."""
    twin = loop.twin()
    assert isinstance(twin.method, MAC)
    twin.method.update_a(twin.sweep().layers[i])
    return twin.state.a[i]


def units(loop: Loop, i: int) -> Tensor:
    """MAC's step of the weights of layer `i`, in a copy of the world."""
    twin = loop.twin()
    assert isinstance(twin.method, MAC)
    twin.method.update_weights(twin.sweep().layers[i])
    return twin.state.W[i]


@codes_below("mac")
def test_mac_sees_no_further_than_the_coordinates_above(net: str, i: int):
    """Coordinates depend on those of the layer above, units on their own coordinates; what is beyond does not count.

    MAC keeps coordinates in the state, so that those above are given without further ado.
    """
    loop = begin("mac", net)
    state, keep = loop.state, reach(loop, i)
    beyond = with_activations(elsewhere(loop, keep), exchanged(state.a, keep))
    found = coordinates(loop, i)
    assert torch.equal(found, coordinates(beyond, i))
    assert not torch.equal(found, coordinates(with_activations(loop, exchanged(state.a, i)), i))
    above = with_activations(elsewhere(loop, i), exchanged(state.a, i))
    W = units(loop, i)
    assert torch.equal(W, units(above, i))
    assert not torch.equal(W, state.W[i])


class Flat(activations.Tanh):
    """A tanh that says its slope is zero."""

    def derivative(self, z: Tensor) -> Tensor:
        return torch.zeros_like(z)


def with_flat(method: altmin.Method, i: int | None) -> list[Tensor]:
    """The weights after a step in which layer `i` is flat."""
    loop = Loop.of(method, seeded(partial(deep, nn.Tanh)), n=60)
    if i is not None:
        layers = list(loop.problem.layers)
        layers[i] = replace(layers[i], activation=Flat())
        loop.problem = replace(loop.problem, layers=tuple(layers))
    return stepped(loop, 1)


@pytest.mark.parametrize("i", range(4))
def test_target_propagation_asks_a_slope_of_its_own_layer_alone(i: int):
    """Without the slope of one layer that layer stays, and every other one takes its step, to the bit.

    In a chain the same zero stops all layers below: in ProxProp, backpropagation in closed form, it does.
    """
    start = weights(state_of(seeded(partial(deep, nn.Tanh))))
    plain, flat = (with_flat(DTP(rule=SGD(0.1), last=SGD(0.1)), at) for at in (None, i))
    assert same(flat, start) == [layer == i for layer in range(5)]
    assert same(flat, plain) == [layer != i for layer in range(5)]
    assert same(with_flat(ProxProp("sgd"), i), start) == [layer <= i for layer in range(5)]
