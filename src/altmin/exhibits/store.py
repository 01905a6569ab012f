"""The outcomes that a folder holds: a file for each training and seed, named by what decides it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from altmin.errors import DataError
from altmin.exhibits.outcomes import Outcome
from altmin.exhibits.setting import Setting
from altmin.files import read_json, write_json
from altmin.train.history import finite

LARGEST = 2**26  # bytes of an outcome
RUNS = "runs"


class Store:
    """Outcomes by setting and seed, on disk.

    Args:
        folder: Where they lie; it need not exist.
        tell: Called with a line about each file that cannot be used.
    """

    def __init__(self, folder: Path, tell: Callable[[str], object]) -> None:
        self.folder, self._tell = folder / RUNS, tell
        self._read: dict[Path, Outcome | None] = {}

    def get(self, setting: Setting, seed: int) -> Outcome | None:
        """The outcome; `None` where it is not there, or its file is damaged."""
        path = self._path(setting, seed)
        if path not in self._read:
            self._read[path] = self._load(path, setting, seed)
        return self._read[path]

    def put(self, setting: Setting, seed: int, outcome: Outcome) -> None:
        """Write an outcome; its file appears whole or not at all.

        Raises:
            OSError: It cannot be written.
        """
        path = self._path(setting, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, finite(asdict(outcome) | {"setting": setting.described()}))
        self._read[path] = outcome

    def _path(self, setting: Setting, seed: int) -> Path:
        return self.folder / f"{setting.digest(seed)}.json"

    def _load(self, path: Path, setting: Setting, seed: int) -> Outcome | None:
        if not path.is_file():
            return None
        try:
            return _outcome(dict(read_json(path, LARGEST)), setting, seed)
        except (DataError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._tell(f"{path} is damaged ({type(error).__name__}: {error}); its training is made again")
            return None


def _outcome(values: dict[str, Any], setting: Setting, seed: int) -> Outcome:
    """An outcome of this training as `put` wrote it, null for what is not finite."""
    if (values.pop("setting"), values["seed"]) != (finite(setting.described()), seed):
        raise ValueError("an outcome of another training")
    curves = {name: [math.nan if v is None else float(v) for v in curve] for name, curve in values["curves"].items()}
    if values["status"] not in ("ok", "diverged") or not isinstance(values["about"], dict):
        raise ValueError("not an outcome")
    return Outcome(**{**values, "curves": curves})
