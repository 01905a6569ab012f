"""The picture that a command ends with, which can cost none of its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from altmin.cli.failures import reason
from altmin.cli.screen import complain
from altmin.study.run import Run
from altmin.study.run_files import PICTURES


def draw(command: str, runs: Sequence[Run], folder: Path) -> bool:
    """Draw the picture of ``train`` or ``compare``; whether that went well. All else is written and printed by then."""
    from altmin.study import plots

    picture = PICTURES[command]
    try:
        if command == "train" and len(runs) == 1:
            plots.plot_training(runs[0], folder / picture)
        else:
            plots.plot(runs, folder / picture)
    except Exception as error:  # noqa: BLE001 - whatever a library of pictures raises, the results stand
        complain("error", f"{picture} could not be drawn: {reason(error)}; the results are in {folder}")
        return False
    return True
