"""``altmin methods``, ``altmin datasets`` and ``altmin exhibits``."""

from __future__ import annotations

from jsonargparse import Namespace

from altmin.cli.screen import Screen
from altmin.data import DatasetDescription, describe
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
    columns = ["data set", "samples", "features", "classes", "training / validation / test", "source", "there", "where"]
    rows = [
        [d.name, *(_count(n) for n in (d.samples, d.features, d.classes)), d.split, d.source, *_where(d)]
        for d in describe(options.data_dir)
    ]
    Screen().table(columns, rows, left=len(columns))
    return 0


def exhibits(options: Namespace) -> int:
    """List the papers' exhibits; the exit code."""
    from altmin import exhibits as known  # no other list needs them

    columns, found = ["exhibit", "paper", "place", "what it shows"], map(known.load, known.names())
    screen = Screen()
    screen.table(columns, [[e.name, e.paper, e.place, e.title] for e in found], left=len(columns))
    screen.result("one of them again: altmin reproduce EXHIBIT; its training by itself: altmin train --preset EXHIBIT")
    return 0


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def _where(d: DatasetDescription) -> tuple[str, str]:
    """Whether a data set is there, and in which folder it is, or will be."""
    if not d.place:
        return ("yes", "needs no files") if d.features else ("-", "as --csv.train says")
    return ("yes", d.place) if d.present else ("no", f"to be downloaded to {d.place}")
