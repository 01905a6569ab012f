"""Difference target propagation: its targets, its three local gradients, and the paper's discrete network."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import SGD, Adam, Sign, State, Step, problem_of, state_of
from altmin.audit import Gradients, no_backprop
from altmin.core.forward import forward
from altmin.layerwise.feedback import Feedback, sent
from altmin.maps import Composed
from altmin.methods.dtp import DTP
from altmin.nn import Elman, Residual
from altmin.online.forward_pass import forward_pass
from altmin.online.memory import Inverses
from methods.table import Loop, digits, network

sharp = partial(DTP, rule=SGD(1.0), last=SGD(1.0), feedback=SGD(1.0))
quick = DTP(rule=Adam(0.001), last=Adam(0.005), feedback=Adam(0.01), eta=3.0)


class Case:
    """A network at its start, and a step of `DTP` from there."""

    def __init__(self, model: nn.Sequential, method: DTP, n: int = 40, seed: int = 1, **options: Any):
        x, self.y = digits(n)
        self.method = method
        self.loop = Loop.on(method, model, x, self.y, seed=seed, **options)
        self.problem, self.batch, self.start = self.loop.problem, self.loop.batch, self.loop.state.weights()
        self.feedback = [(V.clone(), c.clone()) for V, c in zip(self.memory.V, self.memory.c, strict=True)]

    @property
    def memory(self) -> Inverses:
        return self.loop.state.memory

    def targets(self) -> list[Tensor]:
        """The hidden layers' targets at the start; the network has no dropout."""
        start = forward_pass(self.loop.sweep())
        activations = [layer.activation for layer in self.problem.layers]
        h = [s.smoothed()(z) for s, z in zip(activations, start.z, strict=False)]
        pairs = enumerate(zip(self.memory.V, self.memory.c, strict=True), start=1)
        maps = {i: Feedback(activations[i], activations[i - 1], V, c) for i, (V, c) in pairs}
        return self.method.find_targets(start, h, maps)

    def step(self) -> State:
        return self.loop.step()

    def parameters(self) -> list[Tensor]:
        """``W_1, b_1, W_2, ...`` of the start, for autograd."""
        return [t.clone().requires_grad_() for pair in zip(self.start.W, self.start.b, strict=True) for t in pair]


