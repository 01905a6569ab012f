"""Dropout: masks drawn once a batch, evaluation without, and the activation's prox behind a mask."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import altmin
from altmin import (
    DLADMM,
    DLAM,
    IPDLAM,
    MDLAM,
    SGD,
    Adam,
    Backprop,
    CoActivationMemory,
    Codes,
    Elman,
    OnlineAM,
)
from altmin.activations import Activation, DropoutBefore, Hardtanh, Identity, LeakyReLU, ReLU, Sigmoid, Sign, Tanh
from altmin.core.forward import forward
from altmin.layerwise.function import LayerFunction, LayerValue
from altmin.maps import Composed
from altmin.methods import online
from altmin.online.forward_pass import ForwardPass, forward_pass
from altmin.online.targets import SquaresTarget
from altmin.operations import Mask
from altmin.train.options import FIGURES
from methods.table import Loop, digits
from online.preparing import prepared


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model_of(p: float = 0.4) -> nn.Sequential:
    """Dropout of the data, before an activation and behind one."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        head = [nn.Dropout(p), nn.Linear(64, 20), nn.Dropout(p), nn.ReLU()]
        return nn.Sequential(*head, nn.Dropout(p), nn.Linear(20, 15), nn.Tanh(), nn.Linear(15, 10)).double()


def loop_of(method: altmin.Method, model: nn.Sequential | None = None, n: int = 120, seed: int = 1) -> Loop:
    return Loop.on(method, model or model_of(), *digits(n), seed=seed)


def masks(start: ForwardPass) -> list[Tensor]:
    """The masks of a pass: of the data, before the first activation, and behind it."""
    first, second = start.functions[0].layer, start.functions[1].layer
    found: list[Tensor] = []
    for map in (first.map, second.map):
        assert isinstance(map, Composed)
        assert isinstance(map.before[0], Mask)
        found.append(map.before[0].mask)
    assert isinstance(first.activation, DropoutBefore)
    assert first.activation.mask is not None
    return [found[0], first.activation.mask, found[1]]


def test_a_pass_draws_a_mask_for_every_number_of_every_sample():
    loop = loop_of(OnlineAM())
    found = masks(prepared(loop, seed=3)[0])
    assert [m.shape for m in found] == [(120, 64), (120, 20), (120, 20)]
    for mask in found:
        assert mask.unique().tolist() == [0.0, pytest.approx(1 / 0.6)]
        assert (mask == 0).double().mean() == pytest.approx(0.4, abs=0.05)  # three standard deviations are 0.03
        assert len(mask.unique(dim=0)) > 100
    again = masks(prepared(loop, seed=3)[0])
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_a_pass_is_the_network_at_its_masks():
    loop = loop_of(OnlineAM())
    start = prepared(loop, seed=3)[0]
    (m0, m1, m2), (W0, W1, _), (b0, b1, _) = masks(start), loop.state.W, loop.state.b
    z0 = (m0 * loop.batch.x) @ W0.T + b0
    z1 = (m2 * torch.relu(m1 * z0)) @ W1.T + b1
    torch.testing.assert_close(start.z, [z0, z1])
    torch.testing.assert_close(start.last[0], torch.tanh(z1))


