"""Callbacks that write every record into a file: CSV, lines of JSON, and what TensorBoard reads."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from altmin.checks import require_packages
from altmin.files import write_text
from altmin.train.callback import Callback
from altmin.train.history import History, Record, finite, flat
from altmin.train.trainer import Trainer


class JSONLinesLogger(Callback):
    """A callback that appends every record to a file, as a line of JSON; nan and inf are null.

    A line is with the system as soon as its record is made, and a half line that a killed run has left is taken away by
    the next one. A run that goes on from a checkpoint repeats the records since then: of equal iterations the last line
    counts.

    Args:
        path: The file, in a folder that exists.

    Example:
        >>> import json, pathlib, tempfile, torch
        >>> from torch import nn
        >>> from altmin import JSONLinesLogger, fit
        >>> x, model = torch.randn(20, 2), nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.jsonl")
        ...     _ = fit(model, "bcd", x, (x[:, 0] > 0).long(), epochs=3, callbacks=[JSONLinesLogger(path)])
        ...     [json.loads(line)["iteration"] for line in path.read_text().splitlines()]
        [1, 2, 3]
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def start(self, trainer: Trainer, history: History) -> None:
        """Take away a half line."""
        with self.path.open("a+b") as file:
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)

    def epoch(self, trainer: Trainer, history: History) -> None:
        """Append the last record."""
        self._append(json.dumps(finite(history.records[-1]), allow_nan=False) + "\n")

    def _append(self, line: str) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            file.write(line)


class CSVLogger(JSONLinesLogger):
    """A callback that appends every record to a file, as a row of CSV; nested figures are dotted columns.

    It survives as `JSONLinesLogger` does. A figure that no earlier record has makes a new column, for which the file is
    written anew.

    Args:
        path: The file, in a folder that exists.

    Example:
        >>> import pathlib, tempfile, torch
        >>> from torch import nn
        >>> from altmin import CSVLogger, fit
        >>> x, model = torch.randn(20, 2), nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder, "log.csv")
        ...     _ = fit(model, "bcd", x, (x[:, 0] > 0).long(), epochs=3, callbacks=[CSVLogger(path)])
        ...     path.read_text().splitlines()[0].split(",")[:3]
        ['iteration', 'seconds', 'cpu_seconds']
    """

    def start(self, trainer: Trainer, history: History) -> None:
        """Take away a half line, and see what columns there are."""
        super().start(trainer, history)
        with self.path.open(encoding="utf-8", newline="") as file:
            self._columns = next(csv.reader(file), [])

    def epoch(self, trainer: Trainer, history: History) -> None:
        """Append the last record."""
        row = flat(history.records[-1])
        if new := [name for name in row if name not in self._columns]:
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            self._columns = [*self._columns, *new]
            write_text(self.path, _text(self._columns, [dict(zip(self._columns, self._columns, strict=True)), *rows]))
        self._append(_text(self._columns, [row]))


class TensorBoardLogger(Callback):
    """A callback that writes every figure of a record as a scalar for TensorBoard.

    It needs the package `tensorboard`: ``pip install 'altmin[tensorboard]'``. Figures that are nan or inf are left out.

    Args:
        folder: Where TensorBoard looks: ``tensorboard --logdir FOLDER``.

    Raises:
        ModuleNotFoundError: The package is missing.

    Example:
        >>> from altmin import TensorBoardLogger
        >>> logger = TensorBoardLogger("runs/first")  # goes to callbacks=[logger]; the folder is made by `fit`
        >>> logger.folder.name
        'first'
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        require_packages("TensorBoardLogger", "tensorboard", "tensorboard")
        self.folder = Path(folder)

    def start(self, trainer: Trainer, history: History) -> None:
        """Open a file in the folder; TensorBoard shows nothing that was written there of the steps to come."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.folder), purge_step=history.iterations + 1)

    def epoch(self, trainer: Trainer, history: History) -> None:
        """Write the last record."""
        record = flat(history.records[-1])
        for name, value in record.items():
            if isinstance(value, int | float) and math.isfinite(value) and name != "iteration":
                self._writer.add_scalar(name, value, record["iteration"])
        self._writer.flush()

    def end(self, trainer: Trainer, history: History) -> None:
        """Close the file."""
        self._writer.close()


def _text(columns: Sequence[str], rows: Sequence[Record | dict[str, Any]]) -> str:
    """Rows of CSV."""
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()
