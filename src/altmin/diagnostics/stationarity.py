"""How far a penalty method's variables are from a stationary point of its own objective, block by block.

The objective is that of `altmin.sweep.Penalty`, with the dual term and the band where there are any. Of each block the
element of least norm of the subdifferential is taken, all other blocks fixed, in closed form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from altmin.methods.base import Method
from altmin.sweep import LayerView, Sweep

Block = tuple[str, Tensor, Tensor]


def require_penalty(method: Method, option: str) -> None:
    """Refuse a method whose objective is not that of a `Penalty`: it has no subdifferential that is known here.

    Args:
        method: The method.
        option: What was asked for, for the error.

    Raises:
        TypeError: It has another objective.
    """
    kind = type(method)
    if kind.penalty is Method.penalty or kind.evaluate is not Method.evaluate:
        raise TypeError(
            f"`{option}` needs a method that minimises a penalty objective, whose stationarity is defined, and "
            f"{kind.__name__} does not; IPDLAM, DLAM, MDLAM, DLADMM, BCD and TaylorADMM do"
        )


def subgradients(sweep: Sweep[Any]) -> Iterator[Block]:
    """Each block's name, its variable, and the element of least norm of the objective's subdifferential in it.

    With ``F_l = c_l E_l`` (``+ U`` in the last layer), ``R`` the loss and sums over samples:

    - ``W_l``: ``-F_l^T A_{l-1} + dOmega(W_l)``; ``b_l``: ``-sum_i F_l``;
    - ``Z_l``, ``l < L``: ``F_l - d s'(Z_l) (A_l - s(Z_l))``; ``Z_L``: ``F_L + dR(Z_L)``, or with an output variable
      ``V`` ``F_L - d (V - Z_L)``;
    - ``A_l``: ``-F_{l+1} W_{l+1} + d (A_l - s(Z_l))``; ``V``: ``dR(V) + d (V - Z_L)``; ``U``: ``E_L``.

    Residual connections add ``-F`` of the layer that they reach. At kinks of ``R``, ``Omega`` (none, l1, l2) and ``s``
    it is the set's element of least norm (`PiecewiseLinear.least_subgradient`); for another regulariser with a kink,
    the prox mapping. In a band of half-width ``eps``, ``Z_l`` and ``A_l`` have the projected gradient
    ``c (v - clip(v - g/c))``, which is zero at the same points and, unlike the distance itself, continuous.
    """
    for layer in sweep.layers:
        yield from _weights(layer)
    for layer in sweep.layers:
        name = f"_{layer.i + 1}"
        yield f"Z{name}", layer.z, _hidden_z(layer) if layer.has_a else _last_z(layer)
        if layer.has_a:
            yield f"A{name}", layer.a, _output(layer) if layer.last else _activations(layer)
    if sweep.state.u is not None:
        yield "U", sweep.state.u, sweep.layers[-1].residual()


def stationarity(sweep: Sweep[Any]) -> dict[str, float]:
    """``dist(0, dL/dv)`` of each block ``v``, by its name, over all processes; see `subgradients`."""
    return {name: _norm(sweep, name, g) for name, _, g in subgradients(sweep)}


def relative_stationarity(sweep: Sweep[Any], found: dict[str, float]) -> float:
    """``sqrt(sum_v (||g_v|| (1 + ||v||))^2) / R(0)`` for the norms ``||g_v||`` that `stationarity` found.

    By which share of the loss of outputs zero the objective would change, to first order, where each block moved
    along its subgradient by one and its own size.
    """
    state, batch = sweep.state, sweep.batch
    squares = [(found[name] * (1.0 + _norm(sweep, name, v))) ** 2 for name, v in state.named() if name in found]
    nothing = float(batch.sum(sweep.problem.loss(torch.zeros_like(batch.y), batch.y)))
    return sum(squares) ** 0.5 / max(nothing, torch.finfo(batch.y.dtype).tiny)


def _norm(sweep: Sweep[Any], name: str, t: Tensor) -> float:
    """The Frobenius norm, over all processes where the block has rows for samples."""
    square = torch.linalg.vector_norm(t).square()
    return float(sweep.batch.sum(square) if name[0] in "ZAU" else square) ** 0.5


def _weights(layer: LayerView) -> Iterator[Block]:
    if layer.layer.frozen:
        return
    sweep, force = layer.sweep, layer.force()
    W, batch = layer.W, sweep.batch
    gradient = -batch.sum(layer.map.gradient(force, layer.input))
    yield f"W_{layer.i + 1}", W, sweep.problem.regularizer.least_subgradient(W, gradient)
    if layer.map.bias:
        yield f"b_{layer.i + 1}", layer.b, -batch.sum(force.sum(dim=[i for i in range(force.ndim) if i != 1]))


def _hidden_z(layer: LayerView) -> Tensor:
    g, z = layer.force(), layer.z
    others = layer.skipped_to("z")
    for other in others:
        g.sub_(other.force())
    band = layer.sweep.penalty.band
    if band is not None:
        low, high = layer.activation.interval(layer.a, band)
        ends = torch.minimum(low, z), torch.maximum(high, z)  # rounding may leave it just outside
        return _projected(z, g, layer.c + sum(other.c for other in others), *ends)
    return layer.activation.least_subgradient(z, layer.a, g, layer.d) if layer.d else g


def _last_z(layer: LayerView) -> Tensor:
    g, u = layer.force(), layer.sweep.state.u
    if u is not None and layer.u is None:
        g.add_(u)
    return layer.sweep.problem.loss.least_subgradient(layer.z, layer.sweep.batch.y, g)


def _output(layer: LayerView) -> Tensor:
    g = (layer.a - layer.z).mul_(layer.d)
    return layer.sweep.problem.loss.least_subgradient(layer.a, layer.sweep.batch.y, g)


def _activations(layer: LayerView) -> Tensor:
    a, above, s = layer.a, layer.above, layer.activation(layer.z)
    g = above.map.at(a).adjoint(above.W, above.force()).neg()
    if layer.d:
        g.add_(a - s, alpha=layer.d)
    for other in layer.skipped_to("a"):
        g.sub_(other.force())
    band = layer.sweep.penalty.band
    if band is None:
        return g
    return _projected(a, g, above.c, torch.minimum(s - band, a), torch.maximum(s + band, a))


def _projected(v: Tensor, g: Tensor, c: float, low: Tensor, high: Tensor) -> Tensor:
    """``c (v - clip(v - g/c, low, high))``, elementwise, without a difference of large numbers."""
    return torch.maximum(torch.minimum(g, c * (v - low)), c * (v - high))