class Watch:
    """A method's forward passes, and the layers that its codes and weights call, as steps use them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.starts: list[ForwardPass] = []
        self.called: list[LayerFunction] = []
        call = LayerFunction.__call__

        def recorded_pass(*args: Any, **options: Any) -> ForwardPass:
            self.starts.append(forward_pass(*args, **options))
            return self.starts[-1]

        def recorded_call(function: LayerFunction, a: Tensor, skip: Tensor | None = None) -> LayerValue:
            self.called.append(function)
            return call(function, a, skip)

        monkeypatch.setattr(online, "forward_pass", recorded_pass)
        monkeypatch.setattr(LayerFunction, "__call__", recorded_call)


def test_one_batch_has_one_mask_in_the_pass_in_the_codes_and_in_the_weights(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    loop_of(OnlineAM(codes=Codes(steps=3), regressors="codes", weight_steps=2)).step()
    (start,) = watch.starts
    layers = {id(function.layer) for function in start.functions}
    used = [function for function in watch.called[2:] if function.layer.map.shape != (10, 15)]
    # Codes of the first layer, weights of the two hidden ones; the first of each has the forward pass's value.
    assert len(used) >= (3 - 1) + (2 * 2 - 1)
    assert {id(function.layer) for function in used} <= layers


def test_weights_move_on_masked_inputs_and_codes():
    """The step of each layer by autograd, with the masks written out."""
    loop = loop_of(OnlineAM(rule=SGD(0.1), last=SGD(0.1), codes=Codes(steps=3), regressors="codes"))
    start, codes = prepared(loop)
    m0, m1, m2 = masks(start)
    W = [w.clone().requires_grad_() for w in loop.state.W]
    b = loop.state.b
    first = (codes[0] - (m0 * loop.batch.x) @ W[0].T - b[0]).square().sum()
    second = (codes[1] - (m2 * torch.relu(m1 * codes[0])) @ W[1].T - b[1]).square().sum()
    last = F.cross_entropy(torch.tanh(codes[1]) @ W[2].T + b[2], loop.batch.y.argmax(1))
    grads = torch.autograd.grad((first + second) / 120 + last, W)
    for found, w, g in zip(loop.step().W, W, grads, strict=True):
        torch.testing.assert_close(found, (w - 0.1 * g).detach(), rtol=1e-9, atol=1e-12)


def test_every_batch_draws_anew_and_a_seed_repeats_all(monkeypatch: pytest.MonkeyPatch):
    watch = Watch(monkeypatch)
    loop = loop_of(OnlineAM())
    one = [loop.step().W[0].clone() for _ in range(2)]
    assert not torch.equal(masks(watch.starts[0])[0], masks(watch.starts[1])[0])
    loop, other = loop_of(OnlineAM()), loop_of(OnlineAM(), seed=2)
    torch.testing.assert_close([loop.step().W[0].clone() for _ in range(2)], one, rtol=0, atol=0)
    assert not torch.equal(other.step().W[0], one[0])


@pytest.mark.parametrize("method", [OnlineAM(rule=Adam(0.01), last=Adam(0.01)), Backprop("adam", lr=0.01)])
def test_evaluation_is_the_network_without_dropout(method: altmin.Method):
    (x, y), model = digits(120), model_of(0.2)
    history = altmin.fit(model, method, (x, y), epochs=8, batch_size=40, validation=(x, y), record=FIGURES)
    loss = F.cross_entropy(model.eval()(x), y).detach()
    for name in ("train_loss", "validation_loss"):
        assert history[name][-1] == pytest.approx(float(loss))
    assert float(loss) < 0.9 * history["train_loss"][0]


def test_the_forward_pass_draws_nothing():
    loop = loop_of(OnlineAM())
    plain = nn.Sequential(*(m for m in model_of() if not isinstance(m, nn.Dropout)))
    torch.testing.assert_close(forward(loop.problem, loop.state, loop.batch.x)[0][-1], plain(loop.batch.x).detach())


def test_dropout_matters():
    """Backpropagation and online steps differ from those without."""
    for method in (OnlineAM(rule=SGD(0.1)), Backprop("sgd", lr=0.1)):
        dropped, plain = loop_of(method), loop_of(method, model_of(0.0))
        assert not torch.allclose(dropped.step().W[0], plain.step().W[0])


@pytest.mark.parametrize("method", [DLAM(), IPDLAM(), MDLAM(), DLADMM(rho=3.0, rho_max=3.0)])
@pytest.mark.parametrize("model", [model_of(), nn.Sequential(Elman(8, 4).double(), nn.Flatten(), nn.Linear(32, 10))])
def test_methods_of_the_whole_data_refuse_what_is_drawn_by_batch(method: altmin.Method, model: nn.Sequential):
    text = rf"{type(method).__name__} does not support (dropout|Elman) \(layer 1\)"
    with pytest.raises(TypeError, match=text):
        altmin.fit(model.double(), method, digits(20), epochs=1)


INNER = [Identity(), ReLU(), LeakyReLU(0.2), Hardtanh(-0.4, 0.7), Sigmoid(), Tanh(), Sign()]


def on_a_grid(s: Activation, a: Tensor, v: Tensor, r: float, mask: Tensor) -> Tensor:
    """The least value of ``(s(m z) - a)^2 + r (z - v)^2`` on a fine grid."""
    z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)[:, None]
    return torch.cat([((s(m * z) - t).square() + r * (z - c).square()).amin(0) for t, c, m in pairs(a, v, mask)])


def pairs(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(t.flatten().split(1) for t in tensors), strict=True))


@pytest.mark.thinned(2)
@pytest.mark.parametrize("inner", INNER, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("r", [0.05, 1.0, 7.0])
@pytest.mark.parametrize("p", [0.3, 0.75])
def test_the_prox_behind_a_mask_is_the_grids(inner: Activation, r: float, p: float):
    a, v = randn(4, 6), 2 * randn(4, 6, seed=1)
    s = DropoutBefore(p, inner).sample(v, torch.Generator().manual_seed(0))
    assert s.mask is not None
    assert 0 < (s.mask == 0).sum() < 24
    z = s.prox(v, r, a)
    found = (s(z) - a).square() + r * (z - v).square()
    least = on_a_grid(inner, a, v, r, s.mask)
    assert (found.flatten() <= least + 1e-9).all()
    assert (found.flatten() >= least - 1e-3).all()
    assert torch.equal(z[s.mask == 0], v[s.mask == 0])


@pytest.mark.parametrize("inner", [ReLU(), Tanh(), Sigmoid(), LeakyReLU(0.2)], ids=lambda s: type(s).__name__)
def test_the_slope_behind_a_mask_is_autograds(inner: Activation):
    z = randn(5, 7).requires_grad_()
    s = DropoutBefore(0.4, inner).sample(z.detach(), torch.Generator().manual_seed(0))
    torch.testing.assert_close(s.derivative(z.detach()), torch.autograd.grad(s(z).sum(), z)[0])


def test_without_a_mask_it_is_the_inner_activation():
    a, v, s = randn(4, 6), randn(4, 6, seed=1), DropoutBefore(0.4, Tanh())
    assert torch.equal(s(v), torch.tanh(v))
    assert torch.equal(s.derivative(v), Tanh().derivative(v))
    assert torch.equal(s.prox(v, 0.7, a), Tanh().prox(v, 0.7, a))
    assert all(torch.equal(x, y) for x, y in zip(s.interval(v, 0.1), Tanh().interval(v, 0.1), strict=True))
    assert (s.differentiable, DropoutBefore(0.4, Sign()).differentiable) == (True, False)


def sequences(n: int = 60) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A recurrent network and labels of the digits, read row by row."""
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        model = nn.Sequential(Elman(8, 6), nn.Flatten(), nn.Linear(48, 12), nn.Tanh(), nn.Linear(12, 10)).double()
    x, y = digits(n)
    return model, x.view(n, 8, 8), y


