"""The offline versions of online alternating minimisation: one batch of all samples, and the printed updates."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import altmin
from altmin import SGD, OfflineAM, Trainer, state_of
from altmin.methods.registry import METHODS, entry
from methods.table import digits, network

NAMES = ["am-adam-off", "am-mem-off"]


def trained(name: str, epochs: int = 1, n: int = 250) -> tuple[Trainer, list[Tensor]]:
    """A trainer after some iterations, and the weights and intercepts that it began with."""
    model = network(12, 9)
    before = [p.detach().clone() for p in model.parameters()]
    trainer = Trainer(model, METHODS[name].method, loss="cross_entropy", generator=torch.Generator().manual_seed(0))
    for _ in range(epochs):
        trainer.step(*digits(n))
    return trainer, before


@pytest.mark.parametrize("name", NAMES)
def test_an_iteration_is_an_epoch(name: str):
    iterations = []
    count = [lambda history, state: iterations.append(state.k)]
    altmin.fit(network(12), METHODS[name].method, digits(450), epochs=3, callbacks=count)
    assert iterations == [1, 2, 3]
    assert entry(name).epochs == 50


@pytest.mark.parametrize("name", NAMES)
def test_the_last_layer_takes_a_gradient_step_on_the_loss_at_the_codes(name: str):
    """Algorithm 3, step 1, by autograd."""
    trainer, before = trained(name)
    W, b = (t.clone().requires_grad_() for t in before[-2:])
    code = trainer.state.memory.codes[-1]
    assert not torch.equal(code, trainer.state.memory.forward[-1])
    torch.nn.functional.cross_entropy(torch.relu(code) @ W.T + b, digits(250)[1]).backward()
    for new, old in zip((trainer.state.W[-1], trainer.state.b[-1]), (W, b), strict=True):
        assert old.grad is not None
        torch.testing.assert_close(new, (old - 0.5 * old.grad).detach())


def test_hidden_layers_descend_column_by_column_on_the_memory_of_all_samples():
    """Algorithm 3 for AM-mem, a column at a time, the intercept the last one; both epochs are in the memory."""
    trainer, _ = trained("am-mem-off")
    x, y = digits(250)
    first = [(trainer.state.memory.codes[0].clone(), x), (trainer.state.memory.codes[1].clone(), None)]
    first[1] = first[1][0], torch.relu(first[0][0])
    weights = [(trainer.state.W[i].clone(), trainer.state.b[i].clone()) for i in range(2)]
    trainer.step(x, y)
    codes = trainer.state.memory.codes
    for i, (code, below) in enumerate(zip(codes, [x, torch.relu(codes[0])], strict=True)):
        pairs = [first[i], (code, below)]
        a = torch.cat([torch.cat([p, p.new_ones(len(p), 1)], 1) for _, p in pairs])
        c = torch.cat([c for c, _ in pairs])
        M, B, W = a.T @ a, c.T @ a, torch.cat([weights[i][0], weights[i][1][:, None]], 1)
        for j in range(W.shape[1]):
            W[:, j] += (B[:, j] - W @ M[:, j]) / (M[j, j] + 1e-10)
        torch.testing.assert_close(trainer.state.W[i], W[:, :-1])
        torch.testing.assert_close(trainer.state.b[i], W[:, -1])


def test_the_tables_rates_are_those_of_the_last_layer():
    model = network(12)
    altmin.fit(model, OfflineAM(last=SGD(1e-9)), digits(100), epochs=1)
    start = network(12)
    torch.testing.assert_close(state_of(model).W[-1], state_of(start).W[-1], rtol=0, atol=1e-8)
    assert not torch.allclose(state_of(model).W[0], state_of(start).W[0], atol=1e-4)


def test_a_batch_size_makes_it_the_online_method():
    steps = []
    count = [lambda history, state: steps.append(state.k)]
    altmin.fit(network(12), OfflineAM(), digits(100), epochs=2, batch_size=25, callbacks=count)
    assert steps[-1] == 8
