"""``altmin methods`` and ``altmin datasets``."""

from __future__ import annotations

from jsonargparse import Namespace

from altmin.checkpoint import ACTIVATION_NAMES, Description
from altmin.cli.screen import Screen
from altmin.data import describe
from altmin.losses import LOSSES
from altmin.methods import Method
from altmin.problem import Problem
from altmin.registry import METHODS

WIDTHS = (2, 2, 2)
PLAIN = Description(widths=WIDTHS)
FEATURES: dict[str, tuple[Description, dict[str, str]]] = {
    **{name: (Description(widths=WIDTHS, activation=name), {}) for name in ACTIVATION_NAMES},
    **{f"{name} loss": (PLAIN, {"loss": name}) for name in LOSSES},
    **{name: (PLAIN, {"regularizer": f"{name}:1"}) for name in ("l1", "l2")},
    "batch norm": (Description(widths=WIDTHS, batch_norm=True), {}),
}
"""What may be supported, with a problem that has it."""


def methods(options: Namespace) -> int:
    """List the methods; the exit code."""
    screen, columns = Screen(), ["method", "paper", "a step takes", "gradients", "supports"]
    rows = [
        [e.name, e.paper, "a batch" if e.method.batched else "all samples", e.gradients, supported(e.method)]
        for e in METHODS.values()
    ]
    screen.table(columns, rows, left=len(columns))
    screen.result(f"everything: {', '.join(FEATURES)}")
    return 0


def supported(method: Method) -> str:
    """What `method` supports, as its own check tells, in words."""
    missing = [name for name, (network, more) in FEATURES.items() if not takes(method, network, **more)]
    return f"everything but {', '.join(missing)}" if missing else "everything"


def takes(method: Method, network: Description, loss: str = "squared", regularizer: str = "none") -> bool:
    """Whether the method's own check lets a problem pass."""
    try:
        method.check(Problem.from_module(network.build(), loss, regularizer))
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
