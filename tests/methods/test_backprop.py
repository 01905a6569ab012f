"""The yardstick equals an ordinary PyTorch training loop."""

from __future__ import annotations

from argparse import ArgumentError
from functools import partial
from typing import Any

import pytest
import torch
from jsonargparse import ArgumentParser
from torch import nn
from torch.nn import functional as F

import altmin
from altmin import Backprop, Sign, Step, StraightThrough, problem_of, state_of
from altmin.audit import Gradients
from altmin.cli.numbers import add_method, configured
from altmin.core.forward import forward
from altmin.online.optimizers import OPTIMIZERS, PRESETS
from methods.table import Loop, digits, network


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_equals_a_plain_loop_of_full_batches(name: str):
    x, y = digits(200)
    model, twin = network(12), network(12)
    altmin.fit(model, Backprop(name), (x, y), epochs=5, batch_size=200)
    kind, lr = OPTIMIZERS[name]
    optimizer = kind(twin.parameters(), lr=lr)
    for _ in range(5):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_sees_the_same_batches_for_the_same_generator():
    x, y = digits(200)
    models = [network(12), network(12)]
    for model in models:
        altmin.fit(model, Backprop("sgd"), (x, y), epochs=3, batch_size=30, generator=torch.Generator().manual_seed(3))
    assert all(torch.equal(p, q) for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True))


def test_takes_a_factory_with_its_own_options():
    x, y = digits(200)
    model, twin = network(12), network(12)
    factory = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    altmin.fit(model, Backprop(factory), (x, y), epochs=4, batch_size=200)
    optimizer = factory(twin.parameters())
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(model[0].weight, twin[0].weight)


