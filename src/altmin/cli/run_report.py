"""``altmin report``."""

from __future__ import annotations

from pathlib import Path

from jsonargparse import Namespace

from altmin.cli.results import read_results
from altmin.cli.screen import Screen
from altmin.study.report import write_report
from altmin.study.run import Run
from altmin.study.run_files import RESULTS

LATEST = {"gradients", "memory", "test_samples"}  # entries of results that earlier versions did not write


def report(options: Namespace) -> int:
    """Write a page over runs; the exit code."""
    out, runs = Path(options.out), {folder: _runs(Path(folder)) for folder in options.dirs}
    if not out.absolute().parent.is_dir():
        raise ValueError(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    write_report(runs, out)
    count = sum(map(len, runs.values()))
    Screen().result(f"wrote {out}, over {count} run{'' if count == 1 else 's'}")
    return 0


def _runs(folder: Path) -> list[Run]:
    """The runs of a folder; a `ValueError` where it has none, or those of an earlier version."""
    found = read_results(folder)
    if not found:
        raise ValueError(f"{folder} holds no {RESULTS}; name the folder that train or compare wrote")
    if not all(run.result.keys() >= LATEST for run in found):
        raise ValueError(
            f"{folder} was written by an earlier version, which did not note all that a page has; run it again"
        )
    return found
