"""Frozen layers, whose parameters do not require gradients, stay as they are under every method; the rest learns."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.methods.registry import METHODS
from altmin.study import support

ROWS = {**support.rows(), **{name: METHODS[name].method for name in ("sgd", "adam")}}
QUIET = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning", "ignore::altmin.LemmaWarning")
FROZEN = {"the first": [0], "the first two": [0, 2], "the second": [2], "the last": [4], "all but the first": [2, 4]}


def samples() -> tuple[Tensor, Tensor]:
    x = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    return x, (x[:, 0] > 0).long() + (x[:, 1] > 0)


def network(method: altmin.Method, *frozen: int) -> nn.Sequential:
    bend = altmin.Sign if support.needs(method) else nn.Tanh
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 5), bend(), nn.Linear(5, 4), bend(), nn.Linear(4, 3))
    for place in frozen:
        model[place].requires_grad_(False)
    return model


def train(model: nn.Sequential, method: altmin.Method) -> None:
    altmin.fit(model, method, samples(), epochs=2, seed=0, regularizer="l2:1e-3")


@QUIET
@pytest.mark.parametrize("frozen", FROZEN.values(), ids=list(FROZEN))
@pytest.mark.parametrize("name", ROWS)
def test_frozen_layers_stay_to_the_bit_and_the_others_learn(name: str, frozen: list[int]):
    model, start = network(ROWS[name], *frozen), network(ROWS[name])
    train(model, ROWS[name])
    for (where, p), q in zip(model.named_parameters(), start.parameters(), strict=True):
        assert torch.equal(p, q) == (int(where[0]) in frozen), where


AT_ONCE = ["am-adam", "am-sgd", "am-newton", "am-mem", "dtp", "am-ridge", "proxprop", "straight-through", "sgd", "adam"]


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_first_step_moves_the_others_as_if_nothing_were_frozen(name: str):
    """All weights move at its end, each by itself."""
    frozen, free = network(ROWS[name], 2), network(ROWS[name])
    for model in (frozen, free):
        altmin.Trainer(model, ROWS[name], seed=0).step(*samples())
    for place in (0, 4):
        for p, q in zip(frozen[place].parameters(), free[place].parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-7)


def test_backpropagation_is_that_of_pytorch():
    ours, theirs = network(ROWS["sgd"], 0), network(ROWS["sgd"], 0)
    trainer, optimizer = altmin.Trainer(ours, altmin.Backprop("sgd", lr=0.3)), torch.optim.SGD(theirs.parameters(), 0.3)
    for _ in range(5):
        trainer.step(*samples())
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(samples()[0]), samples()[1]).backward()
        optimizer.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q)


@pytest.mark.parametrize("name", ["bcd", "dlam"])
@pytest.mark.parametrize("frozen", FROZEN.values(), ids=list(FROZEN))
def test_the_objective_still_falls(name: str, frozen: list[int]):
    trainer = altmin.Trainer(network(ROWS[name], *frozen).double(), ROWS[name], loss="squared")
    x, y = samples()
    values = []
    for _ in range(8):
        trainer.step(x.double(), y)
        values.append(trainer.objective())
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(values))
    assert values[-1] < 0.99 * values[0]


@pytest.mark.parametrize("name", ["am-adam", "am-newton", "sgd"])
@pytest.mark.parametrize("kind", ["images", "sequences"])
def test_images_normalisation_and_recurrences_freeze(name: str, kind: str):
    def make() -> nn.Sequential:
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(0)
            if kind == "images":
                first = [nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)]
                return nn.Sequential(*first, nn.ReLU(), nn.Flatten(), nn.Linear(4, 3))
            return nn.Sequential(altmin.Elman(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3))

    model, start = make(), make()
    for module in list(model)[:-1]:
        module.requires_grad_(False)
    train(model, ROWS[name])
    for p, q in zip(model.parameters(), start.parameters(), strict=True):
        assert torch.equal(p, q) == (not p.requires_grad)


def test_a_layer_is_frozen_as_a_whole():
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    model[0].bias.requires_grad_(False)
    with pytest.raises(TypeError, match=r"module 0 .Linear.: `bias` is frozen .*freeze all of it or nothing"):
        altmin.problem_of(model)
    model[0].requires_grad_(False)
    with pytest.raises(TypeError, match=r"module 1 .BatchNorm1d. and the Linear before it must both be frozen"):
        altmin.problem_of(model)
    model.requires_grad_(False)
    with pytest.raises(TypeError, match="frozen weights alone"):
        altmin.problem_of(model)


def test_a_method_that_writes_into_frozen_weights_is_told():
    @dataclass(frozen=True)
    class Heedless(altmin.Method):
        def penalty(self, sweep):
            return altmin.Penalty(linear=1.0, activation=1.0)

        def step(self, sweep):
            sweep.layers[0].b.add_(1.0)

    trainer = altmin.Trainer(network(ROWS["adam"], 0), Heedless())
    with pytest.raises(RuntimeError, match=r"Heedless\.step wrote into the weights of a frozen layer"):
        trainer.step(*samples())
