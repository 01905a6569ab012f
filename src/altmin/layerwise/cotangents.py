"""Backpropagation in closed form: what the loss says of every layer's pre-activation."""

from __future__ import annotations

from collections import defaultdict

from torch import Tensor

from altmin.layerwise.function import LayerValue
from altmin.losses import Loss


def cotangents(loss: Loss, values: list[LayerValue], y: Tensor) -> list[Tensor]:
    """``dR/dZ_l`` of every layer, first to last, each in the shape of ``Z_l``.

    Args:
        loss: ``R``.
        values: The layers' values at a forward pass, first to last.
        y: Encoded targets.
    """
    skips: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    found = [loss.grad(values[-1].z, y)]
    for i in reversed(range(1, len(values))):
        r, layer, below = found[-1], values[i].function.layer, values[i - 1]
        if layer.skip is not None:
            skips[layer.skip].append(r)
        through = sum(skips["a", i - 1], values[i].to_input(r))
        found.append(sum(skips["z", i - 1], below.function.layer.activation.vjp(through, below.z)))
    return found[::-1]
