"""The labels of the methods: how far their gradients reach, on networks in which a chain across layers would be seen.

The audit follows marks; the other proofs here do not: a world without derivatives, a layer whose slope is zero, an
exchange of all that lies beyond the layer above, and autograd.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import (
    DTP,
    MAC,
    SGD,
    Backprop,
    Batch,
    OnlineAM,
    Problem,
    ProxProp,
    Sign,
    State,
    StraightThrough,
    activations,
    problem_of,
    state_of,
)
from altmin.audit import BackpropError, Gradients
from altmin.cli import main
from altmin.layerwise.function import LayerValue
from altmin.methods.registry import METHODS
from altmin.online import codes as codes_module
from altmin.online.forward_pass import forward_pass
from altmin.online.targets import layer_targets
from methods import table
from methods.table import Loop, begun, digits, seeded, takes

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")

Curve = type[nn.Module]


def deep(s: Curve) -> list[nn.Module]:
    """Four hidden layers."""
    widths = [64, 12, 11, 10, 9]
    return [*(m for p, q in itertools.pairwise(widths) for m in (nn.Linear(p, q), s())), nn.Linear(9, 10)]


def below_bits() -> list[nn.Module]:
    """Bits in the third of four hidden layers; the others are smooth."""
    parts = deep(nn.Tanh)
    parts[5] = Sign()
    return parts


NETS: dict[str, Callable[[Curve], list[nn.Module]]] = {"deep": deep, **table.NETS}
ENTRIES = [e for e in METHODS.values() if e.paper != "torch.optim" or e.name in ("sgd", "adam")]
SHOWN = {entry.name: entry.method for entry in ENTRIES}
LABELS = {entry.name: entry.method.gradients for entry in ENTRIES}


def named(*labels: Gradients) -> list[str]:
    return [name for name, label in LABELS.items() if label in labels]


def curve(name: str) -> Curve:
    return Sign if LABELS[name] is Gradients.STRAIGHT_THROUGH else nn.Tanh


def model_of(name: str, net: str) -> nn.Sequential:
    return seeded(partial(NETS[net], curve(name)))


def nearby(like: Sequence[Tensor], seed: int) -> list[Tensor]:
    """Tensors near others."""
    g = torch.Generator().manual_seed(seed)
    return [t + 0.3 * torch.randn(t.shape, generator=g, dtype=t.dtype) for t in like]


def begin(name: str, net: str) -> Loop:
    """The start; variables of samples are away from a forward pass, so that every layer has something to do."""
    loop = Loop.of(SHOWN[name], model_of(name, net), n=60)
    for group, seed in ((loop.state.z, 4), (loop.state.a, 5)):
        for t, other in zip(group, nearby(group, seed), strict=True):
            t.copy_(other)
    return loop


def on_nets(*labels: Gradients) -> pytest.MarkDecorator:
    """Every method of these labels with every network that it supports."""
    cases = [(n, net) for n in named(*labels) for net in NETS if takes(SHOWN[n], model_of(n, net))]
    return pytest.mark.parametrize(("name", "net"), cases)


def weights(state: State[Any]) -> list[Tensor]:
    return [t.detach().clone() for t in state.W]


def same(one: list[Tensor], two: list[Tensor]) -> list[bool]:
    """Layer by layer, to the bit."""
    return [torch.equal(p, q) for p, q in zip(one, two, strict=True)]


def moved(one: list[Tensor], two: list[Tensor]) -> list[bool]:
    """Layer by layer, by more than rounding."""
    return [float((p - q).norm()) > 1e-6 * float(q.norm()) for p, q in zip(one, two, strict=True)]


# The labels, and the audit


def test_every_label_has_methods_and_every_network_three_hidden_layers():
    assert set(LABELS.values()) == set(Gradients)
    assert all(len(problem_of(seeded(partial(net, nn.Tanh))).layers) >= 4 for net in NETS.values())


def test_labels_are_what_the_command_line_shows(capsys: pytest.CaptureFixture[str]):
    assert main(["methods"]) == 0
    lines = (re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines())
    shown = {row[0]: row[3] for row in lines if row[0] in METHODS}
    assert shown == {name: entry.method.gradients.value for name, entry in METHODS.items()}


def fitted(name: str, net: str, audit: bool) -> list[Tensor]:
    model, method = model_of(name, net), SHOWN[name]
    g, size = torch.Generator().manual_seed(0), 30 if method.batched else None
    altmin.fit(model, method, digits(60), epochs=2, batch_size=size, generator=g, audit=audit)
    return weights(state_of(model))


@on_nets(Gradients.NONE, Gradients.LAYER)
def test_audit_lets_local_methods_train_as_they_do_without_it(name: str, net: str):
    audited = fitted(name, net, audit=True)
    assert all(same(audited, fitted(name, net, audit=False)))
    assert not all(same(audited, weights(state_of(model_of(name, net)))))


@on_nets(Gradients.STRAIGHT_THROUGH, Gradients.BACKPROP)
def test_audit_refuses_backpropagation(name: str, net: str):
    with pytest.raises(BackpropError):
        fitted(name, net, audit=True)


# No gradients at all


class AskedError(Exception):
    """Somebody asked for a derivative."""


class Underived:
    """An activation or a loss as its method sees it, but for its derivatives.

    It has values and proximal solutions. How those are found is the business of a subproblem in one variable, and may
    be Newton's method; what may not be had is a derivative that a method could carry on to another variable or layer.
    """

    def __init__(self, whole: Any):
        self.whole = whole

    def __call__(self, *args: Tensor) -> Tensor:
        return self.whole(*args)

    def __getattr__(self, name: str) -> Any:
        if name in ("derivative", "derivatives", "vjp", "grad"):
            raise AskedError(name)
        return getattr(self.whole, name)


@pytest.fixture
def no_layer_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers as blocks have values only. Maps keep their adjoint, without which there is no least squares."""

    def refuse(*_: object) -> None:
        raise AskedError("a layer")

    monkeypatch.setattr(LayerValue, "to_input", refuse)
    monkeypatch.setattr(LayerValue, "to_params", refuse)


