"""What the co-activation memory holds: all batches, a window of them, and what a run before has left."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import CoActivationMemory, Codes, OnlineAM, Trainer
from altmin.online.rules.co_activation import CoActivations
from methods.table import Loop, digits, network

Parts = list[tuple[Tensor, Tensor]]


def trainer_of(rule: CoActivationMemory, hidden: int = 8) -> Trainer:
    method = OnlineAM(rule=rule, codes=Codes(steps=3), regressors="codes", decay="none")
    return Trainer(network(hidden), method, loss="cross_entropy", generator=torch.Generator().manual_seed(0))


def sums(x: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """``a^T a`` and ``C^T a`` of the first layer, the intercept a column of ones."""
    a = torch.cat([x, x.new_ones(len(x), 1)], 1)
    return a.T @ a, code.T @ a


def memory_of(trainer: Trainer) -> CoActivations:
    return trainer.state.memory.rules[0]


@pytest.mark.parametrize("forget", [1.0, 0.8])
@pytest.mark.parametrize("window", [0, 1, 3])
def test_the_memory_is_the_weighed_sum_over_the_windows_batches(window: int, forget: float):
    x, y = digits(250)
    trainer, seen = trainer_of(CoActivationMemory(forget=forget, window=window)), []
    for i in range(5):
        part = x[50 * i : 50 * i + 50]
        trainer.step(part, y[50 * i : 50 * i + 50])
        seen.append(sums(part, trainer.state.memory.codes[0]))
        held = seen[-window:] if window else seen
        own = memory_of(trainer)
        for total, k in ((own.M[0], 0), (own.B[0], 1)):
            expected = sum(forget ** (len(held) - 1 - j) * pair[k] for j, pair in enumerate(held))
            torch.testing.assert_close(total, expected)


def test_a_window_of_one_forgets_all_but_the_batch_and_one_over_the_run_nothing():
    x, y = digits(200)
    runs = {window: trainer_of(CoActivationMemory(forget=1.0, window=window)) for window in (0, 1, 4, 9)}
    for trainer in runs.values():
        for i in range(4):
            trainer.step(x[50 * i : 50 * i + 50], y[50 * i : 50 * i + 50])
    torch.testing.assert_close(memory_of(runs[0]).M[0], memory_of(runs[4]).M[0])
    torch.testing.assert_close(memory_of(runs[0]).B[0], memory_of(runs[9]).B[0])
    assert not torch.allclose(memory_of(runs[0]).M[0], memory_of(runs[1]).M[0])


def test_the_regulariser_weighs_as_the_samples_that_are_held():
    assert CoActivationMemory(forget=1.0, window=2).weight(batches=7, samples=50) == 100.0
    assert CoActivationMemory(forget=0.5, window=2).weight(batches=7, samples=50) == pytest.approx(75.0)
    assert CoActivationMemory(forget=1.0, window=9).weight(batches=7, samples=50) == 350.0


def test_a_window_goes_on_from_a_saved_state():
    loop = Loop.on_digits(OnlineAM(rule=CoActivationMemory(window=2)), hidden=(6,), n=50)
    for _ in range(3):
        loop.step()
    saved = loop.state.state_dict()
    fresh = Loop.on_digits(loop.method, hidden=(6,), n=50)
    fresh.state.load_state_dict(saved)
    for _ in range(2):
        loop.step()
        fresh.step()
    for one, two in zip(loop.state.W, fresh.state.W, strict=True):
        assert torch.equal(one, two)


# What a run before has left


def test_two_runs_in_turn_remember_as_one():
    """The memory of a run that is cut in two, the second part with the weights of the first."""
    x, y = digits(200)
    rule = CoActivationMemory(forget=0.9)
    whole, first = trainer_of(rule), trainer_of(rule)
    for i in range(4):
        whole.step(x[50 * i : 50 * i + 50], y[50 * i : 50 * i + 50])
        if i < 2:
            first.step(x[50 * i : 50 * i + 50], y[50 * i : 50 * i + 50])
    left = memory_of(first).clone()
    second = trainer_of(rule.after(first.state))
    second.model.load_state_dict(first.model.state_dict())
    for i in (2, 3):
        second.step(x[50 * i : 50 * i + 50], y[50 * i : 50 * i + 50])
    assert memory_of(second).batches == 4
    torch.testing.assert_close(memory_of(second).M[0], memory_of(whole).M[0])
    for one, two in zip(memory_of(first).M, left.M, strict=True):
        assert torch.equal(one, two)  # the first run's own is left alone


def test_an_old_task_holds_the_weights_of_a_new_one():
    """One exact solve: the least squares of both tasks' samples with it, those of the new ones alone without."""
    x, y = digits(120)
    rule = CoActivationMemory(forget=1.0, solver="ridge", ridge=1e-9)
    first = trainer_of(rule)
    first.step(x[:80], y[:80])
    codes = [first.state.memory.codes[0].clone()]
    second = trainer_of(rule.after(first.state))
    second.step(x[80:], y[80:])
    codes.append(second.state.memory.codes[0])
    design = torch.cat([x, x.new_ones(len(x), 1)], 1)
    theta = torch.cat([second.state.W[0], second.state.b[0][:, None]], 1)
    residual = torch.cat(codes) - design @ theta.T
    assert (design.T @ residual).abs().max() < 1e-5


def test_the_method_that_begins_with_a_memory_is_another_run_to_a_checkpoint(tmp_path: Path):
    first = trainer_of(CoActivationMemory())
    x, y = digits(60)
    first.step(x, y)
    rule = CoActivationMemory().after(first.state)
    altmin.fit(network(8), OnlineAM(rule=rule), (x, y), epochs=2, checkpoint=tmp_path / "run")
    assert rule.initial is not None
    rule.initial.M[0].add_(1.0)
    with pytest.raises(altmin.CheckpointError, match="initial"):
        altmin.fit(network(8), OnlineAM(rule=rule), (x, y), epochs=3, checkpoint=tmp_path / "run", resume=True)


def test_what_is_no_memory_of_the_network_is_refused():
    first = trainer_of(CoActivationMemory())
    x, y = digits(60)
    first.step(x, y)
    rule = CoActivationMemory().after(first.state)
    with pytest.raises(
        ValueError, match=r"`initial` is the memory of layers \[\(8, 65\)\], the network's are \[\(9, 65\)\]"
    ):
        trainer_of(rule, hidden=9).step(x, y)
    with pytest.raises(TypeError, match="`initial` must be the memory of a run before, got a dict"):
        CoActivationMemory(initial={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`initial` would fall out of the `window`"):
        CoActivationMemory(initial=rule.initial, window=3)
    adam = Trainer(nn.Sequential(nn.Linear(64, 4), nn.ReLU(), nn.Linear(4, 10)), OnlineAM(), loss="cross_entropy")
    adam.step(x.float(), y)
    with pytest.raises(TypeError, match="`state` has no co-activation memory"):
        CoActivationMemory().after(adam.state)
