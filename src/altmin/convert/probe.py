"""Whether a module and the activation that stands for it are one function, as far as a few points tell."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from altmin.activations import Activation

POINTS = [sign * scale * (0.0937 + 0.1254 * i) for scale in (0.1, 1.0, 10.0) for i in range(24) for sign in (1, -1)]
SAME = 1e-4  # what values may differ by, absolutely below 1: approximations of a library's own are that near


@torch.no_grad()
def check_same_values(s: Activation, module: nn.Module, like: Tensor) -> None:
    """Compare values at points where functions rarely have kinks or jumps.

    Args:
        s: What stands for the module.
        module: It takes a tensor of any shape.
        like: Gives the dtype and device of the network.

    Raises:
        ValueError: The first point where they differ, and both values.
    """
    if like.is_meta or s.random:
        return
    z = torch.tensor([POINTS], dtype=like.dtype, device=like.device)
    theirs, ours = module.forward(z.clone()), s(z)
    if theirs.shape != z.shape:
        raise ValueError(f"an activation keeps the shape of {tuple(z.shape)}, got {tuple(theirs.shape)}")
    same = torch.isclose(theirs, ours, rtol=SAME, atol=SAME)
    if not bool(same.all()):
        i = int((~same[0]).nonzero()[0])
        values = f"the module gives {float(theirs[0, i]):.4g}, the activation {float(ours[0, i]):.4g}"
        raise ValueError(f"{type(s).__name__} computes another function: at z = {POINTS[i]:.4g} {values}")
