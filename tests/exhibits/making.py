"""Outcomes and settings that the tests of the exhibits make up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from altmin.exhibits import Exhibit, Measure, Outcome, Outcomes, Setting
from altmin.methods import BCD, Method

ABOUT = {"altmin": "0", "commit": None, "torch": "2", "processor": "a processor", "threads": 1}
FIGURES = {"value": Measure("value"), "best": Measure("value", "best")}


def outcome(seed: int = 0, diverged: bool = False, **curves: Sequence[float]) -> Outcome:
    """One training; its iterations are counted from 1."""
    own = {name: [float(value) for value in values] for name, values in curves.items()}
    length = max(map(len, own.values()), default=0)
    own.setdefault("iteration", [float(i + 1) for i in range(length)])
    return Outcome("diverged" if diverged else "ok", "it did" if diverged else None, own, seed, ABOUT)


def outcomes(panels: dict[str, dict[Any, Outcome | list[Outcome]]]) -> Outcomes:
    """Those of an exhibit with the columns of `FIGURES`."""
    found = {(panel, arm): one for panel, arms in panels.items() for arm, one in arms.items()}
    return Outcomes(FIGURES, {key: one if isinstance(one, list) else [one] for key, one in found.items()})


def values(**arms: float) -> Outcomes:
    """One panel, whose arms end with these values; nan diverges."""
    made = {arm: outcome(diverged=value != value, value=[value]) for arm, value in arms.items()}
    return outcomes({"panel": made})  # type: ignore[arg-type]


def made_up(exhibit: Exhibit, make: Callable[[str, Any], Outcome]) -> Outcomes:
    """Outcomes of an exhibit's own panels and arms."""
    return Outcomes(exhibit.columns, {(p, a): [make(p, a)] for p in exhibit.panels for a in exhibit.arms})


def figures(exhibit: Exhibit) -> set[str]:
    """The figures that an exhibit draws, measures, or asks for in a statement."""
    drawn = {*exhibit.picture.figures, *exhibit.picture.by} if hasattr(exhibit.picture, "figures") else set()  # type: ignore[union-attr]
    return drawn | {measure.figure for measure in exhibit.columns.values()}


def alike(exhibit: Exhibit, values: Sequence[float], iterations: Sequence[float] = (), **about: Any) -> Outcome:
    """One training with these values for every figure of an exhibit."""
    own: dict[str, Any] = dict.fromkeys(figures(exhibit) - {"iteration"}, values)
    if iterations:
        own["iteration"] = iterations
    return outcome(**about, **own)


def setting(method: Method | None = None, **fields: Any) -> Setting:
    """A training that takes no time."""
    own = {"data": "synthetic", "options": {"hidden": (4,)}, "train_samples": 40, "epochs": 2}
    return Setting(method=method or BCD(), **{**own, **fields})


class Pool:
    """Trains at once in this process."""

    def __init__(self, *_: object) -> None:
        pass

    def submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(call(*args))
        except Exception as error:  # noqa: BLE001
            future.set_exception(error)
        return future

    def shutdown(self, **_: object) -> None:
        pass
