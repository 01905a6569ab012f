"""``altmin reproduce``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin import data, exhibits
from altmin.cli.data import require_writable
from altmin.cli.failures import FAILED
from altmin.cli.screen import Screen, complain
from altmin.exhibits import Exhibit
from altmin.exhibits.exhibit import SCALES
from altmin.exhibits.processes import StudyProgress, Workshop
from altmin.exhibits.report import REPORT, read_written, write_exhibit, write_report
from altmin.exhibits.runner import Study
from altmin.exhibits.store import Store
from altmin.study.processes import KilledError
from altmin.train.place import check_device


def reproduce(options: Namespace) -> int:
    """Make the trainings of exhibits, then their pictures, tables and the report; the exit code."""
    screen, folder = Screen(options.quiet), Path(options.out)
    chosen = [exhibits.load(name) for name in dict.fromkeys(options.exhibits or exhibits.names())]
    device = check_device(options.device)
    require_writable(folder)
    study = Study(
        exhibits=chosen,
        scale=options.scale,
        seeds=options.seeds,
        store=Store(folder, partial(complain, "warning")),
        workshop=Workshop(options.jobs or os.cpu_count() or 1, options.data_dir, device, options["import"]),
        panels=options.panels,
    )
    _require_scale(folder, options.scale)
    _check(study, screen)
    kept = f"finished trainings are kept in {folder}; the same command goes on"
    try:
        with screen.progress:
            failed = study.run(_Bar(screen))
    except KilledError as killed:
        complain("error", f"{killed}; {kept}")
        return FAILED
    except (KeyboardInterrupt, OSError, MemoryError) as end:
        end.add_note(kept)
        raise
    for text in failed:
        complain("error", text)
    results = _write(study, chosen, folder, screen)
    screen.result(f"{len(results)} of {len(chosen)} exhibits written to {folder}; open {folder / REPORT}")
    return FAILED if failed else 0


def _check(study: Study, screen: Screen) -> None:
    """Read every data set once, one at a time, and look at the settings: what fails is known before hours of work."""
    for name in sorted(study.data_sets()):
        with screen.loading(name) as progress:
            samples = data.load(name, data_dir=study.workshop.data_dir, progress=progress)
        study.check(name, samples)


def _require_scale(folder: Path, scale: str) -> None:
    """A `ValueError` where a folder has results at another scale, which new ones would replace."""
    for other in SCALES:
        if other != scale and read_written(folder, other):
            raise ValueError(f"{folder} holds results at {other} scale; name another folder by --out")


def _write(study: Study, chosen: Sequence[Exhibit], folder: Path, screen: Screen) -> dict[str, dict[str, Any]]:
    """Each exhibit's files and the report; the results by name."""
    results = {}
    for exhibit in chosen:
        outcomes = study.outcomes(exhibit)
        if outcomes is not None:
            seeds = len(study.seeds_of(exhibit))
            results[exhibit.name] = write_exhibit(exhibit, outcomes, study.scale, seeds, folder / exhibit.name)
    rows = [[e.name, f"{e.paper}, {e.place}", results[e.name]["verdict"], e.claim] for e in chosen if e.name in results]
    screen.table(["exhibit", "where", "holds?", "claim"], rows, left=4)
    others = {name: result for name, result in read_written(folder, study.scale).items() if name not in results}
    known = [exhibits.load(name) for name in exhibits.names() if name in results or name in others]
    write_report(known, others | results, folder)
    return results


class _Bar:
    """Shows how far the trainings are.

    Args:
        screen: Where.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._task: Any = None

    def __call__(self, progress: StudyProgress) -> None:
        """Show a training that has just ended."""
        left = f"{progress.latest}: {progress.seconds:.0f} s; about {_duration(progress.left)} left"
        if self._screen.plain:
            self._screen.result(f"{progress.done}/{progress.total} {left}")
        if self._task is None:
            self._task = self._screen.progress.add_task("training", note="")
        self._screen.progress.update(self._task, total=progress.total, completed=progress.done, note=left)


def _duration(seconds: float) -> str:
    """Such as ``3 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
