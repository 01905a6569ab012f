"""The networks that the command line knows by name, and those that a user's file makes."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, get_type_hints

from torch import nn

from altmin.checks import check_type
from altmin.errors import UnknownNameError, nearest
from altmin.nn import Elman, Residual, Sign
from altmin.registration import modules_of
from altmin.study.files import read_file, run_file, users_code


class _ActivationNames(Mapping[str, type[nn.Module]]):
    """The modules of activations by their class's name in small letters, as far as they are registered by now."""

    def _now(self) -> dict[str, type[nn.Module]]:
        return {kind.__name__.lower(): kind for kind in modules_of("activation")}

    def __getitem__(self, name: str) -> type[nn.Module]:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())


ACTIVATION_NAMES: Mapping[str, type[nn.Module]] = _ActivationNames()
"""The modules of activations by the names that the command line has for them; those of third parties among them."""


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
        activation: A name in `ACTIVATION_NAMES`.
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


DEEPEST = 1_000  # layers; more are a slip or a trap, and take their time before anything is known about them
LEAST = 12  # pixels that two poolings by 2 and a kernel of 5 leave one of


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


def activation_of(name: str) -> type[nn.Module]:
    """The module of that name in `ACTIVATION_NAMES`.

    Raises:
        ValueError: An unknown name.
    """
    if name not in ACTIVATION_NAMES:
        raise UnknownNameError(f"unknown `activation` {name!r}; {nearest(str(name), list(ACTIVATION_NAMES))}")
    return ACTIVATION_NAMES[name]


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


@dataclass(frozen=True)
class ModelSource:
    """A user's file whose function, called without arguments, makes a network.

    Attributes:
        path: Where it was read.
        function: The function's name.
        text: What the file held then: a run's network stays the same when the file is edited.
        copy_of: The user's file, where `path` is the copy of it in a run's folder.
    """

    path: str
    function: str
    text: str
    copy_of: str = ""

    @classmethod
    def read(cls, path: str | Path, function: str) -> ModelSource:
        """The file as it is now.

        Raises:
            ValueError: No such file, or no text.
        """
        return cls(str(path), function, read_file(path))

    @property
    def name(self) -> str:
        """The user's file and the function."""
        return f"{Path(self.copy_of or self.path).name}:{self.function}"

    def build(self) -> nn.Sequential:
        """What the function returns; the file's code is run afresh each time.

        Raises:
            ValueError: The code fails, or has no such function.
            TypeError: The function returns no `nn.Sequential`.
        """
        with users_code(self.path, self.function):
            function = vars(run_file(self.path, self.text)).get(self.function)
            model = function() if callable(function) else None
        if not callable(function):
            raise ValueError(f"{self.path} has no function {self.function!r}")
        if not isinstance(model, nn.Sequential):
            raise TypeError(f"{self.path}:{self.function} must return an nn.Sequential, got {type(model).__name__}")
        return model
