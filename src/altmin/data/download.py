"""Downloads that resume, are checked and bounded, and never leave part of a file under its final name."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError

from altmin.data.archive import check, extract
from altmin.data.files import BROKEN_GZIP, DataSource, File, data_root, opened, stored
from altmin.data.parts import held
from altmin.data.transfer import TIMEOUT, DownloadProgress, complete, size
from altmin.errors import DataError

__all__ = ["DownloadProgress", "check", "obtain"]

MARGIN = 2**20  # bytes that packing may add, and an archive for its other members


def obtain(
    source: DataSource,
    data_dir: Path | str | None = None,
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT,
) -> dict[str, Path]:
    """The path of every file of a data set by its name, downloaded if it lies nowhere yet.

    Several processes may ask at once: one downloads, and the others wait for its file.

    Args:
        source: The data set's files.
        data_dir: The data folder; see `data_root`.
        progress: Called while a file arrives.
        timeout: The seconds that a mirror may stay silent.
    """
    root = data_root(data_dir)
    if paths := source.find(root):
        return paths
    folder = source.home(root)
    missing = [file for file in source.files if stored(folder, file.name) is None]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download(source, missing, folder, progress, timeout)
    except (DataError, OSError) as error:
        raise DataError(unavailable(source, missing, folder, error)) from error
    return {file.name: path for file in source.files if (path := stored(folder, file.name))}


def unavailable(source: DataSource, missing: list[File], folder: Path, error: Exception) -> str:
    """What to do about files that are neither on disk nor to be had."""
    names = ", ".join(file.name for file in missing)
    return (
        f"{source.name} is not on this machine and could not be downloaded:\n{error}\n"
        f"Without a network, put these files, plain or as .gz, into {folder}: {names}. "
        "If they lie elsewhere, name that folder by ALTMIN_DATA or --data-dir"
    )


def download(
    source: DataSource, files: list[File], folder: Path, progress: DownloadProgress | None, timeout: float
) -> None:
    """Download files of a data set into a folder."""
    if source.archive:
        most = sum(file.most for file in files) + MARGIN
        accept = partial(extract, files=files, folder=folder, most=most)
        return from_mirrors(source, source.archive, files, folder, accept, progress, timeout)
    for file in files:
        accept = partial(keep, file=file, folder=folder)
        from_mirrors(source, f"{file.name}.gz", [file], folder, accept, progress, timeout)


def from_mirrors(
    source: DataSource,
    name: str,
    files: list[File],
    folder: Path,
    accept: Callable[[Path], None],
    progress: DownloadProgress | None,
    timeout: float,
) -> None:
    """Fetch what holds `files` from the first mirror that has it whole, unless another process did meanwhile."""
    most, failures = sum(file.most for file in files) + MARGIN, []
    with held(folder / f"{name}.part") as part:
        if all(stored(folder, file.name) for file in files):
            return
        for mirror in source.mirrors:
            try:
                return fetch(mirror + name, part, folder / f"{name}.part", most, accept, progress, timeout)
            except (OSError, HTTPException, DataError) as error:
                failures.append(f"  {mirror}{name}: {error}")
                if isinstance(error, HTTPError):
                    error.close()
    raise DataError("\n".join(failures))


def fetch(
    url: str,
    part: BinaryIO,
    path: Path,
    most: int,
    accept: Callable[[Path], None],
    progress: DownloadProgress | None,
    timeout: float,
) -> None:
    """Complete the partial file `part` at `path` from `url` and have `accept` check it and move it into place.

    Bytes that an earlier call left in `part` are kept, unless the whole then proves wrong: they may be another
    mirror's.
    """
    resumed = size(part) > 0
    try:
        complete(url, part, path.stem, most, progress, timeout)
        os.fsync(part.fileno())
        accept(path)
    except DataError:
        part.truncate(0)
        if not resumed:
            raise
        fetch(url, part, path, most, accept, progress, timeout)


def keep(part: Path, file: File, folder: Path) -> None:
    """Move a checked file into place, packed as it came."""
    try:
        with opened(part, file.most) as stream:
            check(file, stream)
    except BROKEN_GZIP as error:
        raise DataError(f"{file.name}: broken gzip data ({error})") from error
    os.replace(part, folder / f"{file.name}.gz")
