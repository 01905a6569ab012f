"""ProxProp: the proximal steps against numerical minimisers, the explicit steps against autograd, and training."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import Backprop, problem_of
from altmin.audit import BackpropError, Gradients, no_backprop
from altmin.core.score import score
from altmin.methods.proxprop import ProxProp
from altmin.nn import Elman, Residual
from methods.table import Loop, digits, network

SIZE = 60


def seeded(*modules: nn.Module) -> nn.Sequential:
    """PyTorch's start in float64 from a seed."""
    model = nn.Sequential(*modules).double()
    generator = torch.Generator().manual_seed(3)
    for p in model.parameters():
        p.data.uniform_(-0.4, 0.4, generator=generator)
    return model


def convolutional() -> nn.Sequential:
    return seeded(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Tanh(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, groups=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


def normalised() -> nn.Sequential:
    return seeded(nn.Linear(64, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 10))


def residual() -> nn.Sequential:
    inner = (Residual(nn.ReLU(), nn.Linear(20, 20)), Residual(nn.Linear(20, 9), nn.Tanh(), nn.Linear(9, 20)))
    return seeded(nn.Linear(64, 20), inner[0], nn.Tanh(), inner[1], nn.ReLU(), nn.Linear(20, 10))


MODELS = {"dense": lambda: network(20, 15), "conv": convolutional, "norm": normalised, "residual": residual}


def trained(make, method, epochs: int = 3, **options) -> list[Tensor]:
    model = make()
    x, y = digits(SIZE)
    altmin.fit(model, method, (x, y), epochs=epochs, batch_size=SIZE // 2, generator=fixed(), **options)
    return [p.detach() for p in model.parameters()]


def fixed() -> torch.Generator:
    return torch.Generator().manual_seed(1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_explicit_steps_equal_backpropagation(name: str, optimizer: str, loss: str):
    explicit = ProxProp(optimizer, lr=0.05, solver="explicit", tau_theta=1.0)
    ours = trained(MODELS[name], explicit, loss=loss, regularizer="l2:3")
    theirs = trained(MODELS[name], Backprop(optimizer, lr=0.05), loss=loss, regularizer="l2:3")
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10 if optimizer == "sgd" else 1e-7)


def test_explicit_steps_with_dropout_equal_backpropagation():
    def make() -> nn.Sequential:
        return seeded(nn.Linear(64, 20), nn.Dropout(0.3), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 10))

    ours = trained(make, ProxProp("sgd", lr=0.1, solver="explicit", tau_theta=1.0))
    theirs = trained(make, Backprop("sgd", lr=0.1))
    for one, two in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def one_step(model: nn.Sequential, method: ProxProp) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """A full-batch step: the parameters before and after, and the data."""
    x, y = digits(SIZE)
    before = [p.detach().clone() for p in model.parameters()]
    altmin.Trainer(model, method).step(x, y)
    return before, [p.detach() for p in model.parameters()], x


@pytest.mark.parametrize(("solver", "steps"), [("exact", 1), ("cg", 200)])
@pytest.mark.parametrize("tau_theta", [0.1, 20.0])
def test_hidden_weights_minimise_the_proximal_objective(solver: str, steps: int, tau_theta: float):
    """The printed objective, its ``Z_l^{k+1/2}`` from autograd: its gradient is zero at the new weights."""
    tau, model = 0.7, network(20, 15)
    x, y = digits(SIZE)
    z = [model[0](x)]
    z += [model[2](F.relu(z[0]))]
    loss = F.cross_entropy(model[4](F.relu(z[1])), y, reduction="sum")
    half = [t.detach() - tau * g for t, g in zip(z, torch.autograd.grad(loss, z), strict=True)]
    inputs = [x, F.relu(z[0]).detach()]
    method = ProxProp("sgd", lr=tau, solver=solver, cg_steps=steps, tau_theta=tau_theta)
    before, after, _ = one_step(model, method)
    for i in range(2):
        W, b = (after[2 * i + j].clone().requires_grad_() for j in range(2))
        square = (F.linear(inputs[i], W, b) - half[i]).square().sum() / (2 * SIZE)
        distance = ((W - before[2 * i]).square().sum() + (b - before[2 * i + 1]).square().sum()) / (2 * tau_theta)
        for g in torch.autograd.grad(square + distance, [W, b]):
            assert float(g.abs().max()) < 1e-8
        assert float((after[2 * i] - before[2 * i]).norm()) > 1e-3


def test_last_layer_takes_a_gradient_step():
    model = network(20)
    x, y = digits(SIZE)
    gradient = torch.autograd.grad(F.cross_entropy(model(x), y), model.get_parameter("2.weight"))[0]
    before, after, _ = one_step(model, ProxProp("sgd", lr=0.3, tau_theta=5.0))
    torch.testing.assert_close(after[2], before[2] - 0.3 * gradient, rtol=0, atol=1e-12)


def test_convolutional_weights_minimise_the_proximal_objective():
    tau, tau_theta, model = 0.5, 3.0, convolutional()
    x, y = digits(SIZE)
    z = [model[:2](x)]
    z += [model[2:5](z[0])]
    loss = F.cross_entropy(model[5:](z[1]), y, reduction="sum")
    half = [t.detach() - tau * g for t, g in zip(z, torch.autograd.grad(loss, z), strict=True)]
    inputs = [x.view(-1, 1, 8, 8), model[2:4](z[0]).detach()]
    before, after, _ = one_step(model, ProxProp("sgd", lr=tau, solver="exact", tau_theta=tau_theta))
    W, b, V = (t.clone().requires_grad_() for t in after[:3])
    first = (F.conv2d(inputs[0], W, b, padding=1) - half[0]).square().sum()
    second = (F.conv2d(inputs[1], V, groups=2) - half[1]).square().sum()
    distance = sum((t - old).square().sum() for t, old in zip((W, b, V), before[:3], strict=True))
    for g in torch.autograd.grad((first + second) / (2 * SIZE) + distance / (2 * tau_theta), [W, b, V]):
        assert float(g.abs().max()) < 1e-8


@pytest.mark.parametrize("name", MODELS)
def test_conjugate_gradients_reach_the_exact_steps(name: str):
    exact = trained(MODELS[name], ProxProp("sgd", lr=0.2, solver="exact", tau_theta=2.0))
    gaps = []
    for steps in (1, 3, 300):
        found = trained(MODELS[name], ProxProp("sgd", lr=0.2, solver="cg", cg_steps=steps, tau_theta=2.0))
        gaps.append(max(float((p - q).abs().max()) for p, q in zip(exact, found, strict=True)))
    assert all(fewer > more for fewer, more in pairwise(gaps))
    assert gaps[-1] < 1e-6


@pytest.mark.parametrize("solver", ["exact", "cg"])
def test_small_proximal_steps_are_gradient_steps(solver: str):
    """As ``tau_theta`` goes to zero, ``D/tau_theta`` is the gradient."""
    small = 1e-7
    before, after, _ = one_step(network(20, 15), ProxProp("sgd", lr=1 / small, solver=solver, tau_theta=small))
    model = network(20, 15)
    x, y = digits(SIZE)
    gradients = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
    for old, new, gradient in list(zip(before, after, gradients, strict=True))[:4]:
        torch.testing.assert_close(old - new, gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [(12,), (20, 15)])
@pytest.mark.parametrize("solver", ["exact", "cg", "explicit"])
def test_is_backpropagation_to_an_audit(hidden: tuple[int, ...], solver: str):
    assert ProxProp.gradients is Gradients.BACKPROP
    loop = Loop.on_digits(ProxProp(solver=solver), hidden=hidden)
    with no_backprop(), pytest.raises(BackpropError, match="through more than one layer"):
        loop.step()


def test_builds_no_graph():
    """Gradients are in closed form: no tensor of the state remembers how it was made."""
    state = Loop.on_digits(ProxProp()).step()
    assert all(t.grad_fn is None and t.grad is not None and t.grad.grad_fn is None for t in state.W)
    assert not any(t.requires_grad for t in state.W)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["exact", "cg"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_learns_digits(solver: str, optimizer: str):
    model = network(20, 15)
    lr = 1.0 if optimizer == "sgd" else 0.01
    history = altmin.fit(model, ProxProp(optimizer, lr=lr, solver=solver), digits(300), epochs=40, batch_size=50)
    assert history["train_accuracy"][-1] > 0.9


@pytest.mark.slow
def test_trains_a_convolutional_network_with_max_pooling():
    history = altmin.fit(convolutional(), ProxProp("adam", lr=0.01), digits(300), epochs=30, batch_size=50)
    assert history["train_accuracy"][-1] > 0.9


def test_a_batch_is_the_mean_of_its_samples():
    """Every sample twice is the same batch: steps do not depend on its size."""
    x, y = digits(SIZE)
    loops = [Loop.on(ProxProp("sgd", solver="exact"), network(20), x.repeat(n, 1), y.repeat(n)) for n in (1, 2)]
    one, two = (loop.step().W[0] for loop in loops)
    torch.testing.assert_close(one, two)
    assert score(loops[0].problem, loops[0].state, loops[0].batch, classes=True).gap is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tau_theta": 0.0}, "`tau_theta` must be > 0"),
        ({"cg_steps": 0}, "`cg_steps` must be >= 1"),
        ({"solver": "lu"}, "`solver` must be one of 'exact', 'cg', 'explicit', got 'lu'"),
        ({"optimizer": "adm"}, "did you mean 'adam'"),
    ],
)
def test_bad_numbers_are_named(options: dict, message: str):
    with pytest.raises(ValueError, match=message):
        ProxProp(**options)


def test_refuses_what_it_does_not_support():
    with pytest.raises(TypeError, match="none and l2, got L1"):
        altmin.fit(network(8), ProxProp(), digits(20), epochs=1, regularizer="l1:0.1")
    elman = nn.Sequential(Elman(8, 5), nn.Linear(5, 10)).double()
    with pytest.raises(TypeError, match="ProxProp does not support Elman"):
        ProxProp().check(problem_of(elman))
