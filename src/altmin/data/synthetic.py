"""A data set that is drawn, not read: for timings on a machine that has no others."""

from __future__ import annotations

import torch

from altmin.data.base import Dataset, Split

IMAGE, CLASSES = (1, 28, 28), 10
TRAIN, HELD = 10_000, 1_000


def load_synthetic(train_samples: int | None, seed: int, dtype: torch.dtype) -> Dataset:
    """Images of ten classes: a random image for each class, and noise, cut to [0, 1]; as many as are asked for."""
    generator, count = torch.Generator().manual_seed(seed), train_samples or TRAIN
    patterns = torch.rand(CLASSES, IMAGE[1] * IMAGE[2], generator=generator)
    train, validation, test = (_draw(patterns, n, generator, dtype) for n in (count, HELD, HELD))
    names = tuple(str(i) for i in range(CLASSES))
    return Dataset("synthetic", train, validation, test, names, IMAGE, IMAGE, note="drawn by seed")


def _draw(patterns: torch.Tensor, count: int, generator: torch.Generator, dtype: torch.dtype) -> Split:
    labels = torch.randint(CLASSES, (count,), generator=generator)
    noise = torch.randn(count, patterns.shape[1], generator=generator)
    return Split((patterns[labels] + noise).clamp_(0.0, 1.0).to(dtype), labels)