def deep(*between: nn.Module, widths: tuple[int, ...] = (64, 9, 8, 7)) -> nn.Sequential:
    """A network with each of `between` behind a layer."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        layers = [nn.Linear(p, q) for p, q in pairwise(widths)]
        parts = [m for pair in zip(layers, between, strict=True) for m in pair]
        return nn.Sequential(*parts, nn.Linear(widths[-1], 10)).double()


def moved(case: Case) -> list[Tensor]:
    """What an SGD step of length 1 took from each parameter: the gradient that it saw."""
    before = [t for pair in zip(case.start.W, case.start.b, strict=True) for t in pair]
    state = case.step()
    after = [t for pair in zip(state.W, state.b, strict=True) for t in pair]
    return [b - a for a, b in zip(after, before, strict=True)]


def assert_moved_by(case: Case, losses: list[Tensor], params: list[Tensor]) -> None:
    """Every layer went down the gradient of its own loss, by autograd."""
    expected = [g for i, loss in enumerate(losses) for g in torch.autograd.grad(loss, params[2 * i : 2 * i + 2])]
    assert all(bool(g.any()) for g in expected)
    for got, wanted in zip(moved(case), expected, strict=True):
        torch.testing.assert_close(got, wanted)


def mean_square(value: Tensor, target: Tensor) -> Tensor:
    return (value - target.detach()).square().sum() / len(value)


# Targets


def test_last_target_is_a_gradient_step_through_the_last_layer_alone():
    case = Case(network(9, 8, s=nn.Tanh), DTP(eta=0.3))
    W1, b1, W2, b2, W3, b3 = case.parameters()
    a = torch.tanh(F.linear(torch.tanh(F.linear(case.batch.x, W1, b1)), W2, b2))
    (slope,) = torch.autograd.grad(F.cross_entropy(F.linear(a, W3, b3), case.y, reduction="sum"), a)
    torch.testing.assert_close(case.targets()[1], (a - 0.3 * slope).detach())


def test_with_an_exact_inverse_a_target_is_what_the_layer_above_needs():
    """In a linear network ``g_l = f_l^{-1}`` gives ``f_l(t_{l-1}) = t_l``, whatever the intercept of `g_l`."""
    case = Case(deep(nn.Identity(), nn.Identity(), nn.Identity(), widths=(64, 8, 8, 8)), DTP())
    for V, W in zip(case.memory.V, case.start.W[1:], strict=False):
        V.copy_(torch.linalg.inv(W))
    t = case.targets()
    for i in (1, 2):
        torch.testing.assert_close(F.linear(t[i - 1], case.start.W[i], case.start.b[i]), t[i])


def test_a_layer_that_has_its_target_asks_nothing_of_the_layer_below():
    case = Case(network(9, 8, s=nn.Tanh), DTP(eta=1e-300))
    h = torch.tanh(F.linear(case.batch.x, case.start.W[0], case.start.b[0]))
    assert torch.equal(case.targets()[0], h)


# Steps


def test_layers_step_on_their_own_losses():
    case = Case(deep(nn.Tanh(), nn.Sigmoid(), nn.ReLU()), sharp(eta=0.4))
    W1, b1, W2, b2, W3, b3, W4, b4 = params = case.parameters()
    (V2, c2), (V3, c3) = case.feedback
    h1 = torch.tanh(F.linear(case.batch.x, W1, b1))
    h2 = torch.sigmoid(F.linear(h1.detach(), W2, b2))
    h3 = torch.relu(F.linear(h2.detach(), W3, b3))
    top = h3.detach().requires_grad_()
    loss = F.cross_entropy(F.linear(top, W4, b4), case.y)
    t3 = top - 0.4 * len(top) * torch.autograd.grad(loss, top, retain_graph=True)[0]
    t2 = h2 + torch.sigmoid(F.linear(t3, V3, c3)) - torch.sigmoid(F.linear(h3, V3, c3))
    t1 = h1 + torch.tanh(F.linear(t2, V2, c2)) - torch.tanh(F.linear(h2, V2, c2))
    assert_moved_by(case, [mean_square(h1, t1), mean_square(h2, t2), mean_square(h3, t3), loss], params)


def test_feedback_maps_step_on_their_denoising_errors():
    case = Case(deep(nn.Tanh(), nn.Sigmoid(), nn.Tanh()), sharp(noise=0.2))
    _, (h1, h2, _) = forward(case.problem, case.start, case.batch.x)
    generator = torch.Generator().manual_seed(1)
    [torch.empty_like(V.T).uniform_(generator=generator) for V, _ in case.feedback]
    pairs = [(V.clone().requires_grad_(), c.clone().requires_grad_()) for V, c in case.feedback]
    layers = [(h1, 1, torch.sigmoid, torch.tanh), (h2, 2, torch.tanh, torch.sigmoid)]
    errors = []
    for (V, c), (h, i, f, g) in zip(pairs, layers, strict=True):
        noisy = h + 0.2 * torch.randn(h.shape, generator=generator, dtype=h.dtype)
        back = g(F.linear(f(F.linear(noisy, case.start.W[i], case.start.b[i])), V, c))
        mean_square(back, noisy).backward()
        errors.append((back - noisy).norm() / noisy.norm())
    case.step()
    for (V, c), newV, newc in zip(pairs, case.memory.V, case.memory.c, strict=True):
        assert V.grad is not None
        assert c.grad is not None
        torch.testing.assert_close(newV, (V - V.grad).detach())
        torch.testing.assert_close(newc, (c - c.grad).detach())
    assert list(case.loop.residuals()) == ["g_2", "g_3"]
    torch.testing.assert_close(torch.stack(case.memory.errors), torch.stack(errors).detach())


def test_one_hidden_layer_goes_down_the_loss_itself():
    """There the target's residual is the derivative: twice `eta` times backpropagation."""
    case = Case(network(9, s=nn.Tanh), sharp(eta=0.25))
    W1, b1, W2, b2 = params = case.parameters()
    F.cross_entropy(F.linear(torch.tanh(F.linear(case.batch.x, W1, b1)), W2, b2), case.y).backward()
    for got, p, factor in zip(moved(case), params, (0.5, 0.5, 1.0, 1.0), strict=True):
        assert p.grad is not None
        torch.testing.assert_close(got, factor * p.grad)


def test_no_hidden_layer_is_gradient_descent():
    case = Case(network(), sharp())
    W, b = params = case.parameters()
    assert_moved_by(case, [F.cross_entropy(F.linear(case.batch.x, W, b), case.y)], params)


def test_l2_shrinks_weights_behind_the_step():
    plain, weighted = (
        Case(network(9, 8), sharp(eta=0.2)),
        Case(network(9, 8), sharp(eta=0.2), regularizer="l2:6"),
    )
    shares = (2 * 0.2, 2 * 0.2, 1.0)
    for one, two, share in zip(plain.step().W, weighted.step().W, shares, strict=True):
        torch.testing.assert_close(two, one / (1 + share * 6 / 40))


# The discrete network


