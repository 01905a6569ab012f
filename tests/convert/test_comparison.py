"""A model is run beside what is trained in its place: a difference is named, rounding is none, nothing is changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import altmin
from altmin.convert.comparison import check_same_function
from altmin.operations import LinearOperation

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def network(s: type[nn.Module] = nn.ReLU, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), s())
    return nn.Sequential(nn.Linear(6, 5), s(), inner, nn.Dropout(0.5), nn.Linear(4, 2)).to(dtype)


def check(model: nn.Sequential, x: Tensor = X) -> None:
    check_same_function(model, altmin.problem_of(model), x.to(next(model.parameters()).dtype))


class Turn(nn.Module):
    """A rotation in training, and nothing in evaluation."""

    def forward(self, x: Tensor) -> Tensor:
        return x.roll(1, 1) if self.training else x


class Still(LinearOperation):
    """The identity."""

    keeps_width = True

    def __call__(self, a: Tensor) -> Tensor:
        return a


class Draws(nn.Module):
    """Draws random numbers, and counts in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        torch.rand(3)
        self.get_buffer("count").add_(1)
        return x


class Nothing(Still):
    """The identity."""


class Doubles(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2.0 * x


class Idle(LinearOperation):
    """A doubling that says of itself that rows pass it as they are, and so is left out."""

    idle_on_rows = True
    keeps_width = True

    def __call__(self, a: Tensor) -> Tensor:
        return 2.0 * a


@pytest.fixture(autouse=True)
def own(registrations: None) -> None:
    for module, kind in ((Turn, Still), (Draws, Nothing), (Doubles, Idle)):
        altmin.converts(module)(kind)


PATCHES: dict[str, tuple[type, Callable[..., Any], str]] = {
    "Linear": (nn.Linear, lambda self, x: 2.0 * x @ self.weight.T + self.bias, r"module 0 \(Linear\) computes another"),
    "BatchNorm1d": (nn.BatchNorm1d, lambda self, x: x, r"module 2\.1 \(BatchNorm1d\) computes another"),
    "Dropout": (nn.Dropout, lambda self, x: 1.5 * x, r"module 3 \(Dropout\) computes another"),
    "Sequential": (
        nn.Sequential,
        lambda self, x: self[-1](torch.ones(len(x), 4)),
        r"module 2 \(Sequential\) (comp|fails)",
    ),
    "shape": (nn.Linear, lambda self, x: (x @ self.weight.T)[:, :1], r"module 0 \(Linear\) gives \(4, 1\)"),
    "dtype": (nn.Linear, lambda self, x: (x @ self.weight.T).double(), r"module 0 \(Linear\) gives .* torch\.float64"),
    "kind": (nn.Linear, lambda self, x: (x,), r"module 0 \(Linear\) gives a tuple"),
}


@pytest.mark.parametrize("case", PATCHES)
def test_the_first_module_that_differs_is_named(case: str, monkeypatch: pytest.MonkeyPatch):
    kind, forward, text = PATCHES[case]
    model = network()
    model[2][1].running_var.fill_(3.0)
    model.eval()
    monkeypatch.setattr(kind, "forward", forward)
    with pytest.raises(TypeError, match=text):
        check(model)
    for train in (
        lambda: altmin.fit(model, altmin.OnlineAM(), (X, Y), epochs=1),
        lambda: altmin.fit_stream(model, altmin.OnlineAM(), [(X, Y)], steps=1),
        lambda: altmin.Trainer(model, altmin.OnlineAM()).step(X, Y),
    ):
        with pytest.raises(TypeError, match=text):
            train()


def test_a_difference_in_training_mode_alone_is_found():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), Turn(), nn.Linear(5, 2)).eval()
    with pytest.raises(TypeError, match=r"module 2 \(Turn\) computes another function"):
        check(model)


def test_layers_that_are_put_together_wrongly_are_found():
    model = nn.Sequential(Doubles(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))
    with pytest.raises(TypeError, match="`model` computes another function than its modules are read as"):
        check(model)


@pytest.mark.parametrize("training", [False, True])
def test_nothing_is_changed(training: bool):
    model = network()
    model.insert(2, Draws())
    model.train(training)
    model[0].train(not training)
    before = {name: (t, t.clone()) for name, t in model.state_dict(keep_vars=True).items()}
    modes, numbers = [m.training for m in model.modules()], torch.get_rng_state()
    check(model)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), numbers)
    for name, t in model.state_dict(keep_vars=True).items():
        assert t is before[name][0]
        assert torch.equal(t, before[name][1])
    assert not any(m._forward_hooks for m in model.modules())


SIZES = [(1.0, 1.0), (1e-6, 1.0), (1e4, 1e4), (1.0, 1e8), (1e20, 1e10)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("s", [nn.ReLU, nn.Sigmoid, altmin.Sign, altmin.Step])
@pytest.mark.parametrize(("weights", "inputs"), SIZES)
def test_rounding_is_no_difference(s: type[nn.Module], dtype: torch.dtype, weights: float, inputs: float):
    model = network(s, dtype)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(weights)
    check(model, inputs * X)


@pytest.mark.parametrize("s", [nn.ReLU, altmin.Sign])
def test_cancellation_and_jumps_at_zero_are_no_difference(s: type[nn.Module]):
    """Sums that are zero but for rounding, in every unit: what a sign makes of them is chance."""
    model: Any = nn.Sequential(nn.Linear(300, 50), s(), nn.Linear(50, 2))
    x = torch.rand(8, 150) * 0.1 + 1000.0
    with torch.no_grad():
        model[0].weight[:, 150:] = -model[0].weight[:, :150]
        model[0].bias.zero_()
    check(model, torch.cat([x, x], 1))
    check(model, torch.zeros(4, 300))


def test_in_place_activations_and_deep_networks_pass():
    layers = [m for _ in range(30) for m in (nn.Linear(6, 6), nn.ReLU(inplace=True))]
    x = X.clone()
    check(nn.Sequential(*layers, nn.Linear(6, 2)), x)
    assert torch.equal(x, X)


def test_every_kind_of_network_passes():
    images = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 3),
    )
    check(images, torch.randn(5, 64))
    residual = nn.Sequential(nn.Linear(6, 6), altmin.Residual(nn.ReLU(), nn.Linear(6, 6)), nn.ReLU(), nn.Linear(6, 2))
    check(residual, X)
    check(nn.Sequential(altmin.Elman(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)), X)
    check(nn.Sequential(nn.Linear(6, 2)), X[:1])


def test_only_the_first_step_pays(monkeypatch: pytest.MonkeyPatch):
    calls: list[int] = []
    monkeypatch.setattr("altmin.train.driver.check_same_function", lambda *_: calls.append(1))
    trainer = altmin.Trainer(network(), altmin.OnlineAM())
    for _ in range(3):
        trainer.step(X, Y)
    assert calls == [1]
