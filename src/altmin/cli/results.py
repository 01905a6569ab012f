"""The files of results."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from altmin.files import replacing, write_json
from altmin.study.run import TrainedRun
from altmin.train.history import Record, finite, flat


def write_results(runs: Sequence[TrainedRun], folder: Path) -> None:
    """Write ``results.json`` and ``curves.csv``."""
    write_json(folder / "results.json", finite({"runs": [run.result for run in runs]}))
    rows = [row for run in runs for row in curve(run)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(folder / "curves.csv") as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def curve(run: TrainedRun) -> list[Record]:
    """The records of a run as flat rows, with the seconds since its start."""
    wall, cpu = (accumulate(run.history[name]) for name in ("seconds", "cpu_seconds"))
    return [
        {"method": run.name, "elapsed_seconds": w, "elapsed_cpu_seconds": c} | flat(record)
        for w, c, record in zip(wall, cpu, run.history.records, strict=True)
    ]
