"""The penalty objective of the batch methods: its weights, its terms and its residuals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from altmin.core.forward import numel_per_sample, stretches
from altmin.core.score import Tally

if TYPE_CHECKING:
    from altmin.sweep.sweep import Sweep

Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Penalty:
    """The weights of ``R(Z_L) + sum_l Omega(W_l) + sum_l c_l/2 ||E_l||^2 + d/2 sum_l ||D_l||^2`` and its dual term.

    ``E_l = Z_l - A_{l-1} W_l^T - b_l`` and ``D_l = A_l - s_l(Z_l)``.

    Attributes:
        linear: ``c_l`` of the hidden layers, and of the last one unless `last` says otherwise; > 0.
        activation: ``d``; 0 where another constraint ties ``A_l`` to ``Z_l``.
        last: ``c_L``; `None` for `linear`.
        dual: What the dual variable ``U`` is multiplied by, where there is one: ``<U, E_L>`` or ``<U, Z_L>``.
        band: ``eps`` where ``A_l`` is tied to ``Z_l`` by ``|D_l| <= eps``; `None` for no such constraint.

    Example:
        >>> Penalty(linear=0.1, activation=0.1, last=2.0).of(last=True)
        2.0
    """

    linear: float
    activation: float = 0.0
    last: float | None = None
    dual: Literal["residual", "outputs"] = "residual"
    band: float | None = None

    def of(self, last: bool) -> float:
        """``c_l`` of a hidden layer or of the last one."""
        return self.last if last and self.last is not None else self.linear


def penalty_terms(sweep: Sweep[Any]) -> tuple[Terms, dict[str, Tensor]]:
    """The terms of the penalty objective by name, and ``||E_l||`` and ``||D_l||`` by name, over all processes."""
    penalty, layers = sweep.penalty, sweep.layers
    widest = max(sweep.state.z, key=numel_per_sample)
    total = sweep.batch.sum(torch.stack([_sums(sweep, rows) for rows in stretches(widest)]).sum(0))
    loss, dual, *squares = total
    linear, activation = torch.stack(squares[: len(layers)]), squares[len(layers) :]
    c = linear.new_tensor([penalty.of(layer.last) for layer in layers])
    terms = {"loss": loss, "regularizer": regularizer(sweep), "linear": 0.5 * (c * linear).sum()}
    if penalty.activation:
        terms["activation"] = 0.5 * penalty.activation * torch.stack(activation).sum() if activation else 0.0 * loss
    if sweep.state.u is not None:
        terms["dual"] = dual
    residuals = {f"E_{i + 1}": e.sqrt() for i, e in enumerate(linear)}
    return terms, residuals | {f"D_{i + 1}": d.sqrt() for i, d in enumerate(activation)}


def _sums(sweep: Sweep[Any], rows: slice) -> Tensor:
    """The loss, the dual term, ``||E_1||^2 .. ||E_L||^2`` and ``||D_1||^2 ..`` of some samples."""
    state, batch, last = sweep.state, sweep.batch, sweep.layers[-1]
    first, *others = sweep.layers
    prediction = first.prediction(rows)
    E = [first.z[rows] - prediction, *(layer.residual(rows) for layer in others)]
    D = [layer.a[rows] - layer.activation(layer.z[rows]) for layer in sweep.layers if layer.has_a]
    loss = batch.loss(sweep.problem.loss, last.outputs[rows], rows)
    dual = loss.new_zeros(())
    if state.u is not None:
        dual = (
            batch.weighed(state.u[rows], rows) * (E[-1] if sweep.penalty.dual == "residual" else last.z[rows])
        ).sum()
    if sweep.tally is not None:  # the network's pass and the penalty have their widest product in common
        sweep.tally.run(state, batch, rows, prediction)
    return torch.stack([loss, dual, *(batch.squares(t, rows) for t in (*E, *D))])


def regularizer(sweep: Sweep[Any]) -> Tensor:
    """``sum_l Omega(W_l)``, a scalar."""
    return torch.stack([sweep.problem.regularizer(W) for W in sweep.state.W]).sum()


@torch.no_grad()
def network_terms(sweep: Sweep[Any]) -> Terms:
    """The terms of the network's own objective: the loss at a forward pass, where constraints hold, the regulariser.

    The outputs are those that the sweep's `tally` has been told of, where it has; else a pass is made and it is told.
    """
    tally, batch = sweep.tally or Tally(sweep.problem), sweep.batch
    if tally.empty:
        tally.run_all(sweep.state, batch)
    loss = tally.score(batch).loss * batch.count
    return {"loss": batch.y.new_tensor(loss), "regularizer": regularizer(sweep)}


def row_squares(residuals: list[Tensor]) -> Tensor:
    """``sum ||E||^2`` for each sample, ``(N,)``."""
    return torch.stack([torch.linalg.vector_norm(E.flatten(1), dim=1).square_() for E in residuals]).sum(0)
