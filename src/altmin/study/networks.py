"""The networks that the command line knows by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, get_type_hints

from torch import nn

from altmin.checks import check_type
from altmin.errors import nearest
from altmin.nn import Elman, Residual, Sign
from altmin.study.activation_names import activation_of

DEEPEST = 1_000  # layers; more are a slip or a trap, and take their time before anything is known about them
LEAST = 12  # pixels that two poolings by 2 and a kernel of 5 leave one of


def mlp(
    inputs: Sequence[int],
    outputs: int,
    hidden: Sequence[int] = (128, 128),
    activation: str = "relu",
    batch_norm: bool = False,
) -> nn.Sequential:
    """Fully connected layers.

    Args:
        inputs: The shape of a sample; the network takes it flat.
        outputs: Width of the output.
        hidden: Widths of the hidden layers; none is a linear network.
        activation: The module's name in small letters, such as ``"tanh"``; `ACTIVATION_NAMES` has them all.
        batch_norm: Whether hidden layers are `Linear` without intercept and `BatchNorm1d`.
    """
    activation_type, modules = activation_of(activation), []
    *below, last = pairwise(_widths(inputs, hidden, outputs))
    for width, above in below:
        modules += [
            nn.Linear(width, above, bias=not batch_norm),
            *([nn.BatchNorm1d(above)] if batch_norm else []),
            activation_type(),
        ]
    return nn.Sequential(*modules, nn.Linear(*last))


def lenet5(inputs: Sequence[int], outputs: int) -> nn.Sequential:
    """LeNet-5 with ReLU and max pooling: 6 and 16 channels by kernels of 5, then 120 and 84 units.

    Args:
        inputs: Channels, height and width of the images, which come flat; 12 by 12 pixels or more.
        outputs: Width of the output.

    Raises:
        ValueError: Samples that are no images, or too small.
    """
    if len(inputs) != 3:
        raise ValueError(f"lenet5 takes images, but a sample is {math.prod(inputs)} numbers without height and width")
    channels, *size = inputs
    if min(size) < LEAST:
        raise ValueError(f"lenet5 takes images of {LEAST} x {LEAST} pixels or more, got {size[0]} x {size[1]}")
    height, width = ((n // 2 - 4) // 2 for n in size)
    return nn.Sequential(
        nn.Unflatten(1, tuple(inputs)),
        *(nn.Conv2d(channels, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(16 * height * width, 120), nn.ReLU()),
        *(nn.Linear(120, 84), nn.ReLU()),
        nn.Linear(84, outputs),
    )


def elman(inputs: Sequence[int], outputs: int, hidden: Sequence[int] = (15,), step_width: int = 1) -> nn.Sequential:
    """An Elman network whose output sees the states of all steps: a sample is read `step_width` numbers a step.

    Args:
        inputs: The shape of a sample, which comes flat.
        outputs: Width of the output.
        hidden: The number of units, alone.
        step_width: Numbers read in a step: 1 for a pixel, the width of an image for a row.

    Raises:
        ValueError: A step width that does not divide the sample, or several widths.
    """
    features, units, _ = _widths(inputs, hidden, outputs, model="elman", count=1)
    steps, rest = divmod(features, step_width) if step_width > 0 else (0, 1)
    if rest:
        raise ValueError(f"`step_width` must divide the {features} numbers of a sample, got {step_width}")
    return nn.Sequential(Elman(step_width, units), nn.ReLU(), nn.Flatten(), nn.Linear(steps * units, outputs))


def binary(inputs: Sequence[int], outputs: int, hidden: Sequence[int] = (500, 500)) -> nn.Sequential:
    """Choromanska et al.'s network (ICML 2019) with a layer of signs, one of tanh, and dropout before both.

    Args:
        inputs: The shape of a sample; the network takes it flat.
        outputs: Width of the output.
        hidden: The two widths.
    """
    features, first, second, _ = _widths(inputs, hidden, outputs, model="binary", count=2)
    return nn.Sequential(
        *(nn.Linear(features, first), nn.Dropout(0.2), Sign()),
        *(nn.Linear(first, second), nn.Dropout(0.2), nn.Tanh()),
        nn.Linear(second, outputs),
    )


def residual(inputs: Sequence[int], outputs: int, hidden: Sequence[int] = (100,), depth: int = 20) -> nn.Sequential:
    """A deep network of equal widths, whose pre-activations are added up: ``z_{l+1} = z_l + W relu(z_l) + b``.

    Args:
        inputs: The shape of a sample; the network takes it flat.
        outputs: Width of the output.
        hidden: The width of all hidden layers, alone.
        depth: Linear layers in all, 2 or more.
    """
    features, width, _ = _widths(inputs, hidden, outputs, model="residual", count=1)
    if depth < 2:
        raise ValueError(f"`depth` counts the first and the last layer, so it must be 2 or more, got {depth}")
    _require_depth(depth)
    blocks = (Residual(nn.ReLU(), nn.Linear(width, width)) for _ in range(depth - 2))
    return nn.Sequential(nn.Linear(features, width), *blocks, nn.ReLU(), nn.Linear(width, outputs))


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {f.__name__: f for f in (mlp, lenet5, elman, binary, residual)}


def defaults(model: str) -> dict[str, Any]:
    """What can be chosen of a model in `NETWORKS`: the arguments behind ``inputs`` and ``outputs``, with defaults.

    Raises:
        ValueError: An unknown name.
    """
    if model not in NETWORKS:
        raise ValueError(f"unknown `model` {model!r}; {nearest(str(model), list(NETWORKS))}, or FILE.py:FUNCTION")
    return {p.name: p.default for p in list(inspect.signature(NETWORKS[model]).parameters.values())[2:]}


def check_options(model: str, options: Mapping[str, Any]) -> None:
    """Raise where a model in `NETWORKS` does not take `options`.

    Raises:
        ValueError: An unknown model.
        TypeError: An option that it does not have, or one of another type.
    """
    known, hints = defaults(model), get_type_hints(NETWORKS[model])
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"{model} has no option {name!r}; known: {', '.join(known) or 'none'}")
        check_type(name, value, hints.get(name, Any))


def _require_depth(layers: int) -> None:
    if layers > DEEPEST:
        raise ValueError(
            f"a network by name has at most {DEEPEST:,} layers, got {layers:,}; FILE.py:FUNCTION has no bound"
        )


def _widths(
    inputs: Sequence[int], hidden: Sequence[int], outputs: int, model: str = "", count: int | None = None
) -> tuple[int, ...]:
    """All widths from a flat sample to the output, checked."""
    widths = math.prod(inputs), *hidden, outputs
    if min(widths) < 1:
        raise ValueError(f"a network needs widths of 1 or more from input to output, got {widths}")
    _require_depth(len(widths) - 1)
    if count not in (None, len(hidden)):
        raise ValueError(f"{model} takes {count} hidden width(s) (`hidden`), got {len(hidden)}: {tuple(hidden)}")
    return widths
