"""What the inner steps cost one by one: ``make bench``.

Each stands beside the matrix product that bounds it, or the plain pass over memory.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from altmin.activations import ReLU
from altmin.core.batch import Batch
from altmin.maps import Linear
from altmin.online.code_steps import nesterov
from altmin.prox.softmax import softmax_prox_fista, softmax_prox_newton
from altmin.solvers.statistics import gram
from altmin.solvers.weight_least_squares import fit_weights

N, WIDTH, CLASSES, BATCH = 5_000, 500, 10, 200


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def whole(x: Tensor) -> Batch:
    return Batch(x, x)


@pytest.mark.benchmark(group="gram: A^T A")
def test_product(benchmark: Any):
    a = normal(N, WIDTH)
    benchmark(lambda: a.T @ a)


@pytest.mark.benchmark(group="gram: A^T A")
def test_gram(benchmark: Any):
    a = normal(N, WIDTH)
    benchmark(gram, Linear(WIDTH, WIDTH), a, whole(a))


@pytest.mark.benchmark(group="weights by ridge (P3)")
def test_ridge(benchmark: Any):
    a, z, W = normal(N, WIDTH), normal(N, WIDTH, seed=1), torch.zeros(WIDTH, WIDTH)
    benchmark(fit_weights, Linear(WIDTH, WIDTH), a, z, torch.zeros(WIDTH), W, 1.0, 1.0, whole(a))


@pytest.mark.benchmark(group="weights by ridge (P3)")
def test_lstsq(benchmark: Any):
    a, z = normal(N, WIDTH), normal(N, WIDTH, seed=1)
    benchmark(torch.linalg.lstsq, a, z)


@pytest.mark.benchmark(group="ReLU prox (P1)")
def test_relu(benchmark: Any):
    a, v = normal(N, WIDTH), normal(N, WIDTH, seed=1)
    benchmark(ReLU().prox, v, 2.0, a)


@pytest.mark.benchmark(group="ReLU prox (P1)")
def test_one_pass(benchmark: Any):
    a, v = normal(N, WIDTH), normal(N, WIDTH, seed=1)
    benchmark(torch.add, a, v)


@pytest.mark.benchmark(group="softmax prox (P2), r = 1e-4")
@pytest.mark.parametrize("solve", [softmax_prox_newton, softmax_prox_fista])
def test_softmax(benchmark: Any, solve: Any):
    v, y = normal(N, CLASSES), torch.nn.functional.one_hot(torch.arange(N) % CLASSES).float()
    benchmark(solve, v, 1e-4, y)


@pytest.mark.benchmark(group="one code step on a batch")
def test_nesterov(benchmark: Any):
    c, target, W = normal(BATCH, WIDTH), normal(BATCH, WIDTH, seed=1), normal(WIDTH, WIDTH, seed=2)

    def gradient(c: Tensor) -> Tensor:
        return ((c.clamp_min(0.0) @ W.T - target) @ W).mul_(c > 0)

    benchmark(nesterov, c, gradient, 1, 1e-3)


@pytest.mark.benchmark(group="one code step on a batch")
def test_its_products(benchmark: Any):
    c, W = normal(BATCH, WIDTH), normal(WIDTH, WIDTH, seed=2)
    benchmark(lambda: (c @ W.T) @ W)
