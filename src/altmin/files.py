"""Files that are written whole or not at all, whatever ends the process meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` if that went well.

    The new file is on the disk before the old one is gone, and so is its name: a power cut leaves one or the other.
    Nothing is written through a link: one that stands at `path` is replaced, and what it leads to is left alone.

    Args:
        path: The file that is written or replaced; its folder exists.

    Raises:
        FileExistsError: Something at `path` that is no file, such as a folder or a device.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is there and is no file that could be replaced; name another one")
    part = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    mode = _create(part)
    try:
        yield part
        os.chmod(part, mode)  # a writer that puts a file of its own there may have made it for its owner alone
        _flush(part)
        os.replace(part, path)
        _flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder to write files into, which becomes `path` if that went well.

    The files are on the disk before the folder has its name. What a killed process has left of one is found, and may be
    removed, by `abandoned`.

    Args:
        path: A folder that does not exist; the one that it is to lie in does.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.mkdir()
        mode = _create(part / "mode")
        (part / "mode").unlink()
        yield part
        for file in part.iterdir():
            os.chmod(file, mode)
            _flush(file)
        _flush(part)
        os.rename(part, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def remove_folder(path: Path) -> None:
    """Remove a folder and its files; whatever ends the process meanwhile, no half of it keeps the name."""
    part = path.with_name(f".{path.name}.{os.getpid()}.old.part")
    os.rename(path, part)
    shutil.rmtree(part)


def abandoned(folder: Path) -> list[Path]:
    """The temporary files and folders in `folder` that its writers, where none is alive, have left behind."""
    return sorted(folder.glob(".*.part"))


def remove_abandoned(folder: Path) -> None:
    """Remove what `abandoned` finds."""
    for path in abandoned(folder):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors in main memory as safetensors, whole or not at all.

    Raises:
        OSError: A disk that is full or fails.
    """
    with replacing(path) as part, system_errors(path):
        save_file(tensors, part)


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """A context that raises what the system said of `path` as `OSError`, where safetensors put it into words."""
    try:
        yield
    except SafetensorError as error:
        found = re.search(r"\(os error (\d+)\)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1])), str(path)) from error


def write_text(path: Path, text: str) -> None:
    """Write `text`, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, whole or not at all.

    Raises:
        ValueError: nan or inf, for which JSON has no words.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path, most: int = 2**20) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.
        most: The most bytes that it may have, so that no file fills the memory.

    Raises:
        ValueError: A file that is larger, nested too deeply, or no JSON.
    """
    with path.open("rb") as file:
        text = file.read(most + 1)
    if len(text) > most:
        raise ValueError(f"{path}: more than {most:,} bytes, which no such file needs")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError(f"{path}: nested too deeply") from error


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _create(path: Path) -> int:
    """Make an empty file where nothing stands yet, not even a link to elsewhere, and give its mode."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        return stat.S_IMODE(os.fstat(descriptor).st_mode)
    finally:
        os.close(descriptor)


def _flush(path: Path) -> None:
    """Have a file's bytes, or a folder's names, on the disk; not every system can open folders."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        if path.is_dir():
            return
        raise
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
