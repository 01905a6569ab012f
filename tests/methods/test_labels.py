"""The labels of the methods: how far their gradients reach, on networks in which a chain across layers would be seen.

The audit follows marks; the other proofs here do not: a world without derivatives, a layer whose slope is zero, an
exchange of all that lies beyond the layer above, and autograd.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import (
    Backprop,
    Problem,
    ProxProp,
    Sign,
    StraightThrough,
    problem_of,
    state_of,
)
from altmin.audit import BackpropError, Gradients
from altmin.cli import main
from altmin.layerwise.function import LayerValue
from altmin.methods.registry import METHODS
from methods.labels import (
    LABELS,
    NETS,
    SHOWN,
    Curve,
    begin,
    below_bits,
    model_of,
    moved,
    named,
    on_nets,
    same,
    stepped,
    weights,
)
from methods.table import Loop, digits, seeded

pytestmark = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


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
