"""A run as a file: what was timed, on what, and the rows."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

import altmin
from altmin.bench.measure import BenchRow, machine
from altmin.convert import layers_of
from altmin.files import read_json, write_json
from altmin.study.description import DTYPES
from altmin.study.setup import Setup


@dataclass(frozen=True)
class Report:
    """What ``bench.json`` holds.

    Attributes:
        setting: Data, samples, widths, dtype, device, threads, rounds and seed.
        machine: How fast it multiplies matrices.
        versions: Of altmin, PyTorch and Python.
        rows: A row for each contender.
    """

    setting: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    rows: list[BenchRow]

    @classmethod
    def of(cls, setup: Setup, rounds: int, rows: Sequence[BenchRow]) -> Report:
        """The report of rows that were measured just now, with the present number of threads."""
        network = setup.network
        setting = {
            "data": setup.dataset.name,
            "samples": len(setup.dataset.train),
            "model": network.name,
            "widths": [
                setup.dataset.features,
                *(layer.map.outputs for layer in layers_of(network.build())),
            ],
            "dtype": setup.precision or network.dtype,
            "rounds": rounds,
            "seed": setup.seed,
        }
        versions = {"altmin": altmin.__version__, "torch": torch.__version__, "python": platform.python_version()}
        return cls(setting, machine(DTYPES[network.dtype], setup.device), versions, list(rows))

    @classmethod
    def read(cls, path: Path) -> Report:
        """What `write` wrote.

        Raises:
            ValueError: No such file, or another one.
        """
        try:
            values = read_json(path)
            return cls(**values | {"rows": [BenchRow(**row) for row in values["rows"]]})
        except (OSError, TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no report of altmin bench ({type(error).__name__}: {error})") from error

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, asdict(self))

    @property
    def title(self) -> str:
        """What was timed on what, in a line."""
        s, m = self.setting, self.machine
        runs = [(width, len(list(same))) for width, same in groupby(s["widths"])]
        widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
        speed = f"{m['threads']} thread(s), {m['device']}, {m['gflops']:.0f} GFLOP/s"
        return f"{s['model']} {widths}, {s['samples']:,} samples of {s['data']}, {s['dtype']}; {speed}"
