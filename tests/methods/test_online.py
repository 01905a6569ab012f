"""Online alternating minimisation: steps by hand, locality, schedules, the memory and post-processing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import (
    SGD,
    Adam,
    CoActivationMemory,
    Codes,
    Gradients,
    Mu,
    OnlineAM,
    Residual,
    Sign,
    State,
    Step,
    problem_of,
    state_of,
)
from altmin.core.forward import forward
from altmin.schedules import DECAYS
from methods.table import Loop, digits, network
from online.preparing import prepared

SCALINGS = ["samples", "entries"]


def batch_norm_network() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        hidden = [nn.Linear(64, 20, bias=False), nn.BatchNorm1d(20), nn.ReLU()]
        more = [nn.Linear(20, 15, bias=False), nn.BatchNorm1d(15), nn.Tanh()]
        return nn.Sequential(*hidden, *more, nn.Linear(15, 10)).double()


def on(model: nn.Sequential, method: OnlineAM, n: int = 120, loss: str = "cross_entropy") -> Loop:
    return Loop.of(method, model, loss, n)


def code_objective(
    c: Tensor, c0: Tensor, above: nn.Module, y: Tensor | None, target: Tensor | None, scaling: str, mu: float
):
    """Section 4, step 2, by autograd: what the codes of one layer descend on."""
    up = above(c)
    reduction = "sum" if scaling == "samples" else "mean"
    near = F.mse_loss(c, c0, reduction=reduction)
    if target is not None:
        return F.mse_loss(up, target, reduction=reduction) + near
    assert y is not None
    return F.cross_entropy(up, y, reduction=reduction) / mu + near


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("norm", [False, True])
def test_codes_equal_torchs_sgd_on_the_papers_objective(scaling: str, norm: bool):
    """Last to first, against the updated codes above, from the fixed forward value."""
    model, mu = (batch_norm_network() if norm else network(20, 15)), 0.4
    above = [model[2:5], model[5:]] if norm else [model[1:3], model[3:]]
    loop = on(model, OnlineAM(codes=Codes(steps=4, lr=0.3, scaling=scaling), mu=Mu(start=mu)))
    labels = loop.batch.y.argmax(1)
    start, codes = prepared(loop)
    target = None
    for i in (1, 0):
        c0 = start.z[i]
        gain = start.functions[i + 1].power_iteration(start.a[i]).norm()
        curvature = 2.0 + gain * (loop.problem.loss.lipschitz / mu if target is None else 2.0)
        lr = 0.3 / curvature if scaling == "samples" else 0.3
        c = c0.clone().requires_grad_()
        optimizer = torch.optim.SGD([c], lr=float(lr), momentum=0.9, nesterov=True)
        for _ in range(4):
            optimizer.zero_grad()
            code_objective(c, c0, above[i], labels, target, scaling, mu).backward()
            optimizer.step()
        torch.testing.assert_close(codes[i], c.detach(), rtol=1e-9, atol=1e-11)
        target = codes[i]
        assert not torch.allclose(codes[i], c0)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared", "hinge"])
def test_code_steps_descend_on_the_penalty_objective(loss: str):
    """``R + mu ||C - C^0||^2`` over the last codes falls, for the relative step of 1, whatever the weights' size."""
    for scale in (0.1, 1.0, 30.0):
        model = network(20, 15)
        with torch.no_grad():
            model.get_parameter("4.weight").mul_(scale)
        loop = on(model, OnlineAM(codes=Codes(steps=5, lr=1.0), mu=Mu(start=0.5)), loss=loss)
        start, (_, c) = prepared(loop)
        before = loop.problem.loss(model[3:](start.z[1]), loop.batch.y)
        after = loop.problem.loss(model[3:](c), loop.batch.y) + 0.5 * (c - start.z[1]).square().sum()
        assert after < before