@pytest.mark.slow
@pytest.mark.parametrize("rule", [SGD(0.01), CoActivationMemory(), Adam(0.01)])
def test_recurrent_networks_learn(rule: SGD | CoActivationMemory | Adam):
    model, x, y = sequences(120)
    before = F.cross_entropy(model(x), y).detach()
    method = OnlineAM(rule=rule, last=Adam(0.02), codes=Codes(steps=5), regressors="codes", decay="none")
    altmin.fit(model, method, (x, y), epochs=30, batch_size=40)
    assert F.cross_entropy(model(x), y).detach() < 0.7 * before


def recurrent_loop(rule: SGD | CoActivationMemory, regularizer: str | None = None) -> tuple[Loop, Tensor, Tensor]:
    """One step's start, and the rows and targets of the recurrence's regression."""
    model, x, y = sequences()
    loop = Loop.on(OnlineAM(rule=rule, codes=Codes()), model, x, y, regularizer=regularizer)
    assert isinstance(loop.method, OnlineAM)
    target = loop.method.prepare(loop.sweep()).layers[0]
    assert isinstance(target, SquaresTarget)
    return loop, target.a, target.target


def test_the_recurrences_step_sums_over_steps_and_is_a_mean_over_samples():
    """Squares are sums over a sample's entries, here over the steps of a sequence too."""
    loop, rows, targets = recurrent_loop(SGD(0.01))
    W = loop.state.W[0].clone().requires_grad_()
    ((targets - rows @ W.T - loop.state.b[0]).square().sum() / 60).backward()
    assert W.grad is not None
    torch.testing.assert_close(loop.step().W[0], (W - 0.01 * W.grad).detach(), rtol=1e-9, atol=1e-12)


def test_the_memory_spreads_the_regulariser_over_samples_not_over_steps():
    """With every sample in the memory once, its ridge is ``w/(2 mu)`` a sample's worth: rows count no samples."""
    rule = CoActivationMemory(forget=1.0, solver="ridge", ridge=1e-12)
    loop, rows, targets = recurrent_loop(rule, "l2:3.0")
    design = torch.cat([rows, torch.ones(len(rows), 1).double()], 1)
    free = torch.ones(design.shape[1]).double()
    free[-1] = 0.0
    normal = design.T @ design + 3.0 / 2.0 * torch.diag(free)
    expected = torch.linalg.solve(normal, design.T @ targets).T
    state = loop.step()
    torch.testing.assert_close(state.W[0], expected[:, :-1], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state.b[0], expected[:, -1], rtol=1e-6, atol=1e-6)


def test_a_recurrence_that_is_cut_from_flat_samples_is_the_same():
    model, x, y = sequences()
    flat, _, _ = sequences()
    altmin.fit(model, OnlineAM(), (x, y), epochs=2, generator=torch.Generator().manual_seed(0))
    altmin.fit(flat, OnlineAM(), (x.flatten(1), y), epochs=2, generator=torch.Generator().manual_seed(0))
    for one, two in zip(model.parameters(), flat.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_masks_live_in_the_pass_and_the_problem_stays_undrawn():
    loop = loop_of(OnlineAM())
    loop.step()
    first, second, _ = loop.problem.layers
    assert isinstance(first.activation, DropoutBefore)
    assert first.activation.mask is None
    assert all(isinstance(layer.map, Composed) and layer.map.random for layer in (first, second))
