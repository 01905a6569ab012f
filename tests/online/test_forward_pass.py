"""The objective of one code given the others: derivative and curvature by autograd on the stated sum."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from altmin import Elman, OnlineAM, Residual, Sign, Sweep
from altmin.activations import Identity
from altmin.core.forward import forward
from altmin.core.normalisation import BatchNorm
from altmin.layerwise import function as function_module
from altmin.layerwise.function import layer_functions
from altmin.maps import Composed
from altmin.online.code_objective import CodeObjective
from altmin.online.forward_pass import ForwardPass, forward_pass
from methods.table import Loop

N = 6
FLAT, IMAGE, SEQUENCE = (6,), (2, 6, 6), (5, 2)


def plain() -> list[nn.Module]:
    return [nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Sigmoid(), nn.Linear(4, 3)]


def nested() -> list[nn.Module]:
    inner = Residual(nn.Tanh(), nn.Linear(5, 5))
    outer = Residual(nn.Tanh(), nn.Linear(5, 5), inner, nn.Sigmoid(), nn.Linear(5, 5))
    return [nn.Linear(6, 5), outer, nn.Tanh(), nn.Linear(5, 3)]


def conv() -> list[nn.Module]:
    inside = [nn.Conv2d(4, 6, 3, padding=1), nn.Tanh(), nn.Conv2d(6, 4, 1)]
    head = [nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.MaxPool2d(2)]
    return [*head, nn.Conv2d(4, 4, 1), Residual(nn.Tanh(), *inside), nn.Tanh(), nn.Flatten(), nn.Linear(36, 3)]


def dropouts() -> list[nn.Module]:
    inside = [nn.Dropout(0.4), nn.Linear(5, 5), nn.Dropout(0.3), nn.Tanh(), nn.Linear(5, 5)]
    head = [nn.Dropout(0.2), nn.Linear(6, 5), nn.Dropout(0.5), nn.Tanh()]
    return [*head, Residual(*inside), nn.Sigmoid(), nn.Dropout(0.5), nn.Linear(5, 3)]


def normed() -> list[nn.Module]:
    inside = [nn.Tanh(), nn.Linear(5, 5, bias=False), nn.BatchNorm1d(5)]
    return [nn.Linear(6, 5, bias=False), nn.BatchNorm1d(5), Residual(*inside), nn.Tanh(), nn.Linear(5, 3)]


NETS = {
    "plain": (plain, FLAT),
    "from the pre-activation": (
        lambda: [nn.Linear(6, 5), Residual(nn.Tanh(), nn.Linear(5, 5)), nn.ReLU(), out(5)],
        FLAT,
    ),
    "two layers on": (
        lambda: [nn.Linear(6, 5), Residual(nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 5)), nn.Tanh(), out(5)],
        FLAT,
    ),
    "from the activation": (
        lambda: [nn.Linear(6, 5), nn.Tanh(), Residual(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 5)), nn.Tanh(), out(5)],
        FLAT,
    ),
    "from the data": (lambda: [Residual(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 6)), nn.Tanh(), out(6)], FLAT),
    "to the last layer": (lambda: [nn.Linear(6, 3), Residual(nn.Tanh(), nn.Linear(3, 3))], FLAT),
    "from the activation to the last layer": (
        lambda: [nn.Linear(6, 3), nn.Tanh(), Residual(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 3))],
        FLAT,
    ),
    "one in the other": (nested, FLAT),
    "dropout": (dropouts, FLAT),
    "batch normalisation": (normed, FLAT),
    "convolution": (conv, IMAGE),
    "recurrence": (lambda: [Elman(2, 4), nn.Flatten(), nn.Linear(20, 4), nn.Tanh(), out(4)], SEQUENCE),
}
LINEAR = [name for name in NETS if name not in ("dropout", "batch normalisation", "convolution", "recurrence")]


def out(n: int) -> nn.Linear:
    return nn.Linear(n, 3)


class Case:
    """A network, its forward pass and codes off it."""

    def __init__(self, name: str, loss: str = "cross_entropy", n: int = N, linear: bool = False):
        make, shape = NETS[name]
        with torch.random.fork_rng():
            torch.default_generator.manual_seed(0)
            self.model = nn.Sequential(*make()).double()
            x, labels = torch.randn(n, *shape, dtype=torch.float64), torch.randint(3, (n,))
        loop = Loop.on(OnlineAM(), self.model, x, labels, loss, classes=3)
        self.problem, self.state, self.batch = loop.problem, loop.state, loop.batch
        if linear:
            layers = tuple(replace(layer, activation=Identity()) for layer in self.problem.layers)
            self.problem = replace(self.problem, layers=layers)
        self.state.generator = torch.Generator().manual_seed(1)
        self.start = forward_pass(Sweep(loop.method, self.problem, self.state, self.batch))
        g = torch.Generator().manual_seed(2)
        self.codes = [c + 0.3 * torch.randn(c.shape, generator=g, dtype=c.dtype) for c in self.start.z]
        self.weights = [*[2.0, 1.5, 1.0, 0.7, 0.4][: len(self.codes)], 3.0]

    def above(self, i: int) -> CodeObjective:
        return CodeObjective(self.start, self.codes, i, self.weights, 0.8)

    def value(self, i: int, c: Tensor) -> Tensor:
        """The sum over all layers above code `i`; those that it does not reach are constant."""
        codes = [*self.codes[:i], c, *self.codes[i + 1 :]]
        total = 0.4 * (c - self.start.z[i]).square().sum()
        for j in range(i + 1, len(codes) + 1):
            z = prediction(self.start, j, codes)
            last = j == len(codes)
            e = self.problem.loss(z, self.batch.y) if last else 0.5 * (z - codes[j]).square().sum()
            total = total + self.weights[j] * e
        return total


def prediction(start: ForwardPass, j: int, codes: list[Tensor]) -> Tensor:
    """Layer `j` at the codes, with PyTorch's batch normalisation."""
    function, activations = start.functions[j], [b.layer.activation for b in start.functions]
    a = activations[j - 1](codes[j - 1]) if j else start.x
    z = function.layer.map(function.W, function.b, a)
    if function.norm is not None:
        assert isinstance(function.layer.norm, BatchNorm)
        z = F.batch_norm(z, None, None, function.norm.scale, function.norm.shift, True, 0.0, function.layer.norm.eps)
    if function.layer.skip is None:
        return z
    kind, k = function.layer.skip
    return z + (start.x if k < 0 else codes[k] if kind == "z" else activations[k](codes[k]))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("name", NETS)