def test_bits_travel_in_both_directions_between_a_discrete_layer_and_the_next():
    """Lee et al., Section 3.3: ``h_1 = tanh(W_1 x)``, ``h_2 = tanh(W_2 sign h_1)``, ``g_2(h) = tanh(V_2 sign h)``."""
    case = Case(deep(Sign(), nn.Tanh(), widths=(64, 30, 20)), sharp(eta=20.0, noise=0.3))
    W1, b1, W2, b2, W3, b3 = params = case.parameters()
    ((V, c),) = case.feedback
    h1 = torch.tanh(F.linear(case.batch.x, W1, b1))
    h2 = torch.tanh(F.linear(h1.detach().sign(), W2, b2))
    top = h2.detach().requires_grad_()
    loss = F.cross_entropy(F.linear(top, W3, b3), case.y)
    t2 = top - 20.0 * len(top) * torch.autograd.grad(loss, top, retain_graph=True)[0]
    t1 = h1 + torch.tanh(F.linear(t2.sign(), V, c)) - torch.tanh(F.linear(h2.sign(), V, c))
    assert bool((t2.sign() != h2.sign()).any())
    assert_moved_by(case, [mean_square(h1, t1), mean_square(h2, t2), loss], params)

    generator = torch.Generator().manual_seed(1)
    torch.empty_like(V.T).uniform_(generator=generator)
    noisy = (h1 + 0.3 * torch.randn(h1.shape, generator=generator, dtype=h1.dtype)).detach()
    V, c = V.requires_grad_(), c.requires_grad_()
    seen = torch.tanh(F.linear(noisy.sign(), W2, b2)).detach()
    mean_square(torch.tanh(F.linear(seen.sign(), V, c)), noisy).backward()
    assert V.grad is not None
    torch.testing.assert_close(case.memory.V[0], (V - V.grad).detach())


def test_steps_are_bits_of_a_sigmoid():
    case = Case(deep(Step(), Step(), nn.Tanh()), sharp(eta=20.0))
    W1, b1, W2, b2, W3, b3, W4, b4 = params = case.parameters()
    (V2, c2), (V3, c3) = case.feedback

    def bit(h: Tensor) -> Tensor:
        return (h > 0.5).to(h.dtype)

    h1 = torch.sigmoid(F.linear(case.batch.x, W1, b1))
    h2 = torch.sigmoid(F.linear(bit(h1), W2, b2))
    h3 = torch.tanh(F.linear(bit(h2), W3, b3))
    top = h3.detach().requires_grad_()
    loss = F.cross_entropy(F.linear(top, W4, b4), case.y)
    t3 = top - 20.0 * len(top) * torch.autograd.grad(loss, top, retain_graph=True)[0]
    g3, g2 = partial(F.linear, weight=V3, bias=c3), partial(F.linear, weight=V2, bias=c2)
    t2 = h2 + torch.sigmoid(g3(t3.sign())) - torch.sigmoid(g3(h3.sign()))
    t1 = h1 + torch.sigmoid(g2(2 * bit(t2) - 1)) - torch.sigmoid(g2(2 * bit(h2) - 1))
    assert bool((t1 != h1).any())
    assert_moved_by(case, [mean_square(h1, t1), mean_square(h2, t2), mean_square(h3, t3), loss], params)


@pytest.mark.parametrize("s", [Sign(), Step()])
def test_what_is_sent_of_the_smooth_activation_is_the_activation(s: nn.Module):
    (layer, *_), z = problem_of(nn.Sequential(nn.Linear(2, 2), s, nn.Linear(2, 2))).layers, torch.randn(500)
    assert torch.equal(sent(layer.activation, layer.activation.smoothed()(z)), layer.activation(z))


