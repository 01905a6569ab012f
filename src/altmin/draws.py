"""Where random numbers are drawn: on the device of the generator, and then moved to the data's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def to_draw(like: Tensor, generator: torch.Generator | None, shape: Sequence[int] | None = None) -> Tensor:
    """An empty tensor to be filled by `generator`, on its device; of the dtype, and unless given the shape, of `like`.

    Args:
        like: Says dtype and shape, and the device where there is no generator.
        generator: What will draw; `None` for PyTorch's global one.
        shape: Another shape.
    """
    device = like.device if generator is None else generator.device
    return torch.empty(like.shape if shape is None else tuple(shape), dtype=like.dtype, device=device)


def dropout_mask(like: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Zeros with probability `p`, else ``1/(1 - p)``, so that a product with the mask keeps its mean.

    Args:
        like: Says the shape, dtype and device of the mask.
        p: Probability of a zero, below 1.
        generator: Draws the mask; `None` for PyTorch's global one.
    """
    mask = to_draw(like, generator).bernoulli_(1.0 - p, generator=generator)
    return mask.to(like.device).div_(1.0 - p)