def test_gradient_is_autograds_of_the_stated_sum(name: str, loss: str):
    case = Case(name, loss)
    for i, code in enumerate(case.codes):
        c = code.clone().requires_grad_()
        expected = torch.autograd.grad(case.value(i, c), c)[0]
        found = case.above(i).gradient(code.clone())
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)
        assert found.abs().max() > 1e-3


@pytest.mark.parametrize("name", NETS)
def test_the_first_gradient_is_the_gradient_at_the_forward_value(name: str):
    """With the codes below at their forward values, as they are where codes are found last to first."""
    case = Case(name)
    for i in reversed(range(len(case.codes))):
        objective = replace(case.above(i), codes=[*case.start.z[:i], *case.codes[i:]])
        found = objective.first_gradient()
        torch.testing.assert_close(found, objective.gradient(case.start.z[i]), rtol=1e-9, atol=1e-11)
        assert found.abs().max() > 1e-3


@pytest.mark.parametrize("name", NETS)
def test_codes_at_their_forward_values_need_not_be_given(name: str):
    """`None` stands for the forward value, whose input and whose connection the forward pass has."""
    start = Case(name).start
    for i in range(len(start.functions)):
        assert start.value_at(i, start.unmoved) is start.value(i)
        for given, known in ((start.input, start.unmoved), (start.skip, start.unmoved)):
            torch.testing.assert_close(given(i, known), given(i, start.z))
    for i in range(1, len(start.functions)):
        assert start.value_at(i, start.z) is None