def test_sparse_codes_shrink():
    norms = {}
    for sparsity in (0.0, 5.0):
        loop = on(network(20, 15), OnlineAM(codes=Codes(sparsity=sparsity), mu=Mu(start=1.0)))
        _, codes = prepared(loop)
        norms[sparsity] = float(codes[1].abs().sum())
        zeros = float((codes[1] == 0).double().mean())
        assert zeros > 0.9 if sparsity else zeros == 0
    assert norms[5.0] < 0.1 * norms[0.0]


def weights_after(model: nn.Sequential, method: OnlineAM) -> tuple[State, State]:
    loop = on(model, method)
    before = loop.state.weights()
    return before, loop.step()


@pytest.mark.parametrize("rule", [Adam(0.01), SGD(0.5)])
def test_without_code_steps_only_the_last_layer_moves(rule: Adam | SGD):
    """Hidden layers learn from their codes alone: at the forward values their residual is zero.

    Backpropagation, or any gradient that crossed a layer, would move them.
    """
    before, after = weights_after(network(20, 15), OnlineAM(rule=rule, codes=Codes(steps=0)))
    assert torch.equal(before.W[0], after.W[0])
    assert torch.equal(before.W[1], after.W[1])
    assert not torch.equal(before.W[2], after.W[2])


def test_a_hidden_layer_sees_its_own_codes_and_input_only():
    """The step of layer 2 is the gradient of its local squares, by autograd on that layer alone."""
    model, method = network(20, 15), OnlineAM(rule=SGD(0.5), codes=Codes(steps=3), regressors="codes")
    loop = on(model, method)
    _, codes = prepared(loop)
    W = loop.state.W[1].clone().requires_grad_()
    local = (codes[1] - torch.relu(codes[0]) @ W.T - loop.state.b[1]).square().sum() / len(codes[1])
    local.backward()
    assert W.grad is not None
    expected = (W - 0.5 * W.grad).detach()
    torch.testing.assert_close(loop.step().W[1], expected, rtol=1e-9, atol=1e-12)


