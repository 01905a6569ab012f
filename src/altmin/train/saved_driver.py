"""A driver whose run can be saved and gone on with."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from altmin.core.batch import Batch
from altmin.errors import CheckpointError
from altmin.methods.base import Method
from altmin.train.checkpoint import Checkpoints
from altmin.train.driver import Driver
from altmin.train.identity import Facts, check_same, circumstances, facts_of, fingerprint
from altmin.train.options import TrainerOptions
from altmin.train.shards import uncut


class SavedDriver(Driver):
    """A method at work that can be saved at any step, and goes on from there to the bit; see `Driver`."""

    def __init__(self, model: nn.Sequential, method: str | Method, options: TrainerOptions):
        super().__init__(model, method, options)
        self._begun = False
        self._taken = 0  # samples, by steps of the user's own
        self._saved: dict[str, Any] | None = None  # what waits for samples
        self._expected: str | None = None  # the fingerprint of these samples
        self._fingerprint: str | None = None
        self._id = secrets.token_hex(8)  # tells its checkpoints from those of others
        self._folder: Path | None = None  # where they are

    def begin(self, samples: Batch, count: int | None = None) -> None:
        """Start the method, or go on where `load_state_dict` said before there were samples; see `Driver.begin`."""
        self._fingerprint = None
        if self._saved is not None:
            self._check_samples(samples)
        super().begin(samples, count)
        self._begun = True
        if self._saved is not None:
            self._restore(self._saved)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, as nested dicts of tensors, numbers and texts; tensors are not copied.

        Raises:
            RuntimeError: Before the first step.
        """
        if self._state is None:
            raise RuntimeError("there is nothing to save before the first step but the model's weights")
        if self._saved is not None:
            return uncut(self._saved)
        return {"state": self._state.state_dict(), "buffers": self._buffers(), "taken": self._taken}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; the model has the saved weights at once.

        Before the first step the method's own variables wait for its samples.

        Raises:
            ValueError: Another network's or method's state; the message names what does not fit.
        """
        state = self._attach()
        weights = _weights(saved)
        with self.active():
            present = state.state_dict()
            state.load_state_dict(present | uncut(weights, present))
            self._saved, self._expected = saved, None
            if self._begun:
                self._restore(saved)

    def save(self, folder: str | os.PathLike[str], kept: int = 2) -> None:
        """Write a checkpoint of `state_dict` into a folder of this trainer's, whole or not at all.

        Args:
            folder: Where its checkpoints are, named by the steps done; it is made where it does not exist.
            kept: How many of them stay.

        Raises:
            CheckpointError: The folder holds another run's checkpoints, or cannot be written to.
            OSError: The disk is full or fails; the checkpoints before are as they were.
            RuntimeError: Before the first step.
        """
        checkpoints, state = Checkpoints(folder, kept), self.state_dict()
        if self._folder != checkpoints.folder:
            self._take_over(checkpoints)
        checkpoints.write(self.state.k, {"id": self._id, "facts": self._facts(), "trainer": state})

    def load(self, folder: str | os.PathLike[str]) -> None:
        """Go on from the newest whole checkpoint in a folder that `save`, `fit` or `fit_stream` has written.

        As with `load_state_dict`, the model has the saved weights at once, and the method's own variables wait for its
        samples. A damaged checkpoint is named by a `CheckpointWarning`, and the one before it taken.

        Raises:
            CheckpointError: There is none, or it is that of another method, network, loss or precision; the message
                says what differs. Where variables of every sample are saved, the first step raises it for others.
        """
        saved = Checkpoints(folder).newest()
        if saved is None:
            raise CheckpointError(f"{folder} holds no checkpoint")
        check_same(Path(folder), saved["facts"], {"run": facts_of(self), "circumstances": circumstances(self)})
        expected = None if self.method.online else saved["facts"]["loop"]["data"]
        if self._begun and self.samples is not None:
            self._expected = expected
            self._check_samples(self.samples)
        self.load_state_dict(saved["trainer"])
        self._expected, self._id = expected, saved.get("id", self._id)

    def _take_over(self, checkpoints: Checkpoints) -> None:
        checkpoints.prepare()
        known = checkpoints.newest()
        if known is not None and known.get("id") != self._id:
            raise CheckpointError(
                f"{checkpoints.folder} holds the checkpoints of another run; load them first, or name another folder"
            )
        self._folder = checkpoints.folder

    def _facts(self) -> dict[str, Facts]:
        if self._fingerprint is None and not self.method.online:
            self._fingerprint = self._expected or fingerprint(self.samples)
        return {"run": facts_of(self), "loop": {"data": self._fingerprint}, "circumstances": circumstances(self)}

    def _check_samples(self, samples: Batch) -> None:
        if self._expected is not None and (found := fingerprint(samples)) != self._expected:
            raise CheckpointError(
                f"`data`: {type(self.method).__name__} keeps variables of every sample, which were those of "
                f"{self._expected}; these are {found}"
            )

    def _buffers(self) -> dict[str, Tensor]:
        """The model's buffers that are no variables of the state."""
        known = {t.data_ptr() for norm in self.state.norm if norm is not None for t in norm.tensors()}
        return {name: t for name, t in self.model.named_buffers() if t.data_ptr() not in known}

    def _restore(self, saved: dict[str, Any]) -> None:
        self._saved = None
        saved = uncut(saved, self.state_dict())
        self.state.load_state_dict(saved["state"])
        for name, t in self._buffers().items():
            t.copy_(saved["buffers"][name])
        self._taken, self._products = saved["taken"], None


def _weights(saved: Any) -> dict[str, Any]:
    """The network's part of what `SavedDriver.state_dict` gave."""
    if not isinstance(saved, dict) or saved.keys() != {"state", "buffers", "taken"}:
        found = sorted(map(str, saved)) if isinstance(saved, dict) else type(saved).__name__
        raise ValueError(f"this is not what `Trainer.state_dict` gave, which has state, buffers and taken: {found}")
    state, names = saved["state"], ("W", "b", "norm")
    if not isinstance(state, dict) or not state.keys() >= set(names):
        found = sorted(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise ValueError(f"`state`: expected the fields of an altmin.State, got {found}")
    return {name: state[name] for name in names}
