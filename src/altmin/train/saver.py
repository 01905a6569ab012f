"""When a run is saved, and whether a saved one is the one that is to go on."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Self

from altmin.errors import CheckpointError
from altmin.train.checkpoint import Checkpoints
from altmin.train.driver import Driver
from altmin.train.identity import Facts, check_same, circumstances, facts_of
from altmin.train.options import LoopOptions

SHARE = 0.05  # of the time of training: what checkpoints may take where nobody says how often they are written


class Saver:
    """Writes a run's checkpoints as often as was asked for, and finds the one to go on from.

    Args:
        checkpoints: Where they are.
        every: Records from one to the next; `None` for so many that writing takes a twentieth of the time.
        resume: Whether to go on from the newest one.

    Raises:
        CheckpointError: The folder cannot be written to, or holds checkpoints that are not to be gone on from.
    """

    def __init__(self, checkpoints: Checkpoints, every: int | None, resume: bool):
        self.checkpoints, self.every, self.resume = checkpoints, every, resume
        self._facts: dict[str, Facts] = {}
        self._written = 0  # iterations in the newest checkpoint
        self._newest: dict[str, Any] | None = None
        self._clock, self._cost = time.perf_counter(), 0.0
        if checkpoints.steps() and not resume:
            raise CheckpointError(
                f"`checkpoint`: {checkpoints.folder} holds the checkpoints of a run already; go on with that by "
                "resume=True, or name another folder"
            )
        checkpoints.prepare()

    @classmethod
    def of(cls, options: LoopOptions, every: int | None = None) -> Self | None:
        """That of a loop's options; `None` where no checkpoints are asked for."""
        if options.checkpoint is None:
            return None
        return cls(Checkpoints(options.checkpoint, options.checkpoints_kept), every, options.resume)

    def begin(self, trainer: Driver, facts: Callable[[], Facts]) -> dict[str, Any] | None:
        """What was saved last of the run that `facts` describe; `None` where it begins anew.

        Raises:
            CheckpointError: It is another run's; the message says what differs.
        """
        self._facts = {"run": facts_of(trainer), "loop": facts(), "circumstances": circumstances(trainer)}
        saved, self._newest = self.newest(), None  # its tensors are as large as the state's own
        if saved is None:
            return None
        check_same(self.checkpoints.folder, saved["facts"], self._facts)
        self._written = saved["history"]["records"][-1]["iteration"]
        return saved

    def newest(self) -> dict[str, Any] | None:
        """What was saved last, of whatever run; `None` where there is nothing."""
        if self._newest is None:
            self._newest = self.checkpoints.newest()
        return self._newest

    def after(self, iteration: int, step: int, content: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint where one is due after so many iterations."""
        if self.every is not None:
            due = iteration // self.every > self._written // self.every
        else:
            due = self._written == 0 or (time.perf_counter() - self._clock) * SHARE > self._cost
        if due:
            self.write(iteration, step, content)

    def write(self, iteration: int, step: int, content: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint, unless this one is there."""
        if iteration == self._written:
            return
        start = time.perf_counter()
        self.checkpoints.write(step, {"facts": self._facts, **content()})
        self._written, self._clock = iteration, time.perf_counter()
        self._cost = self._clock - start
