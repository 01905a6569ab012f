"""Online methods on residual networks and on a small convolutional one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin import SGD, Adam, CoActivationMemory, Codes, Mu, OnlineAM
from altmin.train.options import FIGURES
from methods.table import Loop, digits
from online.preparing import prepared
from residual_networks import NETS, model_of

nets = pytest.mark.parametrize("net", NETS)
RULES = {
    "am-adam": OnlineAM(rule=Adam(0.01), last=Adam(0.01)),
    "am-sgd": OnlineAM(rule=SGD(0.3), last=SGD(0.5)),
    "am-mem": OnlineAM(rule=CoActivationMemory(), last=Adam(0.01)),
    "am-mem-ridge": OnlineAM(rule=CoActivationMemory(solver="ridge"), last=Adam(0.01)),
}


@pytest.mark.slow
@nets
@pytest.mark.parametrize("rule", RULES)
def test_online_methods_learn(net: str, rule: str):
    loop = Loop.of(RULES[rule], model_of(net), n=120)
    before = loop.objective()
    for k in range(100 if net == "convolution" else 45):
        batch = loop.batch.select(slice(40 * (k % 3), 40 * (k % 3) + 40), ends_epoch=k % 3 == 2)
        loop.step(batch)
    assert loop.objective() < (0.95 if net == "convolution" else 0.9) * before


@nets
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_codes_of_online_methods_descend_in_turn(net: str, loss: str):
    """Each code, last to first, lowers its own share of the penalty objective with those above it updated.

    Where windows of max pooling overlap, one may push an entry up that bounds another from below: there the curvature
    is a bound on the pieces alone, and steps have to be short.
    """
    method = OnlineAM(codes=Codes(steps=5, lr=0.1 if net == "convolution" else 1.0), mu=Mu(start=0.5))
    loop = Loop.of(method, model_of(net), loss, n=120)
    start, codes = prepared(loop)

    def value(now: list[Tensor]) -> float:
        total = torch.zeros(()).double()
        for j, layer in enumerate(loop.problem.layers):
            z = layer.map(loop.state.W[j], loop.state.b[j], start.input(j, now))
            skip = start.skip(j, now)
            z = z if skip is None else z + skip
            last = j == len(now)
            total = total + (loop.problem.loss(z, loop.batch.y) / 0.5 if last else (z - now[j]).square().sum())
        return float(total)

    now = list(start.z)
    for i in reversed(range(len(codes))):
        # What draws C_l to its layer's own prediction is not in its share: C^0 is that prediction's stand-in.
        own = (codes[i] - start.z[i]).square().sum()
        new = [*now[:i], codes[i], *now[i + 1 :]]
        assert value(new) <= value(now) + 1e-9, i
        assert own > 0
        now = new


def test_hidden_weights_of_online_methods_move_on_what_is_left_for_them():
    """The regression target is the code less what the connection adds, by autograd on the layer alone."""
    method = OnlineAM(rule=SGD(0.1), codes=Codes(steps=3), regressors="codes")
    loop = Loop.of(method, model_of("activation"), n=120)
    _, codes = prepared(loop)
    W = loop.state.W[2].clone().requires_grad_()
    z = torch.tanh(codes[1]) @ W.T + loop.state.b[2] + torch.relu(codes[0])
    ((codes[2] - z).square().sum() / len(z)).backward()
    assert W.grad is not None
    torch.testing.assert_close(loop.step().W[2], (W - 0.1 * W.grad).detach(), rtol=1e-9, atol=1e-12)


def test_convolution_rows_count_every_position_but_samples_stay_samples():
    """AM-SGD's step on a kernel is that of the squares summed over positions, divided by the samples."""
    method = OnlineAM(rule=SGD(0.01), codes=Codes(steps=2))
    loop = Loop.of(method, model_of("convolution"), n=40)
    _, codes = prepared(loop)
    W = loop.state.W[0].clone().requires_grad_()
    z = torch.conv2d(loop.batch.x.view(-1, 1, 8, 8), W.view(4, 1, 3, 3), loop.state.b[0], padding=1)
    ((codes[0] - z).square().sum() / 40).backward()
    assert W.grad is not None
    torch.testing.assert_close(loop.step().W[0], (W - 0.01 * W.grad).detach(), rtol=1e-9, atol=1e-12)


def test_refitting_keeps_the_connection_to_the_outputs():
    x, y = digits(200)
    model = model_of("outputs")
    altmin.fit(model, OnlineAM(refit=True), (x, y), epochs=2)
    last = model.get_submodule("1.1")
    loss = nn.functional.cross_entropy(model(x), y)
    assert max(float(g.abs().max()) for g in torch.autograd.grad(loss, list(last.parameters()))) < 2e-3


@nets
def test_fit_trains_the_network_that_it_was_given(net: str):
    """The loss of a record that asks for it is the module's own after training."""
    (x, y), model = digits(120), model_of(net)
    method = OnlineAM(rule=Adam(0.01), last=Adam(0.01))
    history = altmin.fit(model, method, (x, y), epochs=5, batch_size=40, record=FIGURES)
    loss = nn.functional.cross_entropy(model(x), y).detach()
    assert history["train_loss"][-1] == pytest.approx(float(loss))
