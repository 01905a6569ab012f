"""Checkpoints in a folder: each one appears whole or not at all, and says what it consists of."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from altmin.errors import CheckpointError, CheckpointWarning
from altmin.files import digest, new_folder, read_json, remove_abandoned, remove_folder, write_json
from altmin.train.encoding import Encoder, decode
from altmin.train.shards import read_shards, write_shards

FORMAT = 1
CONTENT = "checkpoint.json"
LARGEST = 2**30  # bytes of the JSON, where the history is; an iteration needs less than a thousand


class Checkpoints:
    """The checkpoints of one run: folders named by the steps that were done, of which the newest ones are kept.

    A checkpoint is a JSON file beside tensors in safetensors files; it has the SHA-256 of each of them and of itself.
    It is written under another name, brought to the disk, and renamed; older ones are removed after that.

    Args:
        folder: Where they are; it is made where it does not exist.
        kept: How many are kept.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(folder)
        ...     for step in (10, 20, 30):
        ...         checkpoints.write(step, {"w": torch.tensor(float(step))})
        ...     checkpoints.steps(), checkpoints.newest()
        ([20, 30], {'w': tensor(30.)})
    """

    def __init__(self, folder: str | os.PathLike[str], kept: int = 2):
        self.folder, self.kept = Path(folder), kept

    def prepare(self) -> None:
        """Make the folder, see that it can be written to, and remove what killed processes have left there.

        Raises:
            CheckpointError: It cannot.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            remove_abandoned(self.folder)
            write_json(self.folder / "writable", None)
            (self.folder / "writable").unlink()
        except OSError as error:
            raise CheckpointError(f"`checkpoint`: the folder {self.folder} cannot be written to ({error})") from error

    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, damaged ones included, in rising order."""
        found = self.folder.glob("step-*") if self.folder.is_dir() else ()
        return sorted(int(p.name[5:]) for p in found if p.name[5:].isdecimal() and self.path(int(p.name[5:])) == p)

    def path(self, step: int) -> Path:
        """The folder of a checkpoint."""
        return self.folder / f"step-{step:09}"

    def write(self, step: int, content: Any) -> None:
        """Write a checkpoint; when this returns it is on the disk, and older ones than are kept are gone.

        Args:
            step: The steps done.
            content: Nested dicts and lists of tensors, numbers and texts.

        Raises:
            OSError: The disk is full or fails; the checkpoints before are as they were.
            TypeError: Something that cannot be saved; the message says where it is.
        """
        encoder, path = Encoder(), self.path(step)
        encoded = encoder.encode(content, "run")
        with new_folder(path) as part:
            body = {"format": FORMAT, "files": write_shards(encoder.tensors, part), "content": encoded}
            write_json(part / CONTENT, {"sha256": _digest(body), **body})
            if path.exists():  # a damaged one, which was not gone on from
                remove_folder(path)
        self._prune(step)

    def newest(self) -> Any | None:
        """The content of the newest checkpoint that is whole; `None` where there is none at all.

        Warns:
            CheckpointWarning: A newer one is damaged; the message has the file and what is wrong with it.

        Raises:
            CheckpointError: All are damaged.
        """
        steps = self.steps()
        for i in reversed(range(len(steps))):
            try:
                return self.read(steps[i])
            except CheckpointError as error:
                if i == 0:
                    raise CheckpointError(
                        f"no checkpoint in {self.folder} is whole; of the oldest one: {error}. Remove the folder to "
                        "begin anew"
                    ) from error
                advice = f"the one before it, step {steps[i - 1]}, is used"
                warnings.warn(f"{error}; {advice}", CheckpointWarning, stacklevel=2)
        return None

    def read(self, step: int) -> Any:
        """The content of a checkpoint.

        Raises:
            CheckpointError: It is damaged; the message has the file and what is wrong with it.
        """
        folder = self.path(step)
        file = folder / CONTENT
        try:
            body = _checked(read_json(file, LARGEST))
            for name, expected in body["files"].items():
                file = folder / Path(name).name
                if digest(file) != expected:
                    raise CheckpointError("its bytes are not those that were written")
            return decode(body["content"], read_shards(folder, list(body["files"])))
        except (OSError, ValueError, TypeError, KeyError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(f"{file}: damaged ({error})") from error

    def _prune(self, step: int) -> None:
        """Remove all but the newest ones up to this step: what is further on was damaged, or is of a way not gone."""
        older = [s for s in self.steps() if s <= step]
        for other in set(self.steps()) - set(older[-self.kept :]):
            remove_folder(self.path(other))


def _checked(values: Any) -> dict[str, Any]:
    """What a checkpoint's JSON holds beside the digest of it."""
    if not isinstance(values, dict) or "sha256" not in values:
        raise CheckpointError("no checkpoint of altmin")
    body = {name: value for name, value in values.items() if name != "sha256"}
    if _digest(body) != values["sha256"]:
        raise CheckpointError("its text is not that which was written")
    if body["format"] != FORMAT:
        raise CheckpointError(f"format {body['format']}, this altmin reads format {FORMAT}")
    return body


def _digest(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, allow_nan=False).encode()).hexdigest()
