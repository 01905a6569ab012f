"""The papers' tables and figures, each a file that says what is trained, what was printed, and what is claimed."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module

from altmin.errors import UnknownNameError, nearest
from altmin.exhibits.exhibit import EXHIBITS, Curves, Exhibit, Grid, register
from altmin.exhibits.outcomes import Measure, Outcome, Outcomes
from altmin.exhibits.setting import ExhibitScale, Setting

PAPERS = "ipdlam", "mdlam", "dladmm", "online", "beyond"


def names() -> list[str]:
    """The names of all exhibits, in the order of the papers."""
    for paper in PAPERS:
        package = import_module(f"{__name__}.{paper}")
        for name in sorted((module.name for module in pkgutil.iter_modules(package.__path__)), key=_by_number):
            import_module(f"{package.__name__}.{name}")
    return list(EXHIBITS)


def _by_number(module: str) -> tuple[str, int, str]:
    """An order in which ``figure10`` comes behind ``figure9``."""
    kind, number, letter = re.fullmatch(r"(.*?)(\d*)([a-z]?)", module).groups()  # type: ignore[union-attr]
    return kind, int(number or 0), letter


def load(name: str) -> Exhibit:
    """An exhibit by name.

    Raises:
        UnknownNameError: There is none; the message has the nearest one.

    Example:
        >>> load("ipdlam-table1").setting("MNIST", "factor 0.7").method.alpha
        0.7
    """
    known = names()
    if name not in known:
        places = {e.name: e.place for e in EXHIBITS.values()}
        raise UnknownNameError(f"unknown exhibit {name!r}; {nearest(name, known, places)}")
    return EXHIBITS[name]


__all__ = [
    "Curves",
    "Exhibit",
    "ExhibitScale",
    "Grid",
    "Measure",
    "Outcome",
    "Outcomes",
    "Setting",
    "load",
    "names",
    "register",
]
