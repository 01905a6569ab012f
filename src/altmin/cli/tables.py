"""``altmin methods`` and ``altmin datasets``."""

from __future__ import annotations

from jsonargparse import Namespace
from torch import nn

from altmin.cli.screen import Screen
from altmin.data import describe
from altmin.losses import LOSSES
from altmin.methods import Method
from altmin.modules import Elman, Residual
from altmin.networks import ACTIVATION_NAMES
from altmin.problem import Problem
from altmin.registry import METHODS


def _images(pooling: nn.Module) -> nn.Sequential:
    """A convolution of 4 x 4 pixels, pooled to one number of each channel."""
    shape = nn.Unflatten(1, (1, 4, 4))
    return nn.Sequential(shape, nn.Conv2d(1, 2, 3), nn.ReLU(), pooling, nn.Flatten(), nn.Linear(2, 2))


def _linear(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 2), *between, nn.Linear(2, 2))


PLAIN = _linear(nn.ReLU())
FEATURES: dict[str, tuple[nn.Sequential, dict[str, str]]] = {
    **{name: (_linear(activation()), {}) for name, activation in ACTIVATION_NAMES.items()},
    **{f"{name} loss": (PLAIN, {"loss": name}) for name in LOSSES},
    **{name: (PLAIN, {"regularizer": f"{name}:1"}) for name in ("l1", "l2")},
    "batch norm": (_linear(nn.BatchNorm1d(2), nn.ReLU()), {}),
    "dropout": (_linear(nn.ReLU(), nn.Dropout(0.5)), {}),
    "residual": (_linear(Residual(nn.ReLU(), nn.Linear(2, 2)), nn.ReLU()), {}),
    "conv + average pooling": (_images(nn.AvgPool2d(2)), {}),
    "conv + max pooling": (_images(nn.MaxPool2d(2)), {}),
    "elman": (nn.Sequential(Elman(1, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2)), {}),
}
"""What may be supported, with a network that has it."""


def methods(options: Namespace) -> int:
    """List the methods; the exit code."""
    screen, columns = Screen(), ["method", "paper", "a step takes", "gradients", "supports"]
    rows = [
        [e.name, e.paper, "a batch" if e.method.batched else "all samples", e.method.gradients, supported(e.method)]
        for e in METHODS.values()
    ]
    screen.table(columns, rows, left=len(columns))
    screen.result(f"everything: {', '.join(FEATURES)}")
    return 0


def supported(method: Method) -> str:
    """What `method` supports, as its own check tells, in words."""
    missing = [name for name, (network, more) in FEATURES.items() if not takes(method, network, **more)]
    return f"everything but {', '.join(missing)}" if missing else "everything"


def takes(method: Method, network: nn.Sequential, loss: str = "squared", regularizer: str = "none") -> bool:
    """Whether the method's own check lets a problem pass."""
    try:
        method.check(Problem.from_module(network, loss, regularizer))
    except (TypeError, ValueError):
        return False
    return True


def datasets(options: Namespace) -> int:
    """List the data sets; the exit code."""
    columns = ["data set", "samples", "features", "classes", "training / validation / test", "source", "where"]
    rows = [
        [
            d.name,
            *(_count(n) for n in (d.samples, d.features, d.classes)),
            d.split,
            d.source,
            _where(d.place, d.present),
        ]
        for d in describe()
    ]
    Screen().table(columns, rows, left=len(columns))
    return 0


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _where(place: str, present: bool) -> str:
    return (place or "nothing to fetch") if present else f"to be downloaded to {place}"
