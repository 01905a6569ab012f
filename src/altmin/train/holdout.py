"""A share of the samples that is held out at random, to validate on."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch

from altmin.core.batch import Batch
from altmin.core.score import labels_of


def is_share(value: object) -> bool:
    """Whether what stands for samples is a number."""
    return isinstance(value, Real)


def check_share(name: str, value: Any) -> None:
    """Raise `ValueError` where a number in the place of samples is no share of them."""
    if is_share(value) and (isinstance(value, bool) or not 0.0 < value < 1.0):
        raise ValueError(f"`{name}` must be samples, or a share of the data above 0 and below 1, got {value!r}")


def check_no_share(name: str, value: Any) -> None:
    """Raise `ValueError` where a number stands in the place of samples of which there is no whole."""
    if is_share(value):
        raise ValueError(f"`{name}` must be samples, got {value!r}; only `fit` holds out a share of its data")


def hold_out(
    name: str, share: float, samples: Batch, classes: bool, draw: Callable[[], int]
) -> tuple[Batch, Batch, int]:
    """The samples to train on and those that are held out, in their order, and the seed that they were drawn with.

    Args:
        name: The argument that the share is, for errors.
        share: How many are held out; where targets are classes, of each class.
        samples: All of them.
        classes: Whether their targets are encoded classes.
        draw: Gives the seed, once it is known that the share can be held out.

    Raises:
        ValueError: One side without samples, or without those of a class.
    """
    labels = labels_of(samples.y).cpu() if classes else torch.zeros(len(samples.y), dtype=torch.long)
    sizes = torch.bincount(labels).tolist()
    counts = {kind: _count(name, share, size, kind if classes else None) for kind, size in enumerate(sizes) if size}
    seed = draw()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    groups = order[labels[order].argsort(stable=True)].split([sizes[kind] for kind in counts])
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[torch.cat([group[:count] for group, count in zip(groups, counts.values(), strict=True)])] = True
    held = held.to(samples.x.device)
    train, validation = (samples.part(mask.nonzero()[:, 0]) for mask in (~held, held))
    return train, validation, seed


def _count(name: str, share: float, size: int, kind: int | None) -> int:
    """How many of the samples of a class, or of all samples, are held out."""
    count = int(share * size + 0.5)
    if 0 < count < size:
        return count
    side, what = "to train on" if count else "to validate on", "samples" if kind is None else f"samples of class {kind}"
    advice = "take another share, or hand in samples of your own"
    raise ValueError(f"`{name}`: a share of {share:g} of the {size} {what} leaves none of them {side}; {advice}")
