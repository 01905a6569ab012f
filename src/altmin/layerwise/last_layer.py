"""The last layer by itself, a convex problem."""

from __future__ import annotations

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State
from altmin.layerwise.function import blocks


def fit_last(problem: Problem, state: State, a: Tensor, batch: Batch, steps: int, over: Tensor | None = None) -> State:
    """``argmin R(a W_L^T + b_L; Y) + Omega(W_L)`` by L-BFGS from the present values; never worse than they are.

    Args:
        problem: Gives the loss and the regulariser, none or l2.
        state: Gives the last layer's weights, which are not changed.
        a: The last layer's input.
        batch: The samples.
        steps: Most steps.
        over: What a residual connection adds.

    Returns:
        `state` with the last layer's numbers replaced.
    """
    state, omega, count = state.with_own_last(), problem.regularizer, batch.count
    last = blocks(problem, state)[-1]
    params = last.params()
    start = [p.clone() for p in params]

    def value() -> float:
        return float(batch.sum(problem.loss(last(a, over).z, batch.y)) + omega(last.W)) / count

    def closure() -> float:
        out = last(a, over)
        grads = out.to_params(problem.loss.grad(out.z, batch.y))
        for p, g in zip(params, grads, strict=True):
            p.grad = batch.sum(g).div_(count)
        if omega.curvature and params[0].grad is not None:
            params[0].grad.add_(last.W, alpha=omega.curvature / count)
        return value()

    before = value()
    torch.optim.LBFGS(params, max_iter=steps, line_search_fn="strong_wolfe").step(closure)
    if not value() <= before:
        for p, old in zip(params, start, strict=True):
            p.copy_(old)
    return state
