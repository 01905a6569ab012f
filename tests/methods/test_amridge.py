"""AMRidge: one iteration written out, its limits, mini-batches, and what it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import altmin
from altmin import AMRidge, problem_of
from altmin.activations import ReLU
from altmin.bench import Ledger
from altmin.core.forward import forward
from methods.table import Loop, digits, network


def accuracy(loop: Loop) -> float:
    z = forward(loop.problem, loop.state, loop.batch.x)[0][-1]
    return float((z.argmax(1) == loop.batch.y.argmax(1)).double().mean())


def with_ones(a: torch.Tensor) -> torch.Tensor:
    return torch.cat([a, torch.ones_like(a[:, :1])], 1)


def test_first_iteration_written_out():
    """Two layers, squared loss, straight from the formulas; the ReLU by its active side."""
    method = AMRidge(step_size=0.3, momentum=0.0, damping=0.2, data_damping=0.4, proximity=1e6)
    loop = Loop.on_digits(method, "squared", hidden=(12,))
    start = loop.state.weights()
    (W1, W2), (b1, b2), x, y = start.W, start.b, loop.batch.x, loop.batch.y
    z1 = x @ W1.T + b1
    a1 = ReLU()(z1)
    t = min(2.0, 0.3 * (1 + float(W2.square().sum()) / 10))
    E2 = t * (y - a1 @ W2.T - b2) / 2
    move = torch.linalg.solve(W2.T @ W2 + torch.eye(12), (E2 @ W2).T).T
    E1, E2 = move * (z1 > 0), E2 - move @ W2.T
    new = loop.step()
    for i, (E, a, damping) in enumerate(((E1, x, 0.4), (E2, a1, 0.2))):
        A, n = with_ones(a), len(x)
        G = A.T @ A / n
        step = torch.linalg.solve(G + damping * G.diagonal().mean() * torch.eye(len(G)), A.T @ E / n).T
        torch.testing.assert_close(new.W[i], (W1, W2)[i] + step[:, :-1], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(new.b[i], (b1, b2)[i] + step[:, -1], rtol=1e-5, atol=1e-7)


def test_momentum_is_nesterovs():
    """The second step from its own iterate: ``V = beta V + S``, ``W += S + beta V``."""
    plain, inert = (Loop.on_digits(AMRidge(momentum=m)) for m in (0.0, 0.6))
    W0 = plain.state.W[0].clone()
    S = plain.step().W[0] - W0
    torch.testing.assert_close(inert.step().W[0], W0 + 1.6 * S)
    plain.state.set_weights(inert.state)
    before = inert.state.W[0].clone()
    S2 = plain.step().W[0] - before
    torch.testing.assert_close(inert.step().W[0], before + S2 + 0.6 * (0.6 * S + S2))


def test_linear_network_ends_at_least_squares():
    """One layer, squared loss: the minimiser in closed form, whatever the damping."""
    loop = Loop.on_digits(AMRidge(data_damping=0.01), "squared", hidden=())
    for _ in range(200):
        loop.step()
    A, y = with_ones(loop.batch.x), loop.batch.y
    least = 0.5 * (y - A @ torch.linalg.lstsq(A, y, driver="gelsd").solution).square().sum()
    assert loop.objective() == pytest.approx(float(least), rel=1e-2)
    assert loop.objective() >= float(least) * (1 - 1e-12)


@pytest.mark.parametrize("rows", [None, slice(20, 120)])
def test_l2_is_a_decay_of_the_weights_and_spares_the_intercept(rows: slice | None):
    """The ridge regression has ``kappa/2 ||W + S||^2`` beside its squares, ``kappa = step_size weight / N``.

    Without it ``S = cross (G + damping)^{-1}``, with it ``(cross - kappa W) (G + damping + kappa)^{-1}``. ``N`` are the
    samples of the training set, of a mini-batch too.
    """
    method, kappa = AMRidge(step_size=0.5, momentum=0.0), 0.5 * 300.0 / 300
    plain, decayed = (Loop.on_digits(method, regularizer=r) for r in (None, "l2:300.0"))
    W, b, A = plain.state.W[0].clone(), plain.state.b[0].clone(), with_ones(plain.batch.x)
    G, spared = A.T @ A / 300, torch.tensor([1.0] * 64 + [0.0])
    damped = G + 10.0 * G.diagonal().mean() * torch.eye(65)
    batch = None if rows is None else plain.batch.select(rows, ends_epoch=False)
    plain.step(batch)
    decayed.step(batch)
    cross = torch.cat([plain.state.W[0] - W, (plain.state.b[0] - b)[:, None]], 1) @ damped
    pull = kappa * torch.cat([W, torch.zeros_like(W[:, :1])], 1)
    wanted = torch.linalg.solve(damped + kappa * torch.diag(spared), (cross - pull).T).T
    torch.testing.assert_close(decayed.state.W[0] - W, wanted[:, :-1])
    torch.testing.assert_close(decayed.state.b[0] - b, wanted[:, -1])


def test_no_variable_of_a_sample_outlives_an_iteration():
    state = Loop.on_digits(AMRidge()).step()
    assert list(state.z) == list(state.a) == []
    assert all(300 not in t.shape for t in (*state.memory.grams, *state.memory.velocity, state.memory.inverse))


@pytest.mark.slow
def test_rises_steadily_on_held_out_digits():
    """The drift that it is to avoid: accuracy that falls again while the objective does not."""
    x, y = digits(1500, torch.float32)
    model = network(50, 50, dtype=torch.float32)
    history = altmin.fit(model, AMRidge(), (x[:1200], y[:1200]), epochs=60, validation=(x[1200:], y[1200:]))
    validated = history["validation_accuracy"]
    assert validated[9] > 0.85
    assert validated[-1] > 0.90
    assert validated[-1] >= max(validated) - 0.02
    assert history["train_accuracy"][-1] > 0.99


def test_mini_batches_with_a_memory_learn():
    x, y = digits(1000, torch.float32)
    model, g = network(40, 40, dtype=torch.float32), torch.Generator().manual_seed(0)
    method = AMRidge(forget=0.9)
    history = altmin.fit(model, method, (x, y), epochs=20, batch_size=200, generator=g)
    assert history["train_accuracy"][-1] > 0.97


def test_memory_is_a_mean_with_forgetting():
    loop = Loop.on_digits(AMRidge(forget=0.75))
    before = [t.clone() for t in loop.state.memory.grams]
    a = forward(loop.problem, loop.state, loop.batch.x)[1]
    half = slice(0, 100)
    new = loop.step(loop.batch.select(half, ends_epoch=False)).memory.grams
    for one, old, t in zip(new, before, a, strict=True):
        A = with_ones(t[half])
        torch.testing.assert_close(one, 0.75 * old + 0.25 * A.T @ A / 100)


@pytest.mark.slow
def test_trains_a_convolutional_network_with_max_pooling():
    torch.manual_seed(0)
    x, y = digits(300, torch.float32)
    body = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    history = altmin.fit(nn.Sequential(*body, nn.Linear(96, 10)), AMRidge(), (x, y), epochs=30)
    assert history["train_accuracy"][-1] > 0.9


def test_refuses_l1_and_says_what_takes_it():
    with pytest.raises(TypeError, match=r"none and l2, got L1.*; IPDLAM"):
        AMRidge().check(problem_of(network(8), regularizer="l1:0.1"))


@pytest.mark.parametrize("name", ["step_size", "damping", "data_damping", "proximity"])
def test_numbers_are_checked(name: str):
    with pytest.raises(ValueError, match=f"`{name}` must be > 0"):
        AMRidge(**{name: 0.0})


@pytest.mark.parametrize("size", [1, 7, 10**6])
def test_stretches_of_the_samples_do_not_matter(size: int, monkeypatch: pytest.MonkeyPatch):
    """One sample at a time, stretches that do not divide their number, and all at once."""
    whole = Loop.on_digits(AMRidge(), hidden=(20, 15), n=50).step()
    monkeypatch.setattr("altmin.core.forward.STRETCH", 64 * size)
    stretched = Loop.on_digits(AMRidge(), hidden=(20, 15), n=50).step()
    for one, two in zip((*whole.W, *whole.b), (*stretched.W, *stretched.b), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_an_iteration_holds_a_forward_pass_and_little_more(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("altmin.core.forward.STRETCH", 2**12)
    loop = Loop.on_digits(AMRidge(), hidden=(120, 90), n=1700)
    loop.step()
    with Ledger() as ledger:
        loop.step()
    needed = ledger.existing + sum(t.nbytes for group in forward(loop.problem, loop.state, loop.batch.x) for t in group)
    assert ledger.peak < 1.3 * needed
