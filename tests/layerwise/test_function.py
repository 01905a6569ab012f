"""Layers as functions: value, derivatives and running statistics are those of PyTorch's modules in training mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from altmin.activations import Identity, ReLU
from altmin.core.normalisation import BatchNorm
from altmin.core.problem import Layer, Problem
from altmin.core.state import Norm, State
from altmin.layerwise.function import LayerFunction, layer_functions
from altmin.maps import Linear

N, P, Q = 9, 5, 4


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(bias: bool, normed: bool, eps: float = 1e-5, momentum: float = 0.1) -> tuple[LayerFunction, nn.Sequential]:
    """A function and the same thing as modules; scales of both signs."""
    W, b = randn(Q, P, seed=1), randn(Q, seed=2) if bias else torch.zeros(Q, dtype=torch.float64)
    norm = Norm(randn(Q, seed=3), randn(Q, seed=4), randn(Q, seed=5), randn(Q, seed=6).square() + 0.1)
    linear, batchnorm = nn.Linear(P, Q, bias=bias).double(), nn.BatchNorm1d(Q, eps=eps, momentum=momentum).double()
    linear.weight.data.copy_(W)
    if bias:
        linear.bias.data.copy_(b)
    names = {"weight": norm.scale, "bias": norm.shift, "running_mean": norm.mean, "running_var": norm.var}
    batchnorm.load_state_dict({**names, "num_batches_tracked": torch.tensor(0)})
    layer = Layer(Linear(P, Q, bias), ReLU(), BatchNorm(eps, momentum) if normed else None)
    modules = [linear, batchnorm] if normed else [linear]
    return LayerFunction(layer, W, b, norm if normed else None), nn.Sequential(*modules).train()


def norm_of(function: LayerFunction) -> Norm:
    assert function.norm is not None
    return function.norm


sorts = pytest.mark.parametrize(
    ("bias", "normed", "eps"),
    [(True, False, 0.0), (False, False, 0.0), (True, True, 1e-5), (False, True, 1e-5), (False, True, 0.5)],
)


@sorts
def test_value(bias, normed, eps):
    function, modules = pair(bias, normed, eps)
    a = randn(N, P, seed=7)
    torch.testing.assert_close(function(a).z, modules(a))


@sorts
def test_derivatives_are_those_of_autograd(bias, normed, eps):
    function, modules = pair(bias, normed, eps)
    a, r = randn(N, P, seed=7).requires_grad_(), randn(N, Q, seed=8)
    to_input, *to_params = torch.autograd.grad((modules(a) * r).sum(), [a, *modules.parameters()])
    forward = function(a.detach())
    torch.testing.assert_close(forward.to_input(r), to_input, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(forward.to_params(r), to_params, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(function.params(), [p.detach() for p in modules.parameters()])


@pytest.mark.parametrize("momentum", [0.1, 0.7])
def test_running_statistics_follow_the_batches(momentum):
    function, modules = pair(bias=False, normed=True, momentum=momentum)
    for seed, n in enumerate((9, 4, 2, 9)):
        a = randn(n, P, seed=20 + seed)
        function(a).track()
        modules(a)
        torch.testing.assert_close(norm_of(function).mean, modules[1].running_mean)
        torch.testing.assert_close(norm_of(function).var, modules[1].running_var)


def test_without_batch_normalisation_there_is_nothing_to_track():
    function, _ = pair(bias=True, normed=False)
    function(randn(N, P)).track()
    assert function.norm is None


def test_one_sample_keeps_the_running_variance_finite():
    function, _ = pair(bias=False, normed=True)
    function(randn(1, P)).track()
    assert norm_of(function).var.isfinite().all()


def gain_and_truth(W: Tensor, normed: bool = False) -> tuple[float, float]:
    """A function's `gain` and the largest eigenvalue that it estimates."""
    function, _ = pair(bias=False, normed=normed)
    factor = torch.ones(len(W), dtype=W.dtype)
    if normed:
        factor = norm_of(function).scale / (norm_of(function).var + 1e-5).sqrt()
    layer = Layer(Linear(W.shape[1], len(W)), Identity(), function.layer.norm)
    at = torch.ones(2, W.shape[1], dtype=W.dtype)
    gain = LayerFunction(layer, W, torch.zeros(len(W), dtype=W.dtype), function.norm).power_iteration(at).norm()
    return gain.item(), torch.linalg.matrix_norm(factor[:, None] * W, 2).square().item()