def test_l2_is_spread_over_the_samples():
    """``R + w/2 ||W||^2`` as a sum is ``R/N + w/(2N) ||W||^2`` as a mean: weight decay ``w/N`` on the weights."""
    x, y = digits(200)
    model, twin = network(12), network(12)
    altmin.fit(model, Backprop("sgd", lr=0.1), (x, y), epochs=4, batch_size=200, regularizer="l2:30")
    weights = [m.weight for m in twin if isinstance(m, nn.Linear)]
    intercepts = [m.bias for m in twin if isinstance(m, nn.Linear)]
    groups = [{"params": weights, "weight_decay": 30 / 200}, {"params": intercepts}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
    torch.testing.assert_close(model[0].weight, twin[0].weight)


def test_unknown_optimizer_gets_the_nearest_name():
    with pytest.raises(ValueError, match=r"unknown `optimizer` 'adm'; did you mean 'adam'"):
        Backprop("adm")


@pytest.mark.parametrize("kind", [Backprop, altmin.ProxProp])
def test_rates_fall_by_a_factor_an_epoch_as_by_pytorchs_own_scheduler(kind: type[Backprop]):
    """The online paper's SGD: 0.9 an epoch, here of two batches."""
    x, y = digits(200)
    seen: list[float] = []
    note = [lambda history, state: seen.append(state.memory.optimizer.param_groups[0]["lr"])]
    model, twin = network(12), network(12)
    altmin.fit(model, kind("sgd", lr=0.3, epoch_decay=0.9), (x, y), epochs=3, batch_size=100, callbacks=note)
    assert seen == pytest.approx([0.3, 0.3 * 0.9, 0.3 * 0.81])

    full = network(12)
    altmin.fit(full, Backprop("sgd", lr=0.3, epoch_decay=0.9), (x, y), epochs=4, batch_size=200)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(twin(x), y).backward()
        optimizer.step()
        scheduler.step()
    torch.testing.assert_close(full[0].weight, twin[0].weight)


@pytest.mark.parametrize("factor", [0.0, 1.1, float("nan")])
def test_a_decay_an_epoch_that_is_none_is_refused(factor: float):
    with pytest.raises(ValueError, match=r"`epoch_decay` must be > 0 and <= 1"):
        Backprop("sgd", epoch_decay=factor)


# Presets


def group_of(method: Backprop) -> dict[str, Any]:
    return Loop.on_digits(method, hidden=(3,), n=20).state.memory.optimizer.param_groups[0]


def test_preset_gives_the_papers_rate_and_an_explicit_one_wins():
    assert group_of(Backprop("adam", preset="online-am-mnist-500"))["lr"] == 0.0005
    assert group_of(Backprop("adam", lr=0.3, preset="online-am-mnist-500"))["lr"] == 0.3
    assert group_of(Backprop("adam"))["lr"] == OPTIMIZERS["adam"][1]


def test_amsgrad_of_ipdlam_is_adam_with_amsgrad():
    group = group_of(Backprop("amsgrad", preset="ipdlam"))
    assert group["amsgrad"]
    assert group["lr"] == 0.001


@pytest.mark.parametrize(("preset", "batch"), [("none", 200), ("ipdlam", 512), ("dladmm", None)])
def test_preset_brings_its_batch_size(preset: str, batch: int | None):
    assert Backprop("sgd", preset=preset).default_batch == batch


@pytest.mark.parametrize("name", PRESETS["dladmm"].rates)
def test_dladmm_sums_the_loss_and_the_regularizer_over_one_full_batch(name: str):
    x, y = digits(250)
    model, twin = network(12), network(12)
    altmin.fit(model, Backprop(name, preset="dladmm"), (x, y), epochs=4, regularizer="l2:3")
    optimizer = OPTIMIZERS[name][0](twin.parameters(), lr=PRESETS["dladmm"].rates[name])
    for _ in range(4):
        optimizer.zero_grad()
        loss = F.cross_entropy(twin(x), y, reduction="sum")
        (loss + 1.5 * torch.stack([m.weight.square().sum() for m in twin if isinstance(m, nn.Linear)]).sum()).backward()
        optimizer.step()
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("optimizer", ["adamax", torch.optim.SGD])
def test_preset_without_that_optimizer_names_what_the_paper_has(optimizer: object):
    with pytest.raises(ValueError, match=r"`preset` 'dladmm' has learning rates of sgd, adagrad, adadelta, adam; got"):
        Backprop(optimizer, preset="dladmm")  # type: ignore[arg-type]


def test_preset_is_an_option():
    parser = ArgumentParser(exit_on_error=False)
    add_method(parser, Backprop("sgd"))
    assert configured(Backprop("sgd"), parser.parse_args(["--preset", "dladmm"])) == Backprop("sgd", preset="dladmm")
    with pytest.raises(ArgumentError):
        parser.parse_args(["--preset", "adlmm"])


# Dropout


def test_dropout_is_drawn_for_every_batch():
    """Two steps of a network with dropout before and behind the activation, the masks drawn by hand."""
    x, y = digits(60)
    model = nn.Sequential(nn.Linear(64, 12), nn.Dropout(0.3), nn.Tanh(), nn.Dropout(0.4), nn.Linear(12, 10)).double()
    one, two, three, four = (p.detach().clone().requires_grad_() for p in model.parameters())
    altmin.fit(
        model, Backprop("sgd", lr=0.5), (x, y), epochs=2, batch_size=60, generator=torch.Generator().manual_seed(5)
    )
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD([one, two, three, four], lr=0.5)
    for _ in range(2):
        before = torch.empty(60, 12, dtype=x.dtype).bernoulli_(0.7, generator=generator) / 0.7
        behind = torch.empty(60, 12, dtype=x.dtype).bernoulli_(0.6, generator=generator) / 0.6
        a = torch.tanh(before * F.linear(x, one, two)) * behind
        optimizer.zero_grad()
        F.cross_entropy(F.linear(a, three, four), y).backward()
        optimizer.step()
    for got, expected in zip(model.parameters(), (one, two, three, four), strict=True):
        torch.testing.assert_close(got, expected)


def test_evaluation_has_no_dropout():
    x, y = digits(60)
    model = nn.Sequential(nn.Linear(64, 12), nn.Dropout(0.5), nn.Tanh(), nn.Linear(12, 10)).double()
    expected = F.cross_entropy(model.eval()(x), y, reduction="sum")
    assert Loop.on(Backprop("sgd"), model, x, y).objective() == pytest.approx(float(expected.detach()))


# The straight-through estimator


def bits(n: int = 12, s: type[nn.Module] = Sign) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(
            nn.Linear(64, n), s(), nn.Linear(n, n), nn.Dropout(0.2), s(), nn.Linear(n, n), nn.Tanh(), nn.Linear(n, 10)
        ).double()


class Bit(torch.autograd.Function):
    """A bit, -1 or 1, or 0 or 1, and the derivative of hard tanh, or half of it, written by hand."""

    @staticmethod
    def forward(ctx, z, low):
        ctx.save_for_backward(z)
        ctx.factor = (1.0 - low) / 2.0
        return torch.where(z > 0, 1.0, low).to(z.dtype)

    @staticmethod
    def backward(ctx, *grads):
        (z,) = ctx.saved_tensors
        return grads[0] * ctx.factor * (z.abs() <= 1.0), None


@pytest.mark.parametrize(("s", "low"), [(Sign, -1.0), (Step, 0.0)])
def test_straight_through_step_is_autograds_of_a_surrogate(s: type[nn.Module], low: float):
    x, y = digits(80)
    x = 3.0 * x  # pre-activations on both sides of 1
    model = bits(s=s)
    params = [p.detach().clone().requires_grad_() for p in model.parameters()]
    state = Loop.on(StraightThrough("sgd", lr=1.0), model, x, y, seed=3).step()

    W1, b1, W2, b2, W3, b3, W4, b4 = params
    mask = torch.empty(80, 12, dtype=x.dtype).bernoulli_(0.8, generator=torch.Generator().manual_seed(3)) / 0.8
    z1 = F.linear(x, W1, b1)
    z2 = mask * F.linear(Bit.apply(z1, low), W2, b2)
    a3 = torch.tanh(F.linear(Bit.apply(z2, low), W3, b3))
    F.cross_entropy(F.linear(a3, W4, b4), y).backward()
    assert 0.1 < (z1.abs() <= 1.0).double().mean() < 0.9
    got = [t for pair in zip(state.W, state.b, strict=True) for t in pair]
    for new, old in zip(got, params, strict=True):
        assert old.grad is not None
        assert bool(old.grad.any())
        torch.testing.assert_close(new.detach(), (old - old.grad).detach())


def test_straight_through_leaves_the_forward_pass_alone():
    x, _ = digits(80)
    model = bits()
    problem, state = problem_of(model), state_of(model)
    surrogate = problem.estimated()
    for one, two in zip(forward(problem, state, x)[1], forward(surrogate, state, x)[1], strict=True):
        assert torch.equal(one, two)


def test_straight_through_learns_where_backprop_moves_the_layers_behind_the_bits_alone():
    x, y = digits(300)
    plain, straight = bits(), bits()
    start = state_of(plain).weights().W[0]
    seed = torch.Generator().manual_seed
    altmin.fit(plain, Backprop("adam", lr=0.01), (x, y), epochs=3, batch_size=50, generator=seed(0))
    assert torch.equal(state_of(plain).W[0], start)
    history = altmin.fit(
        straight, StraightThrough("adam", lr=0.01), (x, y), epochs=30, batch_size=50, generator=seed(0)
    )
    assert history["train_accuracy"][-1] > 0.8


def test_straight_through_is_labelled_and_refuses_networks_without_bits():
    assert StraightThrough.gradients is Gradients.STRAIGHT_THROUGH
    with pytest.raises(TypeError, match=r"needs a Sign or Step: .* use Backprop"):
        altmin.fit(network(12), StraightThrough(), digits(50), epochs=1)
