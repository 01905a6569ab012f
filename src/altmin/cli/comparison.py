"""The runs of a comparison, one after the other: what one of them meets is its own row's matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from altmin.cli.failures import disk_full, reason
from altmin.cli.numbers import prefixed
from altmin.cli.preflight import Plan
from altmin.cli.results import keep
from altmin.cli.screen import Screen, complain, wording
from altmin.cli.signals import Interrupt
from altmin.cli.then import FLAG, THEN
from altmin.methods import Method
from altmin.study.run import Run, run
from altmin.study.run_files import CHECKPOINTS, remove_checkpoints
from altmin.study.setup import Setup


@dataclass
class Comparison:
    """What is trained together, by several methods or from several seeds, and what has come of it.

    Attributes:
        command: ``compare``, or ``train`` of one method.
        names: The methods, in their order.
        seeds: The seeds, for all of which the methods are trained with one before they are with the next.
        folder: Where the results are written; each run has a folder in it.
        screen: Where progress is shown.
        memory: The bytes that methods were found to need.
        done: The runs by name and seed; at first those that an earlier process has finished.
    """

    command: str
    names: Sequence[str]
    seeds: Sequence[int]
    folder: Path
    screen: Screen
    memory: Mapping[str, int] = field(default_factory=dict)
    done: dict[tuple[str, int], Run] = field(default_factory=dict)

    @property
    def runs(self) -> list[Run]:
        """The runs there are, in the order of the methods."""
        return [self.done[key] for key in self._keys() if key in self.done]

    @property
    def finished(self) -> bool:
        """Whether there are all of them."""
        return all(key in self.done for key in self._keys())

    def goes_on(self, name: str) -> bool:
        """Whether a method begins with the weights that another one leaves: the second one of ``train``."""
        return self.command == "train" and name != self.names[0]

    def parts(self, seed: int | None = None) -> dict[str, str]:
        """The folders of the runs with a seed, or with any, within that of the whole, and their methods."""
        return {self._part(name, own): name for name, own in self._keys() if seed in (None, own)}

    def run(self, plan_of: Callable[[int], Plan], interrupt: Interrupt) -> None:
        """Train what is not done; each run's results are written at once, whatever happens to the next.

        Args:
            plan_of: Gives the methods and what they are trained on with a seed, once it is that one's turn.
            interrupt: Says whether somebody wants the end.

        Raises:
            OSError: The disk is full; nothing that came after would be kept.
        """
        self.tidy()
        for seed in self.seeds:
            left = [name for name in self.names if (name, seed) not in self.done]
            if left and not interrupt.asked:
                self._run_seed(seed, left, plan_of, interrupt)

    def tidy(self) -> None:
        """Remove the checkpoints of finished runs, where a process was killed just before it did so."""
        for name, seed in self.done:
            remove_checkpoints(self.folder / self._part(name, seed))

    def _keys(self) -> list[tuple[str, int]]:
        return [(name, seed) for name in self.names for seed in self.seeds]

    def _part(self, name: str, seed: int) -> str:
        if len(self.seeds) == 1:
            return name
        return f"seed-{seed}" if self.command == "train" and len(self.names) == 1 else f"{name}/seed-{seed}"

    def _run_seed(self, seed: int, names: Sequence[str], plan_of: Callable[[int], Plan], interrupt: Interrupt) -> None:
        plan = plan_of(seed)
        with self.screen.bars_of_its_own():
            for name in names:
                if not interrupt.asked:
                    self._run(name, seed, *plan[name], interrupt)

    def _prefix(self, name: str) -> str:
        """What stands before a method's numbers among the options."""
        if self.command == "compare":
            return f"{name}."
        return f"{THEN}." if self.goes_on(name) else ""

    def _start(self, name: str, seed: int) -> Path | None:
        """The folder of the weights that a run begins with, which a first method of ``train`` has left."""
        return self.folder / self._part(self.names[0], seed) if self.goes_on(name) else None

    def _lacks_its_start(self, name: str, seed: int) -> bool:
        """Whether the first method's run is none to go on from, which is said."""
        first = self.done.get((self.names[0], seed))
        if not self.goes_on(name) or (first is not None and first.result["status"] == "ok"):
            return False
        complain("warning", f"{FLAG} is not begun with seed {seed}: {self.names[0]} did not end well")
        return True

    def _run(self, name: str, seed: int, setup: Setup, method: Method, interrupt: Interrupt) -> None:
        if self._lacks_its_start(name, seed):
            return
        own, several = self.folder / self._part(name, seed), len(self.seeds) > 1
        start, memory = self._start(name, seed), self.memory.get(name)
        setup = replace(setup, checkpoint=own / CHECKPOINTS, start=start, memory=memory)
        shown = f"{name}, seed {seed}" if several else name
        show = self.screen.training(shown, setup.epochs_of(name))
        with wording(partial(prefixed, method=method, prefix=self._prefix(name))):
            done = self.done[name, seed] = run(setup, name, method, (show, interrupt), interrupt.training)
            if done.failure is not None and disk_full(done.failure):
                raise done.failure
            keep(done, self.runs, self.folder, own, several)
            if done.error is not None:
                complain("warning", f"{shown}: {reason(done.error)}")
