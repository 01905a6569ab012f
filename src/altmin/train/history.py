"""What training recorded."""

from __future__ import annotations

import csv
import json
import math
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Record = dict[str, Any]
FIGURES = (
    "objective",
    *(f"{part}_{what}" for part in ("train", "validation", "test") for what in ("loss", "accuracy")),
)


@dataclass(repr=False)
class History:
    """One record for each iteration (a pass over the data), or for every `record_every` of them.

    A record holds ``iteration`` (from 1), ``seconds`` and ``cpu_seconds`` of training since the record before
    (evaluation is not counted), ``objective`` and its ``terms`` by name, ``residuals`` by name, ``gap`` (the relative
    distance of the auxiliary variables from the forward pass), ``train_loss``, ``train_accuracy``, ``validation_loss``,
    ``validation_accuracy`` (losses are means over samples; accuracies `None` for regression, validation figures `None`
    without a validation set), ``norms`` of the weights by name (of Frobenius) and the method's own changing numbers,
    such as ``rho``. What was not to be recorded (option `record`) is `None`.

    With the option `metrics` a record has these by name in ``metrics``, such as ``validation_f1``.

    With the option `diagnose` a record of a penalty method also has ``stationarity`` by block and
    ``relative_stationarity`` (these with `tol` too), ``c_k`` and ``change``, ``step_sizes`` by block, ``lyapunov``,
    ``descent`` and ``descent_bound``, ``holds`` by inequality, and further numbers of the method's theory.

    Of an online method ``objective``, ``train_loss`` and ``train_accuracy`` are, unless `record` names them, means over
    the batches since the record before, each at the weights that its step began with, dropout drawn and batches
    normalised by themselves. They cost no pass over the samples, and lag behind the weights that the epoch ends with;
    validation figures do not.

    Of any other method ``objective``, ``terms``, ``residuals``, ``gap``, ``train_loss`` and ``train_accuracy`` are,
    with more than 10,000 training samples and unless `record` names them, those of every eleventh sample, always the
    same ones, in the place of all: sums are multiplied by eleven, norms by its root, means stay. That is an estimate:
    it follows the exact figures from iteration to iteration, is some percent off them, and may rise by a little where
    an objective is proved to fall. The record of the last of `epochs` is of all samples, so that it may stand some
    percent off those before.

    Attributes:
        records: One dict each.
        status: ``"ok"``, ``"converged"`` (as stationary as the option `tol` asks for), ``"diverged"`` (nan, inf, or a
            network far worse than one that predicts zero), ``"stopped"`` (by a callback or an interrupt), or
            ``"failed"`` (by another exception, in a study that goes on).
        keep: Which weights the model holds: of the last iteration, or of the one best on validation.
        best: The iteration that was best on validation; `None` without a validation set.
        restored: The iteration whose weights the model was given back where training ended with an exception, 0 for the
            start; `None` where it ended without one, and `keep` says which weights the model has.

    Example:
        >>> history = History()
        >>> _ = history.add({"iteration": 1, "objective": 3.0, "validation_loss": 0.5, "validation_accuracy": 0.8})
        >>> _ = history.add({"iteration": 2, "objective": 2.0, "validation_loss": 0.4, "validation_accuracy": 0.7})
        >>> history["objective"], history.best
        ([3.0, 2.0], 1)
        >>> history
        History: 2 iterations, ok
          last: objective 2, validation loss 0.4, validation accuracy 0.7
          weights: of iteration 2; best on validation: 1
    """

    records: list[Record] = field(default_factory=list)
    status: Literal["ok", "converged", "diverged", "stopped", "failed"] = "ok"
    keep: Literal["last", "best"] = "last"
    best: int | None = None
    restored: int | None = None

    def __repr__(self) -> str:
        """How training went, in three lines; `records` has all of it."""
        lines, kept = [f"History: {self.iterations:,} iterations, {self.status}"], self.kept
        if self.records:
            last = {name: self.records[-1].get(name) for name in FIGURES}
            known = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in last.items() if value is not None]
            lines.append(f"  last: {', '.join(known) or 'not recorded'}")
        if kept is not None:
            best = "" if self.best is None else f"; best on validation: {self.best:,}"
            lines.append(f"  weights: of iteration {kept['iteration']:,}{best}")
        return "\n".join(lines)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, name: str) -> list[Any]:
        """One quantity over the iterations: ``history["train_accuracy"]``."""
        return [record[name] for record in self.records]

    @property
    def iterations(self) -> int:
        """How many iterations the records are about."""
        return self.records[-1]["iteration"] if self.records else 0

    @property
    def kept(self) -> Record | None:
        """The record of the iteration whose weights the model holds; `None` where nothing was recorded."""
        if not self.records:
            return None
        if self.restored is not None:
            return self._of(self.restored)
        return self._of(self.best) if self.keep == "best" and self.best else self.records[-1]

    def _of(self, iteration: int) -> Record | None:
        i = bisect_left(self.records, iteration, key=lambda record: record["iteration"])
        found = self.records[i : i + 1]
        return found[0] if found and found[0]["iteration"] == iteration else None

    def add(self, record: Record) -> bool:
        """Append a record; whether it is the best on validation so far."""
        self.records.append(record)
        if record["validation_loss"] is None:
            return False
        before = None if self.best is None else self._of(self.best)
        better = before is None or _merit(record) > _merit(before)
        if better:
            self.best = record["iteration"]
        return better

    def frame(self) -> DataFrame:
        """The records as a table of pandas, a row each; nested quantities are columns such as ``residuals.E_1``."""
        from pandas import DataFrame

        return DataFrame([flat(record) for record in self.records])

    def plot(self, path: str | Path | None = None) -> Figure:
        """A picture of how training went: objective and terms, losses, accuracies, residuals, as far as recorded.

        Args:
            path: Where to save it, such as ``"training.png"``; `None`: it is not saved.

        Returns:
            The figure of matplotlib, which notebooks show.

        Raises:
            ValueError: There is nothing to draw.
        """
        from altmin.train.picture import draw

        if not any(record.get(figure) for record in self.records for figure in FIGURES):
            raise ValueError("there is nothing to draw: the history has no records of losses or accuracies")
        figure = draw([flat(record) for record in self.records])
        if path is not None:
            figure.savefig(path, dpi=150)
        return figure

    def to_json(self, path: str | Path) -> None:
        """Write everything as one JSON object; nan and inf become null."""
        whole = {"status": self.status, "keep": self.keep, "best": self.best, "records": self.records}
        Path(path).write_text(json.dumps(finite(whole), indent=1) + "\n")

    def to_csv(self, path: str | Path) -> None:
        """Write a row for each iteration; nested quantities become columns such as ``residuals.E_1``."""
        rows = [flat(record) for record in self.records]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with Path(path).open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _merit(record: Record) -> float:
    accuracy, loss = record["validation_accuracy"], record["validation_loss"]
    if accuracy is not None:
        return accuracy
    return float("-inf") if math.isnan(loss) else -loss


def flat(record: Record) -> Record:
    """Nested dicts as dotted columns.

    Example:
        >>> flat({"iteration": 1, "rule": {"lr": 0.3, "decay": {"epoch": 0.9}}})
        {'iteration': 1, 'rule.lr': 0.3, 'rule.decay.epoch': 0.9}
    """
    out: Record = {}
    for name, value in record.items():
        out |= {f"{name}.{k}": v for k, v in flat(value).items()} if isinstance(value, dict) else {name: value}
    return out


def finite(value: Any) -> Any:
    """The same nested lists and dicts with nan and inf as `None`, which JSON can hold."""
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(v) for v in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value
