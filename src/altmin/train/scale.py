"""Samples far from unit scale, which PyTorch's start and the methods' numbers are made for: said before training."""

from __future__ import annotations

import warnings

from torch import Tensor

from altmin.core.batch import Batch
from altmin.core.problem import Problem
from altmin.errors import ScaleWarning
from altmin.layerwise.coordinates import Scale


def warn_of_scale(name: str, batch: Batch, problem: Problem, classes: bool) -> bool:
    """Whether there was something to warn of.

    Args:
        name: The argument's name.
        batch: The samples.
        problem: What is minimised; normalisation behind the first layer takes up any scale of the inputs.
        classes: Whether the targets are classes, which have no scale.
    """
    found = misfits(batch, problem, classes)
    if found:
        what = "; ".join(f"{said}. Try: {cure}" for said, cure in found)
        warnings.warn(f"`{name}` is far from unit scale, on which training depends: {what}", ScaleWarning, stacklevel=4)
    return bool(found)


def misfits(batch: Batch, problem: Problem, classes: bool) -> list[tuple[str, str]]:
    """What is far from unit scale, inputs first, each in words and with its cure; see `warn_of_scale`."""
    inputs = None if problem.layers[0].norm is not None else _misfit("x", batch.x)
    targets = None if classes else _misfit("y", batch.y)
    more = " (columns of different units: scikit-learn's StandardScaler)", ", and predictions back in its units"
    found = zip((inputs, targets), "xy", more, strict=True)
    return [(said, f"{part} = ({part} - {part}.mean(0)) / {part}.std(){end}") for said, part, end in found if said]


def _misfit(part: str, t: Tensor) -> str | None:
    scale = Scale.of(t)
    if scale.shifted:
        return f"{part} lies around {scale.offset:.2g} and varies by {scale.spread:.2g} only"
    return f"the entries of {part} are about {scale.entry:.2g} in size" if scale.far else None
