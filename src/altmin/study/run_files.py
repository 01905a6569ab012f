"""The files of a run: what each command writes into its folder, how a folder says whose it is, and what is removed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import altmin
from altmin.files import abandoned, remove_abandoned, remove_folder, write_text
from altmin.study.description import DESCRIPTION
from altmin.study.model_source import ModelSource
from altmin.study.saved_network import ENCODER, SOURCE, WEIGHTS
from altmin.train.checkpoint import Checkpoints

CONFIG, CHECKPOINTS = "config.yaml", "checkpoints"
RESULTS, CURVES, SUMMARY = "results.json", "curves.csv", "summary.csv"
BEST, TRIALS, JOURNAL = "best.yaml", "trials.csv", "journal.log"
PICTURES = {"train": "train.png", "compare": "compare.png"}
NETWORK = (DESCRIPTION, WEIGHTS, ENCODER)
PART = "part"
START = ".start-"  # of the name of a folder in which a run tries what it will write
WRITTEN: dict[str, tuple[str, ...]] = {
    "train": (RESULTS, CURVES, SUMMARY, PICTURES["train"], *NETWORK, CONFIG),
    "compare": (RESULTS, CURVES, SUMMARY, PICTURES["compare"], CONFIG),
    "bench": ("bench.json", "bench.png", CONFIG),
    "tune": (BEST, TRIALS, JOURNAL, CONFIG),
    PART: (*NETWORK, CONFIG),
}
"""The files of a command, and of a folder of one of several runs, in the order in which they are removed: without the
first one a run is not finished, and the last one says whose the others are."""
Config = dict[str, Any]
MARK = re.compile(rf"# altmin \S+ ({'|'.join(WRITTEN)})\n")
BELOW = re.compile(r"(?!\.\.?(/|$))[^/\\]+(/seed-\d+)?")  # a run's folder within that of the whole
FOLDERS, COPY = "# folders: ", f"# {SOURCE} is a copy of "


@dataclass(frozen=True)
class Owner:
    """The run that a folder holds, as its ``config.yaml`` says.

    Attributes:
        command: The command that wrote it, or ``part`` where it is one of several runs.
        parts: The folders of its runs where it has several, such as ``adam`` or ``adam/seed-0``.
        source: The user's file of which ``model.py`` is a copy; empty where it is none.
    """

    command: str
    parts: tuple[str, ...] = ()
    source: str = ""

    @property
    def copied(self) -> bool:
        """Whether ``model.py`` is a copy, and not a file of the user's own."""
        return bool(self.source)

    @classmethod
    def of(cls, folder: Path) -> Owner | None:
        """Whose `folder` is; `None` where it is nobody's, or a ``config.yaml`` is the user's own."""
        path = folder / CONFIG
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        found = MARK.match(text)
        if found is None:
            return None
        said = {key: re.search(rf"^{re.escape(key)}(.*)$", text, flags=re.MULTILINE) for key in (FOLDERS, COPY)}
        folders, source = ("" if match is None else match[1] for match in said.values())
        return cls(found[1], tuple(name for name in folders.split() if BELOW.fullmatch(name)), source)


def source_of(path: str, function: str) -> ModelSource:
    """A user's network; where it is the copy in a run's folder, it says of which file.

    Raises:
        ValueError: No such file, or no text.
    """
    source, owner = ModelSource.read(path, function), Owner.of(Path(path).parent)
    return replace(source, copy_of=owner.source) if owner is not None and Path(path).name == SOURCE else source


def whole_of(part: Path) -> tuple[Path, str]:
    """The folder that the run in `part` is one of several in, and the command that wrote it."""
    around = [(path, Owner.of(path)) for path in part.absolute().parents[:2]]
    path, owner = next(((p, o) for p, o in around if o is not None and o.parts), (around[0][0], None))
    return path, "compare" if owner is None else owner.command


def begin(folder: Path, command: str, config: Config, model: str | ModelSource, parts: Sequence[str] = ()) -> None:
    """Write the options, and before them the copy of a user's file that they name."""
    header = [f"# altmin {altmin.__version__} {command}"]
    if parts:
        header.append(f"{FOLDERS}{' '.join(parts)}")
    if isinstance(model, ModelSource):
        path = Path(model.path).resolve()
        if path != (folder / SOURCE).resolve() or not path.is_file():
            write_text(folder / SOURCE, model.text)
            header.append(f"{COPY}{model.copy_of or path}")
    write_text(folder / CONFIG, "\n".join([*header, text_of(folder, config, model)]))


def text_of(folder: Path, config: Config, model: str | ModelSource) -> str:
    """Options as YAML; of a user's own network they name the copy in `folder`."""
    if isinstance(model, ModelSource):
        config = {**config, "model": f"{(folder / SOURCE).resolve()}:{model.function}"}
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


def clear(folder: Path) -> None:
    """Remove what a run has written into `folder`, and nothing else; its ``config.yaml`` last."""
    owner = Owner.of(folder)
    if owner is None:
        return
    first, *others = WRITTEN[owner.command]
    (folder / first).unlink(missing_ok=True)
    for name in owner.parts:
        if (part := Owner.of(folder / name)) is not None and part.command == PART:
            clear(folder / name)
            with suppress(OSError):  # files of the user's own are there
                for path in (folder / name, *(folder / name).parents[: name.count("/")]):
                    path.rmdir()
    remove_checkpoints(folder)
    for name in [*([SOURCE] if owner.copied else []), *others]:
        (folder / name).unlink(missing_ok=True)


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a run; files of the user's own stay."""
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    for step in checkpoints.steps():
        remove_folder(checkpoints.path(step))
    remove_abandoned(checkpoints.folder)
    with suppress(OSError):  # it is not there, or not empty
        checkpoints.folder.rmdir()


def sweep_up(folder: Path) -> None:
    """Remove what a killed process has left half written; nobody else writes here."""
    names, owner = {SOURCE, *(name for names in WRITTEN.values() for name in names)}, Owner.of(folder)
    for place in [folder, *(folder / name for name in (owner.parts if owner else ()))]:
        for path in abandoned(place):
            if re.sub(r"^\.(.+?)\.\d+(\.[0-9a-f]+)?\.part$", r"\1", path.name) in names:
                path.unlink(missing_ok=True)
        for path in place.glob(f"{START}*"):
            shutil.rmtree(path)
