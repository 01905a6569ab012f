"""Code steps: the momentum of `torch.optim.SGD`."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from altmin.solvers.codes import nesterov


def problem() -> tuple[Tensor, Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    H = torch.randn(4, 4, generator=g, dtype=torch.float64)
    return H @ H.T, *torch.randn(2, 5, 4, generator=g, dtype=torch.float64)


@pytest.mark.parametrize("steps", range(7))
@pytest.mark.parametrize("lr", [0.01, 0.1])
def test_nesterov_is_pytorchs_sgd(steps, lr):
    H, target, start = problem()
    c = start.clone().requires_grad_()
    optimizer = torch.optim.SGD([c], lr=lr, momentum=0.9, nesterov=True)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * ((c - target) @ H * (c - target)).sum() + c.cos().sum()).backward()
        optimizer.step()
    found = nesterov(start, lambda c: (c - target) @ H - c.sin(), steps, lr)
    torch.testing.assert_close(found, c.detach(), rtol=1e-12, atol=1e-12)


def test_the_start_is_left_alone_and_the_step_may_be_a_tensor():
    H, target, start = problem()
    before = start.clone()
    found = nesterov(start, lambda c: (c - target) @ H, 5, torch.tensor(0.05, dtype=torch.float64))
    torch.testing.assert_close(found, nesterov(start, lambda c: (c - target) @ H, 5, 0.05))
    assert torch.equal(start, before)


def test_many_sparse_steps_minimise_the_l1_problem():
    """At the minimiser the gradient is ``-sparsity sign(c)`` where a code is not zero, and no larger where it is."""
    H, target, start = problem()
    sparsity, lr = 2.0, 0.5 / torch.linalg.matrix_norm(H, 2).item()
    c = nesterov(start, lambda c: (c - target) @ H, 5000, lr, sparsity)
    g = (c - target) @ H
    zero = c.abs() < 1e-9
    assert 0 < zero.sum() < c.numel()
    assert (g[zero].abs() <= sparsity + 1e-6).all()
    torch.testing.assert_close(g[~zero], -sparsity * torch.sign(c[~zero]), rtol=1e-6, atol=1e-6)