def binary(first: nn.Module | None = None) -> nn.Sequential:
    """The binary network of the online paper, narrow."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(
            nn.Linear(64, 60), nn.Dropout(0.2), first or Sign(), nn.Linear(60, 60), nn.Dropout(0.2), nn.Tanh(),
            nn.Linear(60, 10),
        ).double()  # fmt: skip


def test_dropped_units_neither_send_nor_learn():
    case = Case(binary(), DTP())
    start = forward_pass(case.loop.sweep())
    s, above = (function.layer.activation for function in start.functions[:2])
    dropped = s.mask == 0  # type: ignore[attr-defined]
    g = Feedback(above, s, *case.feedback[0])
    assert 0.1 < dropped.double().mean() < 0.3
    assert not g(start.z[1])[dropped].any()
    assert not s.smoothed().derivative(start.z[0])[dropped].any()


@pytest.mark.slow
@pytest.mark.parametrize("first", [Sign(), Step()])
def test_learns_the_binary_network_without_backpropagation(first: nn.Module):
    x, y = digits(1000)
    model = binary(first)
    start = state_of(model).weights().W[0]
    with no_backprop():
        history = altmin.fit(model, quick, (x, y), epochs=20, batch_size=30, generator=torch.Generator().manual_seed(0))
    assert history["train_accuracy"][-1] > 0.9
    assert not torch.equal(state_of(model).W[0], start)
    first_error, last_error = (history["residuals"][i]["g_2"] for i in (0, -1))
    assert last_error < first_error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "between"),
    [
        ("cross_entropy", (nn.Tanh, nn.Tanh, nn.Tanh)),
        ("squared", (nn.Tanh, nn.Tanh, nn.Tanh)),
        ("hinge", (nn.Tanh, nn.Tanh, nn.Tanh)),
        ("cross_entropy", (nn.ReLU, nn.Tanh, nn.ReLU)),
    ],
)
def test_learns_networks_of_three_hidden_layers(loss: str, between: tuple[type[nn.Module], ...]):
    model = deep(*(s() for s in between), widths=(64, 40, 40, 40))
    with no_backprop():
        history = altmin.fit(
            model, quick, digits(600), loss=loss, epochs=20, batch_size=30, generator=torch.Generator().manual_seed(0)
        )
    assert history["train_accuracy"][-1] > 0.85


@pytest.mark.slow
def test_targets_teach_the_bits():
    """Twelve random bits carry little; targets make them carry more."""
    accuracy = {}
    for name, rule in (("random", SGD(1e-12)), ("taught", quick.rule)):
        history = altmin.fit(
            deep(Sign(), nn.Tanh(), widths=(64, 12, 40)),
            replace(quick, rule=rule),
            digits(600),
            epochs=25,
            batch_size=30,
            generator=torch.Generator().manual_seed(0),
        )
        accuracy[name] = history["train_accuracy"][-1]
    assert accuracy["taught"] > accuracy["random"] + 0.2


def test_trains_batch_normalisation():
    """Scale and shift are parameters of their layer's own loss; running statistics follow the batch once."""
    torch.manual_seed(0)
    parts = nn.Linear(64, 9), nn.BatchNorm1d(9), nn.Tanh(), nn.Linear(9, 10), nn.BatchNorm1d(10)
    model, x, y = nn.Sequential(*parts).double(), *digits(40)
    twin = copy.deepcopy(model)
    altmin.fit(model, sharp(eta=0.25), (x, y), epochs=1, batch_size=40)
    F.cross_entropy(twin(x), y).backward()
    for (name, new), old in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(new, old - (0.5 if name[0] in "01" else 1.0) * old.grad)
    for new, old in zip(model.buffers(), twin.buffers(), strict=True):
        if new.is_floating_point():
            torch.testing.assert_close(new, old)


def test_dropout_in_front_of_a_map_is_the_maps():
    model = nn.Sequential(nn.Linear(64, 9), nn.Tanh(), nn.Dropout(0.5), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 10))
    problem = problem_of(model)
    assert isinstance(problem.layers[1].map, Composed)
    case = Case(model.double(), DTP())
    before = case.loop.objective()
    for _ in range(50):
        case.step()
    assert case.loop.objective() < before


# What it refuses


@pytest.mark.parametrize(
    ("part", "model"),
    [
        ("Conv2d", nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(72, 10))),
        ("residual connections", nn.Sequential(nn.Linear(64, 8), Residual(nn.ReLU(), nn.Linear(8, 8)),
                                               nn.Tanh(), nn.Linear(8, 10))),
        ("Elman", nn.Sequential(Elman(8, 5), nn.Tanh(), nn.Flatten(), nn.Linear(40, 10))),
        ("pooling or reshaping", nn.Sequential(nn.Linear(64, 8), nn.Tanh(), nn.Unflatten(1, (2, 2, 2)),
                                               nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2, 10))),
    ],
)  # fmt: skip
def test_refuses_what_has_no_feedback_map(part: str, model: nn.Sequential):
    with pytest.raises(TypeError, match=f"DTP does not support {part}"):
        DTP().check(problem_of(model))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rule": 0.1}, TypeError, r"`rule` must be a GradientRule such as Adam\(...\), got 0.1"),
        ({"feedback": altmin.CoActivationMemory()}, TypeError, r"`feedback` must be a GradientRule"),
        ({"eta": 0.0}, ValueError, "`eta` must be > 0, got 0"),
        ({"noise": -1.0}, ValueError, "`noise` must be >= 0, got -1"),
    ],
)
def test_refuses_bad_numbers(options: dict[str, object], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        DTP(**options)  # type: ignore[arg-type]


def test_label_and_randomness():
    assert DTP.gradients is Gradients.LAYER
    one, two = (Case(network(9, 8, s=nn.Tanh), DTP(rule=Adam(0.01))) for _ in range(2))
    assert all(torch.equal(p, q) for p, q in zip(one.step().W, two.step().W, strict=True))
    other = Case(network(9, 8, s=nn.Tanh), DTP(rule=Adam(0.01)), seed=2)
    assert not torch.equal(other.feedback[0][0], two.feedback[0][0])
    assert one.memory.V[0].shape == (9, 8)
    assert one.loop.state.k == 1
