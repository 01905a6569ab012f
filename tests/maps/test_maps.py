"""Maps with weights: derivatives, and the least-squares problems that they pose, by their definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from altmin.core.batch import Batch
from altmin.maps import Composed, Conv1d, Conv2d, Linear, LinearMap
from altmin.operations import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    Dropout,
    Flatten,
    Mask,
    MaxPool2d,
    Operation,
    PooledSequences,
    Unflatten,
)
from altmin.solvers.statistics import gram, pieces, statistics
from altmin.solvers.weight_least_squares import fit_weights, ridge_weights

IMAGE = (4, 7, 6)
CONVS = {
    "conv": Conv2d(4, 5, (3, 3)),
    "conv of one point": Conv2d(4, 5, (1, 1)),
    "conv with stride": Conv2d(4, 5, (3, 2), stride=(2, 3)),
    "conv with padding": Conv2d(4, 5, (3, 3), padding=(1, 2)),
    "conv with dilation": Conv2d(4, 5, (3, 2), dilation=(2, 3)),
    "conv with all": Conv2d(4, 6, (3, 2), (2, 1), (2, 1), (1, 2), groups=2),
    "conv with groups": Conv2d(4, 6, (3, 3), padding=(1, 1), groups=2),
    "depthwise conv": Conv2d(4, 8, (3, 3), groups=4, bias=False),
}


SEQUENCE = (4, 9)
SEQUENCES = {
    "sequences": Conv1d(4, 5, (1, 3)),
    "sequences with all": Conv1d(4, 6, (1, 3), (1, 2), (0, 1), (1, 2), groups=2),
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MASK = Mask((randn(1, *IMAGE, seed=9) > 0).double() * 2.0)
COMPOSED = {
    "max pooling": ((MaxPool2d((2, 2), (2, 2)),), Conv2d(4, 3, (2, 2))),
    "overlapping max pooling": ((MaxPool2d((3, 2), (2, 1), (1, 1), ceil=True),), Conv2d(4, 3, (2, 2))),
    "dilated max pooling": ((MaxPool2d((2, 2), (1, 1), dilation=(2, 3)),), Conv2d(4, 3, (2, 2))),
    "mean pooling": ((AvgPool2d((2, 3), (2, 1), (1, 1)),), Conv2d(4, 4, (2, 2), groups=2)),
    "adaptive mean pooling": ((AdaptiveAvgPool2d((3, None)),), Conv2d(4, 3, (2, 2))),
    "max pooling of max pooling": ((MaxPool2d((2, 2), (1, 1)), MaxPool2d((2, 2), (2, 2))), Conv2d(4, 3, (2, 2))),
    "max pooling of means": ((AvgPool2d((2, 2), (1, 1)), MaxPool2d((2, 2), (2, 2))), Conv2d(4, 3, (2, 2))),
    "flatten": ((Flatten(),), Linear(168, 3)),
    "pooling, then flatten": ((MaxPool2d((2, 2), (2, 2)), Flatten()), Linear(36, 3)),
    "mask": ((MASK,), Conv2d(4, 3, (2, 2))),
    "mask, pooling, flatten": ((MASK, AvgPool2d((2, 2), (2, 2)), Flatten()), Linear(36, 3, bias=False)),
    "dropout that is not drawn": ((Dropout(0.5),), Conv2d(4, 3, (2, 2))),
    "flatten and back": ((Flatten(), Unflatten((4, 6, 7))), Conv2d(4, 3, (2, 2))),
}
POOLED = {
    "max pooling of sequences": nn.MaxPool1d(3, 2, 1),
    "mean pooling of sequences": nn.AvgPool1d(2, 1),
    "adaptive mean pooling of sequences": nn.AdaptiveAvgPool1d(4),
}
SEQUENCES |= {k: Composed((PooledSequences.of(module),), Conv1d(4, 3, (1, 2))) for k, module in POOLED.items()}
COMPOSITIONS = {k: Composed(*v) for k, v in COMPOSED.items()}
MAPS: dict[str, LinearMap] = {"linear": Linear(6, 4), **CONVS, **SEQUENCES, **COMPOSITIONS}

every_map = pytest.mark.parametrize("name", MAPS)


def case(name: str, n: int = 5) -> tuple[LinearMap, Tensor, Tensor, Tensor, Tensor]:
    """A map, weights, intercept, input, and a cotangent of its value."""
    map = MAPS[name]
    shape = (6,) if name == "linear" else SEQUENCE if name in SEQUENCES else IMAGE
    a = randn(n, *shape, seed=1)
    W, b = randn(*map.shape, seed=2), randn(map.outputs, seed=3)
    return map, W, b, a, randn(*map(W, b, a).shape, seed=4)


@every_map
def test_adjoint_is_the_transpose_of_image(name: str):
    map, W, _, a, r = case(name)
    d = randn(*a.shape, seed=5)
    image, adjoint = map.image(W, d, a), map.adjoint(W, r, a)
    assert (image.shape, adjoint.shape) == (r.shape, a.shape)
    torch.testing.assert_close((image * r).sum(), (d * adjoint).sum())
    assert (image * r).sum().abs() > 1e-3


@every_map
def test_image_is_the_derivative_by_differences(name: str):
    """Steps so small that no largest number of a window changes its place: the differences are exact."""
    map, W, b, a, _ = case(name)
    d, t = randn(*a.shape, seed=5), 1e-5
    differences = (map(W, b, a + t * d) - map(W, b, a - t * d)) / (2 * t)
    torch.testing.assert_close(map.image(W, d, a), differences, rtol=1e-7, atol=1e-7)


@every_map
def test_derivatives_are_those_of_autograd(name: str):
    map, W, b, a, r = case(name)
    W.requires_grad_()
    a.requires_grad_()
    by_W, by_a = torch.autograd.grad((map(W, b, a) * r).sum(), (W, a))
    torch.testing.assert_close(map.gradient(r, a.detach()), by_W)
    torch.testing.assert_close(map.adjoint(W.detach(), r, a.detach()), by_a)


@every_map
def test_the_value_is_the_least_squares_prediction(name: str):
    """``targets(map(W, b, a)) = rows(a) W^T + b``, and ``gradient = targets(r)^T rows(a)``."""
    map, W, b, a, r = case(name)
    rows, targets = map.rows(a), map.targets(map(W, b, a))
    offset = b.view(*W.shape[:-2], 1, -1)
    torch.testing.assert_close(targets, rows @ W.mT + offset)
    torch.testing.assert_close(map.gradient(r, a), map.targets(r).mT @ rows)
    assert (rows.shape[-1], targets.shape[-1]) == (W.shape[-1], W.shape[-2])


@every_map
def test_without_intercept_the_image_of_the_input_is_the_value(name: str):
    """What solvers of least squares rely on; behind max pooling it holds at the same point."""
    map, W, b, a, _ = case(name)
    value = map(W, torch.zeros_like(b), a)
    torch.testing.assert_close(map.image(W, a, a), value)
    torch.testing.assert_close(map.product(W, a), value)


@every_map
def test_the_map_at_a_point_has_its_value_and_its_derivative(name: str):
    """Whatever movement it is asked for, what is largest in a window is what is so at the point."""
    map, W, b, a, r = case(name)
    near, other = map.at(a), randn(*a.shape, seed=7)
    torch.testing.assert_close(near.value(W, b), map(W, b, a))
    torch.testing.assert_close(near.value(W, torch.zeros_like(b)), map.product(W, a))
    for move in (a, a.clone(), other):
        torch.testing.assert_close(near.image(W, move), map.image(W, move, a))
    torch.testing.assert_close(near.adjoint(W, r), map.adjoint(W, r, a))
    torch.testing.assert_close(near.gradient(r), map.gradient(r, a))


def one_by_one(map: LinearMap, a: Tensor, v: Tensor) -> Tensor:
    """The least-squares weights from the explicit design, each group by itself."""
    rows, targets = map.rows(a), map.targets(v)
    if rows.ndim == 2:
        return torch.linalg.lstsq(rows, targets).solution.T
    pairs = zip(rows, targets, strict=True)
    return torch.stack([torch.linalg.lstsq(design, target).solution.T for design, target in pairs])


@pytest.mark.parametrize("name", CONVS)
def test_statistics_pose_the_least_squares_of_the_design(name: str):
    map, _, b, a, z = case(name, n=40)
    s = statistics(map, a, z, Batch(a, z))
    v = z - b.view(-1, 1, 1)
    W = ridge_weights(s, b, torch.zeros(map.shape).double(), 1.0, 1e-12)
    torch.testing.assert_close(W, one_by_one(map, a, v), rtol=1e-8, atol=1e-9)
    assert s.count == len(a) * z[0, 0].numel()
    torch.testing.assert_close(s.mean_residual(W), (z - map(W, torch.zeros_like(b), a)).sum((0, 2, 3)))


@pytest.mark.parametrize("name", CONVS)
def test_fitted_kernels_are_stationary(name: str):
    """The gradient of ``c ||Z - map(W, b, A)||^2 + d ||W - W0||^2``, by autograd on the convolution itself."""
    map, W0, b, a, z = case(name, n=6)
    W = fit_weights(map, a, z, b, W0, 2.0, 0.3, Batch(a, z))[0].requires_grad_()
    objective = 2.0 * (z - map(W, b, a)).square().sum() + 0.3 * (W - W0).square().sum()
    gradient = torch.autograd.grad(objective, W)[0]
    assert gradient.abs().max() < 1e-9 * objective


def test_composed_least_squares_are_those_behind_the_operations():
    map, W0, b, a, z = case("pooling, then flatten", n=60)
    assert isinstance(map, Composed)
    features = torch.nn.functional.max_pool2d(a, 2).flatten(1)
    expected = fit_weights(map.core, features, z, b, W0, 1.0, 0.5, Batch(a, z))[0]
    torch.testing.assert_close(fit_weights(map, a, z, b, W0, 1.0, 0.5, Batch(a, z))[0], expected)


unfolding = pytest.mark.parametrize("name", [name for name, map in MAPS.items() if map.unfolds])


@unfolding
def test_statistics_over_pieces_are_those_at_once(name: str, monkeypatch: pytest.MonkeyPatch):
    map, _, _, a, z = case(name, n=7)
    batch, known = Batch(a, z), map.rows(a).mT @ map.rows(a)
    whole = statistics(map, a, z, batch)
    monkeypatch.setattr("altmin.solvers.statistics.PIECE", 2 * map.rows(a[:1]).numel() + 1)
    assert [len(a[part]) for part in pieces(map, a)] == [2, 2, 2, 1]
    for s in (statistics(map, a, z, batch), statistics(map, a, z, batch, known)):
        for key, value in vars(whole).items():
            torch.testing.assert_close(getattr(s, key), value)
    torch.testing.assert_close(gram(map, a, batch), known)


@unfolding
def test_the_design_of_all_samples_is_never_made(name: str, monkeypatch: pytest.MonkeyPatch):
    map, W, b, a, z = case(name, n=12)
    sizes: list[int] = []
    rows = type(map).rows

    def counted(self: LinearMap, a: Tensor) -> Tensor:
        sizes.append(len(a))
        return rows(self, a)

    monkeypatch.setattr("altmin.solvers.statistics.PIECE", 3 * map.rows(a[:1]).numel())
    monkeypatch.setattr(type(map), "rows", counted)
    statistics(map, a, z, Batch(a, z))
    gram(map, a, Batch(a, z))
    fit_weights(map, a, z, b, W, 1.0, 1.0, Batch(a, z))
    assert sum(sizes) >= 3 * 12
    assert max(sizes) == 3


def test_a_linear_map_makes_no_design_and_takes_all_samples_at_once(monkeypatch: pytest.MonkeyPatch):
    map, _, _, a, _ = case("linear")
    monkeypatch.setattr("altmin.solvers.statistics.PIECE", 1)
    assert map.rows(a) is a
    assert pieces(map, a) == [slice(None)]


def composed(*before: Operation, core: LinearMap | None = None) -> Composed:
    return Composed(before, core or Linear(6, 4))


def test_what_a_composed_map_says_of_itself():
    pooled = composed(MaxPool2d((2, 2), (2, 2)), Flatten())
    assert (pooled.piecewise, pooled.random, pooled.sample_size) == (True, False, None)
    cut = composed(Dropout(0.5), Unflatten((4, 3, 2)), AvgPool2d((2, 2), (1, 1)), core=CONVS["conv"])
    assert (cut.piecewise, cut.random, cut.sample_size, cut.outputs, cut.shape) == (False, True, 24, 5, (5, 36))
    dropped = composed(Dropout(0.5), core=Linear(6, 4, bias=False))
    assert (dropped.sample_size, dropped.bias) == (6, False)
    assert composed(Dropout(0.5), core=CONVS["conv"]).sample_size is None
