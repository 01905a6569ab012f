"""What a search has found, as rows of a table on the screen and of ``trials.csv``."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from altmin.files import replacing
from altmin.tune.search import Search

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

SHOWN = 10
NOTES = "status", "iterations", "kept_iteration", "seconds", "error"


def columns(search: Search) -> list[str]:
    """The columns of the table of the best trials."""
    return ["trial", "valid.", "iterations", *(axis.name for axis in search.axes)]


def rows(search: Search) -> list[list[str]]:
    """The best trials, the best one first."""
    return [
        [str(t.number), figure(search, t), str(t.user_attrs["iterations"]), *map(_word, _values(search, t))]
        for t in search.best()[:SHOWN]
    ]


def line(search: Search, trial: FrozenTrial) -> str:
    """What became of a trial, in a line."""
    status = trial.user_attrs["status"]
    how = f"validation {figure(search, trial)}" + ("" if status == "ok" else f", {status}")
    if trial.user_attrs["status"] in ("diverged", "failed"):
        how = f"{status}"
    numbers = ", ".join(f"{axis.name} {_word(trial.params[axis.name])}" for axis in search.axes)
    return f"trial {trial.number}: {how}; {numbers}"


def figure(search: Search, trial: FrozenTrial) -> str:
    """A percentage; for regression a loss."""
    return "-" if trial.value is None else f"{trial.value:.4g}" if search.worst else f"{100 * trial.value:.2f}%"


def write_trials(search: Search, path: Path) -> None:
    """Write a row for each trial that came to an end, in their order."""
    names = ["trial", search.figure, *(axis.name for axis in search.axes), *NOTES]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for t in search.done():
            notes = [t.user_attrs.get(note, "") for note in NOTES]
            writer.writerow([t.number, t.value, *_values(search, t), *notes])


def _values(search: Search, trial: FrozenTrial) -> Sequence[Any]:
    return [trial.params[axis.name] for axis in search.axes]


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
