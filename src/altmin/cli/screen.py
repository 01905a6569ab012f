"""What is printed: progress, tables and warnings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from altmin.core.state import State
from altmin.errors import (
    CheckpointWarning,
    ConversionWarning,
    InertiaWarning,
    LeakWarning,
    PenaltyWarning,
    PrecisionWarning,
    ScaleWarning,
)
from altmin.train.callback import Observer
from altmin.train.history import History, Record

WIDE = 200  # where nobody's window limits a table
OWN = (
    CheckpointWarning,
    ConversionWarning,
    InertiaWarning,
    LeakWarning,
    PenaltyWarning,
    PrecisionWarning,
    ScaleWarning,
)
_words: ContextVar[Callable[[object], str]] = ContextVar("words", default=str)
ROOMY = 100  # a window that leaves two blanks between columns


class Screen:
    """Standard output: bars on a terminal, a few plain lines elsewhere, only results if `quiet`.

    Args:
        quiet: Print results alone.
        objective: Show the objective and its terms with what else is shown of a training.
    """

    def __init__(self, quiet: bool = False, objective: bool = False) -> None:
        self.console = Console(width=None if sys.stdout.isatty() else WIDE, highlight=False, markup=False)
        self.bars = self.console.is_terminal and not quiet
        self.plain = not self.console.is_terminal and not quiet
        self.quiet, self.objective = quiet, objective
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        note = TextColumn("{task.fields[note]}", markup=False)
        self.progress = Progress(*columns, note, console=self.console, disable=not self.bars, refresh_per_second=4)

    def say(self, text: str) -> None:
        """A line that is no result."""
        if not self.quiet:
            self.result(text)

    def where(self, text: str, folder: Path, told: str | None) -> None:
        """What was written into which folder; also if `quiet`, where nobody was `told` its name."""
        show = self.say if told is not None else self.result
        show(f"{text} to {folder}")

    def result(self, text: str) -> None:
        """A line of the result."""
        self.console.print(text, soft_wrap=True)
        self.console.file.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
        """A table; all columns after the first `left` are aligned to the right."""
        pad = int(self.console.width >= ROOMY)
        table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, pad, 0, 0), show_edge=False, pad_edge=False)
        for i, column in enumerate(columns):
            table.add_column(column, justify="left" if i < left else "right", overflow="fold")
        for row in rows:
            table.add_row(*row)
        self.console.print(table)

    def training(self, name: str, epochs: int) -> Observer:
        """A callback of `altmin.fit` that shows how far training is."""
        for before in self.progress.task_ids:
            self.progress.stop_task(before)
        task = self.progress.add_task(name, total=epochs, note="")

        def update(history: History, state: State) -> None:
            done, note = history.iterations, _summary(history.records[-1], self.objective)
            self.progress.update(task, completed=done, note=note)
            if self.plain and (str(done).rstrip("0") in ("1", "2", "5") or done == epochs):
                self.result(f"{name} {done}/{epochs}: {note}")

        return update

    @contextmanager
    def bars_of_its_own(self) -> Iterator[None]:
        """A context that shows progress; what it showed is not shown again by the next."""
        with self.progress:
            yield
        for task in self.progress.task_ids:
            self.progress.remove_task(task)

    @contextmanager
    def loading(self, name: str) -> Iterator[Any]:
        """While data are read; yields the progress callback of `altmin.data.load`."""
        task, announced = self.progress.add_task(f"loading {name}", total=None, note=""), set()

        def update(file: str, done: int, total: int | None) -> None:
            self.progress.update(task, description=f"downloading {file}", completed=done, total=total)
            if self.plain and file not in announced:
                self.result(f"downloading {file}")
            announced.add(file)

        with self.progress:
            yield update
            self.progress.remove_task(task)


def _summary(record: Record, objective: bool) -> str:
    """A record in a few words: what can be compared between methods, and the objective where that is wanted."""
    figures = {"loss": (record["train_loss"], ".4g"), "gap": (record["gap"], ".2g")}
    if record["train_accuracy"] is not None:
        figures["train"] = record["train_accuracy"], ".1%"
    if record["validation_loss"] is not None:  # there are such samples
        accuracy = record["validation_accuracy"]
        name, value, form = ("validation loss", record["validation_loss"], ".4g")
        figures |= {name: (value, form)} if accuracy is None else {"validation": (accuracy, ".1%")}
    parts = [f"{name} {value:{form}}" for name, (value, form) in figures.items() if value is not None]
    return ", ".join([*parts, *([objective_of(record)] if objective else [])])


def objective_of(record: Record) -> str:
    """The objective, a sum over samples, and the terms that are not zero."""
    terms = ", ".join(f"{name} {value:.4g}" for name, value in record["terms"].items() if value)
    return f"objective {record['objective']:.4g} ({terms})"


def complain(kind: str, text: object) -> None:
    """One line on standard error, in the words of the command line."""
    print(f"altmin: {kind}: {' '.join(_words.get()(text).split())}", file=sys.stderr, flush=True)


@contextmanager
def wording(words: Callable[[object], str]) -> Iterator[None]:
    """A context whose complaints are first put by `words`, then as they were outside it."""
    outer = _words.get()
    before = _words.set(lambda text: outer(words(text)))
    try:
        yield
    finally:
        _words.reset(before)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """The library's warnings become one line each, shown once."""
    shown: set[str] = set()
    with warnings.catch_warnings():
        default = warnings.showwarning
        for category in OWN:
            warnings.simplefilter("always", category)

        def show(message: Warning | str, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, OWN):
                default(message, category, *where)
            elif str(message) not in shown:
                shown.add(str(message))
                complain("warning", message)

        warnings.showwarning = show
        yield
