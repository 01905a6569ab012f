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


def methods(options: Namespace) -> int:
    """List the methods; the exit code."""
    columns = ["method", "paper", "samples a step", "gradients", "activations", "losses", "regularizers", "batch norm"]
    rows = [
        [e.name, e.paper, "a batch" if e.method.batched else "all", e.gradients, *supports(e.method)]
        for e in METHODS.values()
    ]
    Screen().table(columns, rows, left=len(columns))
    return 0


def supports(method: Method) -> list[str]:
    """Which activations, losses and regularisers `method` takes, and whether batch normalisation."""
    activations = [name for name in ACTIVATION_NAMES if takes(method, Description(widths=WIDTHS, activation=name))]
    losses = [name for name in LOSSES if takes(method, PLAIN, loss=name)]
    regularizers = [name for name in ("l1", "l2") if takes(method, PLAIN, regularizer=f"{name}:1")]
    norm = takes(method, Description(widths=WIDTHS, batch_norm=True))
    names = [(activations, list(ACTIVATION_NAMES)), (losses, list(LOSSES)), (regularizers, ["l1", "l2"])]
    return [*(_list(taken, known) for taken, known in names), "yes" if norm else "no"]


def takes(method: Method, network: Description, loss: str = "squared", regularizer: str = "none") -> bool:
    """Whether the method's own check lets a problem pass."""
    try:
        method.check(Problem.from_module(network.build(), loss, regularizer))
    except (TypeError, ValueError):
        return False
    return True


def _list(taken: list[str], known: list[str]) -> str:
    missing = [name for name in known if name not in taken]
    if not missing:
        return "all"
    return f"all but {', '.join(missing)}" if len(missing) < len(taken) else ", ".join(taken) or "none"


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