def test_the_last_layer_descends_on_the_loss_of_its_codes():
    model, method = network(20, 15), OnlineAM(last=SGD(0.5), codes=Codes(steps=3), regressors="codes")
    loop = on(model, method)
    _, codes = prepared(loop)
    W = loop.state.W[2].clone().requires_grad_()
    F.cross_entropy(torch.relu(codes[1]) @ W.T + loop.state.b[2], loop.batch.y.argmax(1)).backward()
    assert W.grad is not None
    torch.testing.assert_close(loop.step().W[2], (W - 0.5 * W.grad).detach(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("rule", [Adam(), SGD(), CoActivationMemory()])
def test_no_autograd_graph_is_made(rule: Adam | SGD | CoActivationMemory, monkeypatch: pytest.MonkeyPatch):
    """Training works with autograd out of order, and no weight ever asks for a gradient."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("autograd was used")

    monkeypatch.setattr(torch.autograd, "backward", refuse)
    monkeypatch.setattr(torch.autograd, "grad", refuse)
    loop = on(network(20, 15), OnlineAM(rule=rule, refit=True))
    with torch.enable_grad():
        for _ in range(3):
            loop.step()
        loop.method.finish(loop.sweep())
    assert not any(t.requires_grad or t.grad_fn is not None for _, t in loop.state.named())


def test_weight_steps_are_counted():
    """Three steps a batch equal three gradient steps on the same codes."""
    method = OnlineAM(rule=SGD(0.1), last=SGD(0.1), codes=Codes(steps=2), weight_steps=3)
    loop = on(network(20, 15), method)
    _, codes = prepared(loop)
    a, W, b = loop.batch.x, loop.state.W[0].clone(), loop.state.b[0].clone()
    for _ in range(3):
        r = (a @ W.T + b - codes[0]) * (2.0 / len(a))
        W, b = W - 0.1 * r.T @ a, b - 0.1 * r.sum(0)
    state = loop.step()
    torch.testing.assert_close(state.W[0], W)
    torch.testing.assert_close(state.b[0], b)


def test_mu_grows_by_batch_and_by_epoch_to_its_limit():
    loop = on(network(8), OnlineAM(mu=Mu(start=0.1, add=0.01, factor=2.0, most=0.3)))
    seen = []
    for ends in (False, True, False, True, True):
        loop.step(replace(loop.batch, ends_epoch=ends))
        seen.append(loop.state.memory.mu)
    assert seen == pytest.approx([0.1, 0.11, 0.24, 0.25, 0.3])


def test_learning_rates_halve_every_so_many_epochs():
    loop = on(network(8), OnlineAM(rule=SGD(0.4), last=Adam(0.2), halve_every=2))
    seen = []
    for _ in range(5):
        seen += [own.optimizer.param_groups[0]["lr"] for own in loop.step().memory.rules]
    assert seen == pytest.approx([0.4, 0.2, 0.4, 0.2, 0.2, 0.1, 0.2, 0.1, 0.1, 0.05])


def test_learning_rates_fall_by_a_factor_an_epoch_and_over_the_run():
    loop = on(network(8), OnlineAM(rule=SGD(0.4), last=Adam(0.2), epoch_decay=0.9, halve_every=2, decay="linear"))
    seen = []
    for done in (0.0, 0.25, 0.5):
        loop.step(replace(loop.batch, done=done))
        seen += [own.optimizer.param_groups[0]["lr"] for own in loop.state.memory.rules]
    assert seen == pytest.approx([0.4, 0.2, 0.36 * 0.75, 0.18 * 0.75, 0.4 * 0.81 / 4, 0.2 * 0.81 / 4])


@pytest.mark.parametrize(("decay", "half"), [("linear", 0.5), ("cosine", 0.5), ("none", 1.0)])
def test_learning_rates_fall_over_the_run(decay: str, half: float):
    seen = []
    rates = [lambda history, state: seen.append(state.memory.rules[-1].optimizer.param_groups[0]["lr"])]
    kinds = (altmin.Backprop, altmin.ProxProp)
    for method in (OnlineAM(last=Adam(0.2), decay=decay), *(kind("adam", lr=0.2, decay=decay) for kind in kinds)):
        if isinstance(method, altmin.Backprop):
            rates = [lambda history, state: seen.append(state.memory.optimizer.param_groups[0]["lr"])]
        altmin.fit(network(8), method, digits(100), epochs=2, batch_size=50, callbacks=rates)
    quarter = {"linear": 0.75, "cosine": 0.5 + 0.5**1.5, "none": 1.0}[decay]
    last = {"linear": 0.25, "cosine": 0.5 - 0.5**1.5, "none": 1.0}[decay]
    assert seen == pytest.approx([0.2 * quarter, 0.2 * last] * 3)
    assert half == DECAYS[decay](0.5, 7)


def convolutional() -> nn.Sequential:
    head = [nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*head, nn.Conv2d(3, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 10)).double()


CARRIED = Codes(steps=1, momentum=0.0, scaling="gradients")
PLAIN = {
    "linear": lambda: network(20, 15),
    "batch norm": batch_norm_network,
    "conv": convolutional,
    "residual": lambda: nn.Sequential(
        nn.Linear(64, 12),
        Residual(nn.ReLU(), nn.Linear(12, 12)),
        Residual(nn.Tanh(), nn.Linear(12, 12)),
        nn.Tanh(),
        nn.Linear(12, 10),
    ).double(),
}


@pytest.mark.parametrize("name", PLAIN)
def test_codes_carry_the_whole_gradient_with_one_step_on_the_forward_pass(name: str):
    """Then gradient steps of all layers on their own objectives are one of the network on its loss, by autograd."""
    torch.manual_seed(0)
    model = PLAIN[name]()
    loop = on(model, OnlineAM(rule=SGD(0.1), last=SGD(0.1), codes=CARRIED, regressors="forward"))
    loss = F.cross_entropy(model.train()(loop.batch.x), loop.batch.y.argmax(1))
    grads = torch.autograd.grad(loss, list(model.parameters()))
    before = [p.detach().clone() for p in model.parameters()]
    loop.step()
    state_of(model).set_weights(loop.state)
    for p, old, g in zip(model.parameters(), before, grads, strict=True):
        torch.testing.assert_close(p.detach(), old - 0.1 * g, rtol=1e-9, atol=1e-11)


def test_the_regulariser_has_its_whole_weight_where_codes_carry_gradients():
    """A small step is one along the gradient of the mean loss and of the regulariser over the samples."""
    model, rule = network(20, 15), SGD(1e-7)
    loop = on(model, OnlineAM(rule=rule, last=rule, codes=CARRIED, regressors="forward"))
    loop.problem = problem_of(model, "cross_entropy", "l2:30")
    before = [W.clone() for W in loop.state.W]
    loss = F.cross_entropy(model(loop.batch.x), loop.batch.y.argmax(1))
    grads = torch.autograd.grad(loss, [p for p in model.parameters() if p.ndim == 2])
    for new, old, g in zip(loop.step().W, before, grads, strict=True):
        torch.testing.assert_close((old - new) / 1e-7, g + 30 / 120 * old, rtol=1e-4, atol=1e-7)


def test_mu_weighs_the_loss_where_codes_carry_gradients():
    steps = []
    for mu in (1.0, 2.0):
        loop = on(network(8), OnlineAM(rule=SGD(0.1), last=SGD(0.1), codes=CARRIED, mu=Mu(mu), regressors="forward"))
        before = loop.state.W[0].clone()
        steps.append(loop.step().W[0] - before)
    torch.testing.assert_close(steps[0], 2.0 * steps[1])


def test_memory_holds_the_sums_and_solves_them():
    """After two batches ``M`` and ``B`` are the sums over both, with a column of ones for the intercept."""
    method = OnlineAM(rule=CoActivationMemory(forget=1.0, solver="ridge", ridge=1e-9), codes=Codes(steps=2))
    loop, M, B = on(network(8), method), 0, 0
    for rows in (slice(0, 50), slice(50, 120)):
        batch = loop.batch.select(rows, ends_epoch=False)
        _, (c,) = prepared(loop, batch)
        design = torch.cat([batch.x, torch.ones(len(batch.x), 1).double()], 1)
        M, B = M + design.T @ design, B + c.T @ design
        loop.step(batch)
    torch.testing.assert_close(loop.state.memory.rules[0].M[0], M)
    torch.testing.assert_close(loop.state.memory.rules[0].B[0], B)
    W = torch.cat([loop.state.W[0], loop.state.b[0][:, None]], 1)
    torch.testing.assert_close(W @ M, B, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_refit_minimises_the_loss_over_the_last_layer():
    model, (x, y) = network(20, 15), digits(300)
    altmin.fit(model, OnlineAM(refit=True), (x, y), epochs=2, regularizer=None)
    features = model[:-1](x).detach()
    gradient = torch.autograd.grad(F.cross_entropy(model[-1](features), y), list(model[-1].parameters()))
    assert max(float(g.abs().max()) for g in gradient) < 2e-3


def test_batch_norm_trains_as_modules_do_and_is_written_back():
    """Running statistics after one step equal those of the module itself on the same batch."""
    model, (x, y) = batch_norm_network(), digits(120)
    twin = batch_norm_network()
    twin(x)
    altmin.fit(model, OnlineAM(), (x, y), epochs=1, batch_size=120)
    torch.testing.assert_close(model[1].running_mean, twin[1].running_mean)
    torch.testing.assert_close(model[1].running_var, twin[1].running_var)
    assert not torch.equal(model.get_parameter("1.weight"), twin.get_parameter("1.weight"))
    method = OnlineAM(rule=Adam(0.01), last=Adam(0.01))
    history = altmin.fit(model, method, (x, y), epochs=30, batch_size=60, record=("train",))
    model.eval()
    assert (model(x).argmax(1) == y).double().mean() == pytest.approx(history["train_accuracy"][-1])
    assert history["train_accuracy"][-1] > 0.9


def test_codes_residual_is_how_far_they_moved():
    loop = on(network(20, 15), OnlineAM(codes=Codes(steps=0)))
    loop.step()
    assert loop.residuals() == {"C_1": 0.0, "C_2": 0.0}
    loop = on(network(20, 15), OnlineAM(codes=Codes(steps=5)))
    loop.step()
    assert all(0 < moved < 1 for moved in loop.residuals().values())


def test_objective_is_the_networks_loss():
    loop = on(network(20, 15), OnlineAM())
    state = loop.step()
    z = forward(loop.problem, state, loop.batch.x)[0][-1]
    assert loop.objective() == pytest.approx(float(F.cross_entropy(z, loop.batch.y.argmax(1), reduction="sum")))


@pytest.mark.slow
@pytest.mark.parametrize("rule", [Adam(0.01), SGD(0.5), CoActivationMemory(), CoActivationMemory(solver="ridge")])
def test_offline_version_takes_all_samples_as_one_batch(rule: Adam | SGD | CoActivationMemory):
    x, y = digits(300)
    steps = []
    method = OnlineAM(rule=rule, last=Adam(0.02))
    history = altmin.fit(
        network(20, 15), method, (x, y), epochs=60, batch_size=300, callbacks=[lambda h, s: steps.append(s.k)]
    )
    assert steps[-1] == 60
    assert history["train_accuracy"][-1] > 0.8


def test_batch_norm_of_the_last_layer_follows_the_forward_pass_not_the_step():
    model = nn.Sequential(nn.Linear(64, 10, bias=False), nn.BatchNorm1d(10)).double()
    twin = nn.Sequential(nn.Linear(64, 10, bias=False), nn.BatchNorm1d(10)).double()
    twin.load_state_dict(model.state_dict())
    x, y = digits(120)
    twin(x)
    altmin.fit(model, OnlineAM(last=SGD(5.0)), (x, y), epochs=1, batch_size=120)
    torch.testing.assert_close(model[1].running_mean, twin[1].running_mean)
    torch.testing.assert_close(model[1].running_var, twin[1].running_var)


@pytest.mark.parametrize(("s", "height"), [(Sign, 1.0), (Step, 0.5)])
def test_the_estimators_slope_is_the_one_that_autograd_sees(s: type[nn.Module], height: float):
    model = nn.Sequential(nn.Linear(3, 4), s(), nn.Linear(4, 2)).double()
    true = problem_of(model).layers[0].activation
    surrogate = problem_of(model).estimated().layers[0].activation
    z = torch.linspace(-2.0, 2.0, 41, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(surrogate(z).sum(), z)
    torch.testing.assert_close(surrogate(z), true(z))
    torch.testing.assert_close(surrogate.derivative(z.detach()), slope)
    assert slope.tolist() == [height * (abs(v) <= 1) for v in z.tolist()]


def test_signs_are_crossed_by_what_the_label_says():
    moved = {}
    for jumps, label in (("prox", Gradients.LAYER), ("straight-through", Gradients.STRAIGHT_THROUGH)):
        method = OnlineAM(rule=SGD(1.0), last=SGD(0.1), codes=Codes(jumps=jumps))
        assert method.gradients is label
        loop = Loop.on_digits(method, s=Sign)
        start = loop.state.W[0].clone()
        loop.step()
        moved[jumps] = loop.state.W[0] - start
        assert float(moved[jumps].abs().max()) > 0
    assert not torch.allclose(moved["prox"], moved["straight-through"])
