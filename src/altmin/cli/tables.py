"""``altmin methods`` and ``altmin datasets``."""

from __future__ import annotations

from jsonargparse import Namespace

from altmin.cli.screen import Screen
from altmin.data import describe
from altmin.methods import Method
from altmin.methods.registry import listed
from altmin.study.support import PARTS, kinds, needs, unsupported


def methods(options: Namespace) -> int:
    """List the methods; the exit code."""
    screen, columns = Screen(), ["method", "paper", "a step takes", "gradients", "supports"]
    rows = [
        [e.name, e.paper, "a batch" if e.method.batched else "all samples", e.method.gradients, _supports(e.method)]
        for e in listed()
    ]
    screen.table(columns, rows, left=len(columns))
    screen.result(f"everything: {'; '.join(', '.join(kinds(part)) for part in PARTS)}")
    return 0


def _supports(method: Method) -> str:
    """What the method takes, in words."""
    missing, wanted = unsupported(method), needs(method)
    words = f"everything but {', '.join(missing)}" if missing else "everything"
    return f"{words}; needs {' or '.join(wanted)}" if wanted else words


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