@pytest.mark.parametrize("name", NETS)
def test_a_gradient_changes_nothing(name: str):
    case = Case(name)
    kept = [*case.codes, *case.start.z, case.batch.x, *case.state.W]
    before = [t.clone() for t in kept]
    for i, code in enumerate(case.codes):
        first, again = case.above(i).gradient(code), case.above(i).gradient(code)
        assert torch.equal(first, again)
    assert all(torch.equal(t, old) for t, old in zip(kept, before, strict=True))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
@pytest.mark.parametrize("name", LINEAR)
def test_curvature_bounds_the_hessian_for_linear_activations(name: str, loss: str, monkeypatch: pytest.MonkeyPatch):
    """With the power iteration converged; at one sample, with the squared loss, it is near where no connection is."""
    monkeypatch.setattr(function_module, "POWER_STEPS", 300)
    case = Case(name, loss, n=1, linear=True)
    for i, code in enumerate(case.codes):
        H = torch.autograd.functional.hessian(lambda c, i=i: case.value(i, c), code)
        top = torch.linalg.eigvalsh(H.view(code.numel(), code.numel()))[-1]  # type: ignore[union-attr]
        found = case.above(i).curvature(
            layer_functions(case.problem, case.state)[i + 1].power_iteration(case.start.a[i]).norm()
        )
        assert found >= top * (1 - 1e-9)
        if name == "plain" and loss == "squared":
            torch.testing.assert_close(found, top, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("name", [*LINEAR, "recurrence"])
def test_without_dropout_and_batch_normalisation_codes_start_at_the_forward_pass(name: str):
    case = Case(name)
    z, a = forward(case.problem, case.state, case.batch.x)
    for found, expected in zip(case.start.z, z, strict=False):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(case.start.last[0], a[-1])
    over = case.start.last[1]
    torch.testing.assert_close(prediction(case.start, len(a), case.start.z), z[-1])
    assert (over is None) == (case.problem.layers[-1].skip is None)


@pytest.mark.parametrize("name", ["batch normalisation", "convolution"])
def test_encoding_normalises_as_modules_in_training_do(name: str):
    """Values and running statistics of the hidden layers, on one batch."""
    case, twin = Case(name), Case(name)
    twin.model.train()
    modules = [m for m in twin.model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))]
    outputs = twin.model(twin.batch.x).detach()
    last = case.start.functions[-1](*case.start.last).z
    torch.testing.assert_close(last, outputs)
    norms = [n for n in case.state.norm if n is not None]
    for norm, module in zip(norms, modules, strict=True):
        torch.testing.assert_close(norm.mean, module.running_mean)
        torch.testing.assert_close(norm.var, module.running_var)


def test_dropout_is_drawn_once_and_is_the_networks_at_these_masks():
    """Every prediction at the forward codes is the forward code itself: the same masks in the pass and behind it."""
    case = Case("dropout")
    for j, z in enumerate(case.start.z):
        torch.testing.assert_close(prediction(case.start, j, case.start.z), z)
    evaluated = forward(case.problem, case.state, case.batch.x)[0]
    assert not any(torch.allclose(z, e) for z, e in zip(case.start.z, evaluated, strict=False))
    assert not any(
        isinstance(m, Composed) and m.random for m in (function.layer.map for function in case.start.functions)
    )


def test_weights_learn_from_codes_that_moved_and_from_forward_values_of_codes_that_jumped():
    """Layer 2 is a sign: what stands above it sees its forward value; the others see the codes."""
    inner = [nn.Tanh(), nn.Linear(5, 5), Sign(), nn.Linear(5, 5)]
    model = nn.Sequential(nn.Linear(6, 5), Residual(*inner), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.randn(N, 6, dtype=torch.float64)
    start = forward_pass(Loop.on(OnlineAM(), model, x, torch.arange(N) % 3, classes=3).sweep())
    codes = [c + 0.3 for c in start.z]
    assert [start.smooth(i) for i in range(3)] == [True, False, True]
    now = start.regressors(codes)
    inputs, overs = [start.input(i, now) for i in range(4)], [start.skip(i, now) for i in range(4)]
    expected = [x, torch.tanh(codes[0]), Sign()(start.z[1]), torch.tanh(codes[2])]
    torch.testing.assert_close(inputs, expected)
    assert [over is None for over in overs] == [True, True, False, True]
    torch.testing.assert_close(overs[2], codes[0])
