"""How learning rates fall over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from altmin.checks import number

DECAYS: dict[str, Callable[[float, int], float]] = {
    "none": lambda done, k: 1.0,
    "linear": lambda done, k: 1.0 - done,
    "cosine": lambda done, k: 0.5 * (1.0 + math.cos(math.pi * done)),
    "1/t": lambda done, k: 1.0 / (1.0 + k),
}
"""What learning rates are multiplied by where the share `done` of the run lies behind, and `k` steps do."""


def decay(default: str = "none") -> Any:
    """A method's field that says how its learning rates fall, from 1 towards 0; `DECAYS` has the factors."""
    return number(default, "how learning rates fall, over the run or as one over the steps", choices=tuple(DECAYS))


def epoch_decay() -> Any:
    """A method's field that says what its learning rates are multiplied by after each epoch."""
    return number(
        1.0,
        "what learning rates are multiplied by after each epoch",
        above=0.0,
        most=1.0,
        paper="0.9 for SGD in the online paper's convolutional and recurrent networks",
    )


def halved(epoch: int, every: int) -> float:
    """What learning rates are multiplied by that are halved after every so many epochs; 0: never."""
    return 0.5 ** (epoch // every) if every else 1.0
