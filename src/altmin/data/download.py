"""Downloads that resume, are checked, and never leave part of a file under its final name."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from gzip import GzipFile
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from altmin.data.files import BROKEN_GZIP, DataSource, File, data_root, opened, stored
from altmin.errors import DataError

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are there, and how many it has in all where that is known."""

CHUNK = 1 << 18
TIMEOUT = 30.0


def obtain(
    source: DataSource,
    data_dir: Path | str | None = None,
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT,
) -> dict[str, Path]:
    """The path of every file of a data set by its name, downloaded if it lies nowhere yet.

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
        from_mirrors(source, source.archive, folder, lambda part: extract(part, files, folder), progress, timeout)
        return
    for file in files:
        name = f"{file.name}.gz"
        from_mirrors(source, name, folder, lambda part, file=file: keep(part, file, folder), progress, timeout)


def from_mirrors(
    source: DataSource,
    name: str,
    folder: Path,
    accept: Callable[[Path], None],
    progress: DownloadProgress | None,
    timeout: float,
) -> None:
    """Fetch one file from the first mirror that has it whole."""
    failures = []
    for mirror in source.mirrors:
        try:
            return fetch(mirror + name, folder / f"{name}.part", accept, progress, timeout)
        except (OSError, HTTPException, DataError) as error:
            failures.append(f"  {mirror}{name}: {error}")
            if isinstance(error, HTTPError):
                error.close()
    raise DataError("\n".join(failures))


def fetch(
    url: str,
    part: Path,
    accept: Callable[[Path], None],
    progress: DownloadProgress | None = None,
    timeout: float = TIMEOUT,
) -> None:
    """Complete the partial file `part` from `url` and hand it to `accept`, which checks it and moves it into place.

    Bytes that an earlier call left in `part` are kept, unless the whole then proves wrong: they may be another
    mirror's.
    """
    resumed = size(part) > 0
    complete(url, part, progress, timeout)
    try:
        accept(part)
    except DataError:
        part.unlink(missing_ok=True)
        if not resumed:
            raise
        fetch(url, part, accept, progress, timeout)


def complete(url: str, part: Path, progress: DownloadProgress | None, timeout: float) -> None:
    """Transfer until `part` is complete; a transfer that breaks off is taken up again as long as it gains bytes."""
    while True:
        before = size(part)
        try:
            return transfer(url, part, progress, timeout)
        except (OSError, HTTPException):
            if size(part) <= before:
                raise


def transfer(url: str, part: Path, progress: DownloadProgress | None, timeout: float) -> None:
    """Append to `part` what it lacks of `url`, or write it anew if the server cannot resume."""
    start = size(part)
    headers = {"User-Agent": "altmin", "Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        reply = urlopen(Request(url, headers=headers), timeout=timeout)
    except HTTPError as error:
        if error.code == 416 and start:  # nothing lies beyond `start`: whether the bytes are right is for the check
            return error.close()
        raise
    with reply:
        if reply.status != 206:
            start = 0
        elif not reply.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            raise ConnectionError("the server sent another range than was asked for")
        length = reply.headers.get("Content-Length")
        receive(reply, part, start, None if length is None else start + int(length), progress)


def receive(reply: BinaryIO, part: Path, start: int, total: int | None, progress: DownloadProgress | None) -> None:
    """Write a reply to `part` from byte `start` on."""
    with part.open("ab" if start else "wb") as file:
        while chunk := reply.read(CHUNK):
            file.write(chunk)
            start += len(chunk)
            if progress:
                progress(part.stem, start, total)
    if total is not None and start != total:
        raise ConnectionError(f"the transfer broke off at {start:,} of {total:,} bytes")


def keep(part: Path, file: File, folder: Path) -> None:
    """Move a checked file into place, packed as it came."""
    try:
        with opened(part) as stream:
            check(file, stream)
    except BROKEN_GZIP as error:
        raise DataError(f"{file.name}: broken gzip data ({error})") from error
    os.replace(part, folder / f"{file.name}.gz")


def extract(part: Path, files: list[File], folder: Path) -> None:
    """Check the files that a tar.gz file holds, and only then move all of them into place."""
    drafts = {file.name: folder / f"{file.name}.part" for file in files}
    try:
        with GzipFile(part) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
            found = {Path(member.name).name for member in archive if unpack_member(archive, member, files, drafts)}
            while packed.read(CHUNK):  # to the end, where gzip's own checksum stands
                pass
        if absent := set(drafts) - found:
            raise DataError(f"the archive lacks {', '.join(sorted(absent))}")
        for name, draft in drafts.items():
            os.replace(draft, folder / name)
        part.unlink()
    except (*BROKEN_GZIP, tarfile.TarError) as error:
        raise DataError(f"{part.stem}: broken archive ({error})") from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def unpack_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, files: list[File], drafts: dict[str, Path]
) -> bool:
    """Write one member of an archive to its draft and check it; False for one that is not wanted."""
    file = next((file for file in files if file.name == Path(member.name).name), None)
    stream = archive.extractfile(member) if file else None
    if file is None or stream is None:
        return False
    with drafts[file.name].open("wb") as draft:
        while chunk := stream.read(CHUNK):
            draft.write(chunk)
    with drafts[file.name].open("rb") as draft:
        check(file, draft)
    return True


def check(file: File, stream: BinaryIO) -> None:
    """A `DataError` where a stream's bytes are not those that the file should have."""
    digest, count = hashlib.md5(usedforsecurity=False), 0
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        count += len(chunk)
    if file.size is not None and count != file.size:
        raise DataError(f"{file.name}: expected {file.size:,} bytes, found {count:,}")
    if file.md5 is not None and digest.hexdigest() != file.md5:
        raise DataError(f"{file.name}: expected md5 {file.md5}, found {digest.hexdigest()}")


def size(path: Path) -> int:
    """A file's number of bytes; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0
