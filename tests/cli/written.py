"""What runs of the command line have written, as tests compare it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DIFFERING = ("run", "begins_with", "seconds", "cpu_seconds")  # what two runs of the same options have not in common


def runs(out: str | Path = "out") -> list[dict[str, Any]]:
    """The entries of ``results.json`` in a folder."""
    return json.loads(Path(out, "results.json").read_text())["runs"]


def same(run: dict[str, Any]) -> dict[str, Any]:
    """What an entry shares with that of any run of the same options."""
    return {name: value for name, value in run.items() if name not in DIFFERING}


def all_same(out: str | Path) -> list[dict[str, Any]]:
    """The same of every entry in a folder."""
    return [same(run) for run in runs(out)]
