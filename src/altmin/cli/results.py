"""The files of results."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from altmin.files import replacing, write_json
from altmin.study.ranks import RULE
from altmin.study.run import Run, TrainedRun
from altmin.study.run_files import CHECKPOINTS, CURVES, RESULTS, SUMMARY, remove_checkpoints
from altmin.study.saved_network import WEIGHTS, save
from altmin.study.summary import differences, summaries
from altmin.train.checkpoint import Checkpoints
from altmin.train.history import finite


def keep(done: TrainedRun, runs: Sequence[Run], folder: Path, own: Path, seeds: bool = False) -> None:
    """Write a run's network, then the results, after which a finished run needs its checkpoints no more.

    Args:
        done: The run.
        runs: All runs of the results, this one included.
        folder: Where results are written.
        own: Where the run has its network and checkpoints.
        seeds: Whether there are runs that differ in nothing but their seeds, so that curves have these.
    """
    if done.worthwhile:
        save(done.network, done.model, own)
    write_results(runs, folder, seeds)
    if done.finished:
        remove_checkpoints(own)


def keep_what_fits(done: TrainedRun, folder: Path) -> None:
    """The same of one run that failed, perhaps by a full disk: what cannot be written then is left out."""
    if done.worthwhile:
        with suppress(OSError):
            save(done.network, done.model, folder)
        with suppress(OSError):
            write_results([done], folder)


@contextmanager
def noting_what_is_kept(command: str, folder: Path) -> Iterator[None]:
    """A context whose errors have a note of what was kept, and of the way to go on."""
    try:
        yield
    except Exception as error:
        error.add_note(_kept(command, folder))
        raise


def _kept(command: str, folder: Path) -> str:
    """What `folder` holds of a run that did not end well."""
    ways = f"altmin {command} --resume {folder}"
    files = {"weights": any(folder.rglob(WEIGHTS)), "results": (folder / RESULTS).is_file()}
    kept = [f"{' and '.join(name for name in files if files[name]) or 'the options'} in {folder}"]
    below = (path for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/{CHECKPOINTS}")))
    places = [folder / CHECKPOINTS, *below]
    kept += [
        f"the checkpoint of step {max(found)} in {place}" for place in places if (found := Checkpoints(place).steps())
    ]
    return f"kept: {', '.join(kept)}; `{ways}` {'goes on' if len(kept) > 1 else 'starts anew what is not done'}"


def write_results(runs: Sequence[Run], folder: Path, seeds: bool = False) -> None:
    """Write ``curves.csv``, ``summary.csv`` and, once these are there, ``results.json``: it says that they are done."""
    rows = [{"method": run.name, **({"seed": run.seed} if seeds else {}), **row} for run in runs for row in run.curve]
    found = summaries(runs)
    _write_rows(folder / CURVES, rows)
    _write_rows(folder / SUMMARY, [each.flat() for each in found])
    whole = {"runs": [run.result for run in runs], "methods": [asdict(each) for each in found]}
    write_json(folder / RESULTS, finite(whole | {"differing": differences(runs), "rank": RULE}))


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_results(folder: Path) -> list[Run]:
    """The runs that `write_results` wrote, figures of curves as text; none where it did not come to that.

    Raises:
        ValueError: Files that are damaged.
    """
    results, curves = folder / RESULTS, folder / CURVES
    if not results.is_file():
        return []
    try:
        with curves.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        runs = json.loads(results.read_text(encoding="utf-8"))["runs"]
        return [Run(r["method"], r, [row for row in rows if _is_of(row, r)]) for r in runs]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ValueError(
            f"{folder}: {RESULTS} and {CURVES} are damaged ({error}); begin anew by --overwrite"
        ) from error


def _is_of(row: dict[str, str], result: dict[str, Any]) -> bool:
    """Whether a row of ``curves.csv``, which has seeds where there are several, is of an entry in ``results.json``."""
    return row["method"] == result["method"] and row.get("seed") in (None, str(result["seed"]))