@pytest.mark.parametrize("normed", [True, False])
def test_gain_is_exact_where_one_direction_is_all_there_is(normed):
    gain, truth = gain_and_truth(torch.outer(randn(Q, seed=1), randn(P, seed=2)), normed)
    assert gain == pytest.approx(truth, rel=1e-10)


@pytest.mark.parametrize("normed", [True, False])
def test_gain_is_a_lower_bound_within_the_number_of_outputs(normed):
    """No ``||H u||`` of a unit vector exceeds the top eigenvalue, and ``trace H`` is shared by at most `Q` rows."""
    for seed in range(20):
        gain, truth = gain_and_truth(randn(Q, P, seed=seed), normed)
        assert truth / Q <= gain <= truth * (1 + 1e-12)


def test_gain_converges_where_one_direction_dominates():
    for seed in range(20):
        top = torch.outer(randn(Q, seed=seed).sign(), randn(P, seed=seed + 50))
        gain, truth = gain_and_truth(5 * top + 0.5 * randn(Q, P, seed=seed + 100))
        assert gain == pytest.approx(truth, rel=1e-2)


@pytest.mark.parametrize("seed", range(5))
def test_gain_of_weights_that_stay_becomes_exact(seed: int):
    """The nudge that keeps every direction alive costs no more than a thousandth."""
    U, V = (torch.linalg.qr(randn(5, 5, seed=seed + k)).Q for k in (1, 2))
    W = U * torch.tensor([3.0, 1.0, 0.5, 0.2, 0.1], dtype=torch.float64) @ V.T
    function = LayerFunction(Layer(Linear(5, 5), Identity()), W, torch.zeros(5, dtype=torch.float64))
    at, r = torch.ones(2, 5, dtype=torch.float64), None
    for _ in range(30):
        r = function.power_iteration(at, r)
    assert r is not None
    assert r.norm().item() == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize("lost", range(3))
def test_gain_finds_a_direction_that_was_lost(lost: int):
    """From another direction alone: the weights are diagonal, so that not even rounding leads away from it."""
    values = torch.tensor([0.1, 0.5, 1.0, 3.0], dtype=torch.float64)
    function = LayerFunction(Layer(Linear(4, 4), Identity()), torch.diag(values), torch.zeros(4).double())
    at, r = torch.ones(2, 4, dtype=torch.float64), torch.zeros(1, 4, dtype=torch.float64)
    r[0, lost] = values[lost].square()
    for _ in range(30):
        r = function.power_iteration(at, r)
    assert r.norm().item() == pytest.approx(9.0, rel=1e-3)


@pytest.mark.parametrize("rows", [[[1.0, -1.0]], [[1.0, -1.0], [2.0, -2.0]], [[3.0, -3.0], [0.1, 0.1]]])
def test_gain_sees_weights_that_cancel(rows):
    W = torch.tensor(rows, dtype=torch.float64)
    gain, truth = gain_and_truth(W)
    assert truth / len(W) * (1 - 1e-12) <= gain <= truth * (1 + 1e-12)


def test_gain_of_zero_weights_is_zero():
    layer = Layer(Linear(P, Q), Identity())
    assert LayerFunction(layer, torch.zeros(Q, P), torch.zeros(Q)).power_iteration(torch.ones(3, P)).norm() == 0


def test_layer_functions_take_the_states_weights_in_order():
    first, _ = pair(bias=True, normed=True)
    last = LayerFunction(Layer(Linear(Q, 2), Identity()), randn(2, Q), randn(2))
    problem = Problem((first.layer, last.layer))
    state = State([first.W, last.W], [first.b, last.b], norm=[first.norm, None])
    for found, expected in zip(layer_functions(problem, state), (first, last), strict=True):
        assert found.layer is expected.layer
        assert found.W is expected.W
        assert found.b is expected.b
        assert found.norm is expected.norm
