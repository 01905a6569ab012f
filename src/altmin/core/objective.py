"""The penalty objective and its residuals, written once for all methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.core.state import State, numbers, outputs, parts, skipped


@dataclass(frozen=True)
class Measure:
    """The terms of every penalty objective, summed over all processes.

    Attributes:
        loss: ``R(Z_L; Y)``.
        regularizer: ``sum_l Omega(W_l)``.
        linear: ``||E_l||^2`` of every layer, ``E_l = Z_l - A_{l-1} W_l^T - b_l``.
        activation: ``||D_l||^2`` of every hidden layer, ``D_l = A_l - s_l(Z_l)``.
    """

    loss: Tensor
    regularizer: Tensor
    linear: Tensor
    activation: Tensor

    def residuals(self) -> dict[str, Tensor]:
        """``E_1 .. E_L`` and ``D_1 .. D_{L-1}``, Frobenius norms by name."""
        named = {f"E_{i + 1}": e.sqrt() for i, e in enumerate(self.linear)}
        return named | {f"D_{i + 1}": d.sqrt() for i, d in enumerate(self.activation)}

    def penalty(self, linear: Iterable[float], activation: float) -> dict[str, Tensor]:
        """The terms of ``R + sum Omega + sum_l c_l/2 ||E_l||^2 + d/2 sum_l ||D_l||^2`` by name.

        Args:
            linear: ``c_l`` for every layer.
            activation: ``d``; 0 leaves the term out.
        """
        c = self.linear.new_tensor(list(linear))
        parts = {"loss": self.loss, "regularizer": self.regularizer, "linear": 0.5 * (c * self.linear).sum()}
        return parts | ({"activation": 0.5 * activation * self.activation.sum()} if activation else {})


def layer_input(state: State, batch: Batch, layer: int) -> Tensor:
    """``A_{l-1}``: the data for the first layer."""
    return batch.x if layer == 0 else state.a[layer - 1]


def prediction(problem: Problem, state: State, batch: Batch, layer: int) -> Tensor:
    """``A_{l-1} W_l^T + b_l``, and what a residual connection adds: a fresh tensor in the shape of ``Z_l``."""
    parts = problem.layers[layer]
    z = parts.map(state.W[layer], state.b[layer], layer_input(state, batch, layer))
    over = skipped(parts, batch.x, state.z, state.a)
    return z if over is None else z.add_(over)


def linear_residual(problem: Problem, state: State, batch: Batch, layer: int) -> Tensor:
    """``E_l = Z_l - A_{l-1} W_l^T - b_l``, less what a residual connection adds, in the shape of ``Z_l``."""
    v = prediction(problem, state, batch, layer)
    return v.neg_().add_(state.z[layer])


def regression_target(problem: Problem, state: State, batch: Batch, layer: int) -> Tensor:
    """``Z_l`` less what a residual connection adds: what the weights and the intercept have to explain."""
    over = skipped(problem.layers[layer], batch.x, state.z, state.a)
    return state.z[layer] if over is None else state.z[layer] - over


def followers(problem: Problem, kind: Literal["z", "a"], layer: int) -> list[int]:
    """The layers to whose pre-activation a residual connection adds ``Z`` or ``A`` of `layer`."""
    return [i for i, parts in enumerate(problem.layers) if parts.skip == (kind, layer)]


def pulls(problem: Problem, state: State, batch: Batch, layer: int, kind: Literal["z", "a"] = "z") -> list[Tensor]:
    """What residual connections draw ``Z_l`` (``A_l``) towards: where each one's ``E`` would be zero."""
    now = state.z[layer] if kind == "z" else state.a[layer]
    return [now + linear_residual(problem, state, batch, i) for i in followers(problem, kind, layer)]


def squares(residuals: Iterable[Tensor]) -> Tensor:
    """``sum ||E||^2`` for each sample, ``(N,)``."""
    return torch.stack([torch.linalg.vector_norm(E.flatten(1), dim=1).square_() for E in residuals]).sum(0)


def mean_of(own: Tensor, pulls: list[Tensor]) -> tuple[Tensor, float]:
    """The mean of `own` and `pulls`, and how many they are: centre and weight of the sum of squares around them.

    The result may share memory with `own`.
    """
    for pull in pulls:
        own = own + pull
    return (own / (1 + len(pulls)) if pulls else own), 1.0 + len(pulls)


def plain(problem: Problem, state: State, batch: Batch) -> dict[str, Tensor]:
    """The terms of the network's own objective: the loss at a forward pass, where constraints hold, the regulariser."""
    loss = batch.sum(problem.loss(outputs(problem, state, batch.x), batch.y))
    return {"loss": loss, "regularizer": torch.stack([problem.regularizer(W) for W in state.W]).sum()}


def measure(problem: Problem, state: State, batch: Batch) -> Measure:
    """Every term of the penalty objectives over the samples of `batch`, which are all of the state's."""
    widest = max(state.z, key=numbers)
    found = [sums(problem, state.samples(rows), batch.select(rows, batch.ends_epoch)) for rows in parts(widest)]
    total, last = batch.sum(torch.stack(found).sum(0)), len(state.z)
    omega = torch.stack([problem.regularizer(W) for W in state.W]).sum()
    return Measure(total[0], omega, total[1 : 1 + last], total[1 + last :])


def sums(problem: Problem, state: State, batch: Batch) -> Tensor:
    """The loss, ``||E_1||^2 .. ||E_L||^2`` and ``||D_1||^2 .. ||D_{L-1}||^2`` of some samples."""
    layers = range(len(problem.layers))
    linear = [linear_residual(problem, state, batch, i).square().sum() for i in layers]
    activation = [(state.a[i] - problem.layers[i].activation(state.z[i])).square().sum() for i in layers[:-1]]
    return torch.stack([problem.loss(state.z[-1], batch.y), *linear, *activation])
