"""Whether every number of a model lies in a place of its own: training writes each weight where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

Named = tuple[str, Tensor]


def check_own_memory(tensors: Iterable[Named]) -> None:
    """Refuse tensors that share numbers, as tied weights do, by whatever views, and those that repeat one number.

    Args:
        tensors: Parameters and buffers with their names, strided; those on the meta device are passed over.

    Raises:
        TypeError: The names of the first two that share a number, or of the one that repeats one.

    Example:
        >>> t = torch.zeros(6)
        >>> check_own_memory([("0.weight", t[:3]), ("2.weight", t[3:])])
        >>> check_own_memory([("0.weight", t[:4]), ("2.weight", t[3:])])
        Traceback (most recent call last):
        ...
        TypeError: `model`: 0.weight and 2.weight share memory; ...
    """
    found = [(name, t) for name, t in tensors if t.numel() and not t.is_meta]
    for name, t in found:
        if not t.is_contiguous() and len(_addresses(t).unique()) < t.numel():
            raise TypeError(
                f"`model`: {name} repeats numbers in memory (shape {tuple(t.shape)}, strides {t.stride()}), so that it "
                "cannot be trained; give it memory of its own, such as nn.Parameter(t.detach().contiguous())"
            )
    for (one, s), (other, t) in _close(found):
        if torch.isin(_addresses(s), _addresses(t)).any():
            first, second = sorted((one, other), key=[name for name, _ in found].index)
            raise TypeError(
                f"`model`: {first} and {second} share memory; altmin trains every weight by itself and knows none that "
                "are tied: give one of them memory of its own, by `clone()`"
            )


def _close(tensors: list[Named]) -> Iterator[tuple[Named, Named]]:
    """Pairs whose stretches of memory overlap, from the lowest address on."""
    ordered = sorted(tensors, key=lambda item: (str(item[1].device), item[1].data_ptr()))
    if all(s.device != t.device or _end(s) <= t.data_ptr() for (_, s), (_, t) in pairwise(ordered)):
        return
    for i, (name, s) in enumerate(ordered):
        for other, t in ordered[i + 1 :]:
            if t.device != s.device or _end(s) <= t.data_ptr():
                break
            yield (name, s), (other, t)


def _end(t: Tensor) -> int:
    """The address behind the last number."""
    last = sum((n - 1) * step for n, step in zip(t.shape, t.stride(), strict=True))
    return t.data_ptr() + (last + 1) * t.element_size()


def _addresses(t: Tensor) -> Tensor:
    """The address of every number."""
    at = torch.tensor([t.data_ptr()], device="cpu")
    for n, step in zip(t.shape, t.stride(), strict=True):
        at = (at[:, None] + torch.arange(n, device="cpu") * (step * t.element_size())).flatten()
    return at
