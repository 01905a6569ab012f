"""What a run's folder holds before it starts: nothing of an older run, and what makes this one again."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from altmin.study.claim import FolderTakenError, locked, require_no_files
from altmin.study.model_source import ModelSource
from altmin.study.run_files import PART, Config, Owner, begin, clear
from altmin.study.saved_network import SOURCE


def prepare(
    folder: Path,
    command: str,
    config: Config,
    model: str | ModelSource = "",
    parts: Mapping[str, Config | None] | None = None,
    resume: bool = False,
) -> None:
    """Take an older run out of a claimed folder, and leave there what makes this one again.

    Args:
        folder: The folder.
        command: Whose it is from now on.
        config: The options that make the same run again.
        model: The network's; of a user's own file there is a copy from now on.
        parts: Of several runs: the folders within this one, each with the options of its run, or `None` where another
            call will prepare it.
        resume: Whether it is the run that is there which goes on, perhaps one that was killed while it prepared.

    Raises:
        ValueError: A folder of a part holds what must not be replaced, or a user's own ``model.py`` is in the way;
            nothing is removed then.
    """
    parts = parts or {}
    with ExitStack() as stack:
        _require_source(folder, model)
        for name in parts:
            _require_part(folder, name, stack, model)
        if not resume:
            clear(folder)
            begin(folder, command, config, model, tuple(parts))
        for name, own in parts.items():
            if own is not None and Owner.of(folder / name) is None:
                (folder / name).mkdir(parents=True, exist_ok=True)
                begin(folder / name, PART, own, model)


def _require_source(folder: Path, model: str | ModelSource) -> None:
    """A `ValueError` where the copy of a user's file would take the place of another file of the user's."""
    path, owner = folder / SOURCE, Owner.of(folder)
    if not isinstance(model, ModelSource) or not path.is_file() or (owner is not None and owner.copied):
        return
    if path.read_text(encoding="utf-8", errors="replace") != model.text:
        text = f"{SOURCE} there is not {model.path}, which is copied there; name another folder"
        raise ValueError(f"--out {folder}: {text}")


def _require_part(folder: Path, name: str, stack: ExitStack, model: str | ModelSource) -> None:
    """A `ValueError` where a part's folder holds something else than a part of the runs that are replaced."""
    part, ours = folder / name, Owner.of(folder)
    if not part.exists():
        return
    stack.enter_context(locked(part))
    _require_source(part, model)
    owner = Owner.of(part)
    if owner is None:
        require_no_files(part, PART)
    elif ours is None or name not in ours.parts or owner.command != PART:
        raise FolderTakenError(f"{part} holds a run of its own", "move it")
