"""Codes inside a recurrence, and the least-squares problem that they pose for its one matrix."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from altmin.activations import Identity
from altmin.core.problem import Layer
from altmin.layerwise.function import LayerFunction
from altmin.maps import Linear, Recurrent
from altmin.online.code_steps import nesterov
from altmin.online.codes import Codes


def unfolded(
    function: LayerFunction, map: Recurrent, x: Tensor, outputs: Tensor, codes: Codes
) -> tuple[LayerFunction, Tensor, Tensor]:
    """The linear layer that the recurrence is once its codes are there, with its input and its target.

    Every step of every sequence is a row, so that the layer's gradient sums over steps.

    Args:
        function: The recurrent layer at its weights.
        map: Its map.
        x: Sequences, ``(N, T, inputs)`` or flat.
        outputs: What the states should be, ``(N, T, outputs)``.
        codes: How codes are found.
    """
    c = find_codes(function, map, x, outputs, codes)
    layer = Layer(Linear(map.inputs + map.outputs, map.outputs, map.bias), Identity())
    return replace(function, layer=layer), map.rows(x, c), map.targets(c)


def find_codes(function: LayerFunction, map: Recurrent, x: Tensor, outputs: Tensor, codes: Codes) -> Tensor:
    """Codes ``c_t`` of the arguments of tanh, last step to first, by gradient steps from the forward value ``c^0``.

    Each ``c_t`` lowers ``||o_t - tanh(c_t)||^2 + ||c_{t+1} - [x_{t+1}, tanh(c_t)] W^T - b||^2 + p ||c_t - c_t^0||^2``,
    where ``c_{t+1}`` is the updated one and `p` the codes' `proximity`. Step sizes are relative to the curvature.
    That is the objective whatever the codes' `scaling` and `sparsity` are: both are ignored here, as `mu` is.

    Args:
        function: The recurrent layer at its weights.
        map: Its map.
        x: Sequences, ``(N, T, inputs)`` or flat.
        outputs: ``o``, ``(N, T, outputs)``.
        codes: Number and size of the steps, their momentum, and `proximity`.

    Returns:
        ``c``, ``(N, T, outputs)``.
    """
    V = function.W[:, map.inputs :]
    driven = map.sequence(x) @ function.W[:, : map.inputs].T + function.b
    start = map.arguments(function.W, function.b, x)
    lr = codes.lr / (2.0 + 2.0 * codes.proximity + 2.0 * torch.linalg.matrix_norm(V, 2).square())
    found: list[Tensor] = []
    for t in reversed(range(start.shape[1])):
        c0, o = start[:, t], outputs[:, t]
        ahead = found[-1] - driven[:, t + 1] if found else None

        def gradient(c: Tensor, c0=c0, o=o, ahead=ahead) -> Tensor:
            h = torch.tanh(c)
            error = h - o
            if ahead is not None:
                error = error.addmm(torch.addmm(ahead, h, V.T, alpha=-1.0), V, alpha=-1.0)
            return (1.0 - h * h).mul_(error).add_(c - c0, alpha=codes.proximity).mul_(2.0)

        found.append(nesterov(c0, gradient, codes.steps, lr, codes.momentum))
    return torch.stack(found[::-1], 1)