def underived(problem: Problem) -> Problem:
    layers = tuple(replace(layer, activation=Underived(layer.activation)) for layer in problem.layers)
    return replace(problem, layers=layers, loss=Underived(problem.loss))  # type: ignore[arg-type]


def stepped(loop: Loop, steps: int = 2) -> list[Tensor]:
    for _ in range(steps):
        loop.step()
    return weights(loop.state)


@on_nets(Gradients.NONE)
@pytest.mark.usefixtures("no_layer_derivatives")
def test_methods_without_gradients_train_where_there_are_none(name: str, net: str):
    """Neither activations nor the loss nor layers have a derivative, and no graph can be made in inference mode."""
    free, loop = begin(name, net), begin(name, net)
    start = weights(loop.state)
    expected = stepped(free)
    loop.problem = underived(loop.problem)
    with torch.inference_mode():
        found = stepped(loop)
    assert all(same(found, expected))
    assert all(moved(found, start))


@on_nets(Gradients.LAYER, Gradients.STRAIGHT_THROUGH, Gradients.BACKPROP)
@pytest.mark.usefixtures("no_layer_derivatives")
def test_all_other_methods_ask_for_derivatives(name: str, net: str):
    """The world of the test above is one in which they cannot take a step."""
    loop = begin(name, net)
    loop.problem = underived(loop.problem)
    with torch.inference_mode(), pytest.raises((AskedError, RuntimeError), match=r"derivative|vjp|grad|a layer"):
        loop.step()


# Within a layer


@on_nets(Gradients.LAYER)
def test_local_methods_train_where_no_graph_can_be_made(name: str, net: str):
    """So they do not differentiate by autograd, which knows no bounds of layers."""
    free, loop = begin(name, net), begin(name, net)
    with torch.inference_mode():
        found = stepped(loop)
    assert all(same(found, stepped(free)))


@pytest.mark.parametrize("name", [n for n in LABELS if LABELS[n] is not Gradients.NONE and n != "mac"])
def test_only_the_chain_rule_stops_at_bits(name: str):
    """The derivative of a sign is zero, and with it each product of derivatives that has it as a factor.

    Backpropagation, by autograd or in closed form, leaves everything from the bits down untouched, to the bit. Whoever
    moves it does not follow that product: local methods, and the straight-through estimator, which replaces the factor.
    All start at a forward pass, where only the loss has anything to say. (MAC refuses signs.)
    """
    loop = Loop.of(SHOWN[name], seeded(below_bits), n=400)
    start = weights(loop.state)
    found = stepped(loop)
    chain = LABELS[name] is Gradients.BACKPROP
    assert same(found, start) == [chain, chain, chain, False, False]
    assert all(moved(found, start)[3 * chain :])


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
        return method.codes.find(start, method.codes.power(sweep, start, ()), loop.state.memory.mu)[i]


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
    for (rule, group), own in zip(method.groups(targets), memory.rules, strict=True):
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


# Straight-through, and full backpropagation


class Surrogate(nn.Module):
    """The value of a sign with the derivative of hard tanh."""

    def forward(self, z: Tensor) -> Tensor:
        smooth = F.hardtanh(z)
        return smooth + (Sign()(z) - smooth).detach()


def after_autograd(net: str, s: Curve, make: Callable[..., torch.optim.Optimizer], steps: int) -> list[Tensor]:
    """The weights of a module after steps on the mean loss by autograd and PyTorch's optimiser."""
    model, (x, y) = seeded(partial(NETS[net], s)), digits(60)
    optimizer = make(model.parameters())
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return weights(state_of(model))


@pytest.mark.parametrize("net", NETS)
def test_straight_through_steps_are_those_of_a_surrogate(net: str):
    """They are autograd's through a hard tanh in place of each sign, where autograd's own gradient is zero."""
    start = weights(state_of(seeded(partial(NETS[net], Sign))))
    make = partial(torch.optim.SGD, lr=0.5)
    found = stepped(Loop.of(StraightThrough("sgd", lr=0.5), seeded(partial(NETS[net], Sign)), n=60), 3)
    for one, two in zip(found, after_autograd(net, Surrogate, make, 3), strict=True):
        torch.testing.assert_close(one, two)
    assert all(moved(found, start))
    assert same(after_autograd(net, Sign, make, 3), start) == [True] * (len(start) - 1) + [False]


YARDSTICKS: dict[str, tuple[altmin.Method, Callable[..., torch.optim.Optimizer]]] = {
    "sgd": (Backprop("sgd", lr=0.5), partial(torch.optim.SGD, lr=0.5)),
    "adam": (Backprop("adam", lr=0.01), partial(torch.optim.Adam, lr=0.01)),
    "proxprop": (ProxProp("sgd", lr=0.5, solver="explicit"), partial(torch.optim.SGD, lr=0.5)),
}


def test_yardsticks_are_all_that_backpropagate():
    assert set(YARDSTICKS) == set(named(Gradients.BACKPROP))


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("name", YARDSTICKS)
def test_backpropagation_is_autograd_through_the_whole_network(name: str, net: str):
    method, make = YARDSTICKS[name]
    found = stepped(Loop.of(method, seeded(partial(NETS[net], nn.Tanh)), n=60), 3)
    for one, two in zip(found, after_autograd(net, nn.Tanh, make, 3), strict=True):
        torch.testing.assert_close(one, two)
