"""Bounds of the subgradients that a forward sweep leaves behind, by how far its blocks moved (fully connected layers).

In a forward sweep each of ``W_l``, ``b_l``, ``Z_l`` and ``A_l`` is optimal for the variables as they were then. What
moved since, ``Delta``, bounds the subgradient at the end, by the triangle inequality and ``||X Y|| <= ||X|| ||Y||``.
"""

from __future__ import annotations

from math import sqrt

import torch

from altmin.activations.piecewise import PiecewiseLinear
from altmin.diagnostics.theory import Iteration
from altmin.sweep import LayerView


def moved(it: Iteration, kind: str, i: int) -> float:
    """``||Delta v||`` of the block's last update."""
    return it.last(kind, i).square ** 0.5


def weights_bound(it: Iteration, i: int, dual: float = 0.0) -> float:
    """A bound of the subgradient in ``W_l``.

    ``theta ||Delta W|| + ||A|| (c (||A|| ||Delta W|| + sqrt(N) ||Delta b|| + ||Delta Z||) + ||Delta U||)``.

    Args:
        it: The iteration.
        i: The layer, from 0.
        dual: ``||Delta U||`` of the dual variable, where it multiplies this layer's residual.
    """
    layer, a = it.sweep.layers[i], size(it, it.sweep.layers[i].input)
    N, W, b, z = sqrt(it.sweep.batch.count), moved(it, "W", i), moved(it, "b", i), moved(it, "z", i)
    return it.last("W", i).largest * W + a * (layer.c * (a * W + N * b + z) + dual)


def intercept_bound(it: Iteration, i: int, dual: float = 0.0) -> float:
    """A bound of the gradient in ``b_l``: ``sqrt(N) (c ||Delta Z|| + ||Delta U||)``."""
    return sqrt(it.sweep.batch.count) * (it.sweep.layers[i].c * moved(it, "z", i) + dual)


def activations_bound(it: Iteration, i: int, dual: float = 0.0) -> float:
    """A bound of the gradient in ``A_l``, ``l < L``; `dual` as of the layer above.

    ``(tau + d) ||Delta A|| + ||Delta F|| ||W|| + (||F|| + ||Delta F||) ||Delta W||`` with the weights and the force
    ``F = c E + U`` of the layer above.
    """
    above, j, N = it.sweep.layers[i + 1], i + 1, sqrt(it.sweep.batch.count)
    a, dW, d = moved(it, "a", i), moved(it, "W", j), it.sweep.layers[i].d
    W, F = float(torch.linalg.vector_norm(above.W)), size(it, above.force())
    dE = moved(it, "z", j) + N * moved(it, "b", j) + size(it, above.input) * dW + (W + dW) * a
    dF = above.c * dE + dual
    return (it.last("a", i).largest + d) * a + dF * W + (F + dF) * dW


def hidden_bound(it: Iteration, i: int) -> float:
    """A bound of the subgradient in ``Z_l``, ``l < L``: ``d sup|s'| ||Delta A||``."""
    layer = it.sweep.layers[i]
    return layer.d * steepest(layer) * moved(it, "a", i)


def steepest(layer: LayerView) -> float:
    """The largest slope of the layer's activation, of a smooth one at the present pre-activations."""
    if isinstance(layer.activation, PiecewiseLinear):
        return max(piece.slope for piece in layer.activation.pieces)
    return float(layer.activation.derivative(layer.z).abs().max())


def size(it: Iteration, t: torch.Tensor) -> float:
    """The Frobenius norm of a per-sample tensor over all processes."""
    return float(it.sweep.batch.sum(torch.linalg.vector_norm(t).square())) ** 0.5


def total(values: list[float]) -> float:
    """``sqrt(sum v^2)``."""
    return sqrt(sum(v * v for v in values))
