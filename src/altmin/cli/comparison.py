"""The runs of a comparison, one after the other: what one of them meets is its own row's matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from altmin.cli.failures import disk_full, reason
from altmin.cli.results import keep
from altmin.cli.screen import Screen, complain
from altmin.cli.signals import Interrupt
from altmin.methods import Method
from altmin.study.run import Run, run
from altmin.study.run_files import CHECKPOINTS, PICTURE, remove_checkpoints
from altmin.study.setup import Setup


@dataclass
class Comparison:
    """What is trained in a comparison, and what has come of it.

    Attributes:
        plan: Each method and what it is trained on, by name, in their order.
        folder: Where the results are written; each method has a folder in it.
        screen: Where progress is shown.
        done: The runs by name; at first those that an earlier process has finished.
    """

    plan: dict[str, tuple[Setup, Method]]
    folder: Path
    screen: Screen
    done: dict[str, Run]

    @property
    def runs(self) -> list[Run]:
        """The runs there are, in the order of the methods."""
        return [self.done[name] for name in self.plan if name in self.done]

    def run(self, interrupt: Interrupt) -> None:
        """Train the methods that are not done; each one's results are written at once, whatever happens to the next.

        Raises:
            OSError: The disk is full; nothing that came after would be kept.
        """
        with self.screen.progress:
            for name in self.plan:
                if name in self.done:
                    remove_checkpoints(self.folder / name)  # where a process was killed just before it did so
                elif not interrupt.asked:
                    self._run(name, interrupt)

    def _run(self, name: str, interrupt: Interrupt) -> None:
        setup, method = self.plan[name]
        setup = replace(setup, checkpoint=self.folder / name / CHECKPOINTS)
        show = self.screen.training(name, setup.epochs_of(name))
        done = self.done[name] = run(setup, name, method, (show, interrupt), interrupt.training)
        if done.failure is not None and disk_full(done.failure):
            raise done.failure
        keep(done, self.runs, self.folder, self.folder / name)
        if done.error is not None:
            complain("warning", f"{name}: {reason(done.error)}")


def draw(runs: Sequence[Run], folder: Path) -> bool:
    """Draw the picture; whether that went well. All else is written and printed by then."""
    try:
        from altmin.study.plots import plot

        plot(runs, folder / PICTURE)
    except Exception as error:  # noqa: BLE001 - whatever a library of pictures raises, the results stand
        complain("error", f"{PICTURE} could not be drawn: {reason(error)}; the results are in {folder}")
        return False
    return True
