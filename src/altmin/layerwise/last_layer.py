"""The last layer by itself, a convex problem."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from altmin.core.forward import forward, skip_value
from altmin.layerwise.function import layer_functions
from altmin.regularizers import NoRegularizer, Regularizer
from altmin.sweep import Sweep

REFIT_STEPS = 500


def refit_last(sweep: Sweep[Any]) -> None:
    """The last layer fitted to the loss alone at the activations of a forward pass, without the regulariser."""
    z, a = forward(sweep.problem, sweep.state, sweep.batch.x)
    skip = skip_value(sweep.problem.layers[-1], sweep.batch.x, z, a)
    fit_last(sweep, a[-1] if a else sweep.batch.x, REFIT_STEPS, skip, NoRegularizer())


def fit_last(
    sweep: Sweep[Any], a: Tensor, steps: int, skip: Tensor | None = None, regularizer: Regularizer | None = None
) -> None:
    """``argmin R(a W_L^T + b_L; Y) + Omega(W_L)`` by L-BFGS from the present values, which are written in place.

    The result is never worse than the values that it began with. A frozen layer stays as it is.

    Args:
        sweep: Gives the loss, the samples and the last layer.
        a: The last layer's input, ``(N, n_{L-1})``.
        steps: Most steps.
        skip: What a residual connection adds, ``(N, n_L)``.
        regularizer: ``Omega``, none or l2; `None` for the problem's.
    """
    problem, batch = sweep.problem, sweep.batch
    omega = problem.regularizer if regularizer is None else regularizer
    last, count = layer_functions(problem, sweep.state)[-1], batch.count
    if last.layer.frozen:
        return
    params = last.params()
    start = [p.clone() for p in params]

    def value() -> float:
        return float(batch.sum(batch.loss(problem.loss, last(a, skip).z)) + omega(last.W)) / count

    def closure() -> float:
        out = last(a, skip)
        grads = out.to_params(batch.weighed(problem.loss.grad(out.z, batch.y)))
        for p, g in zip(params, grads, strict=True):
            p.grad = batch.sum(g).div_(count)
        if omega.curvature and params[0].grad is not None:
            params[0].grad.add_(last.W, alpha=omega.curvature / count)
        return value()

    before = value()
    torch.optim.LBFGS(params, max_iter=steps, line_search_fn="strong_wolfe").step(closure)
    better = value() <= before
    for p, old in zip(params, start, strict=True):
        p.grad = None
        if not better:
            p.copy_(old)
