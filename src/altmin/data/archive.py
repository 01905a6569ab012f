"""Checked files out of a tar archive, of which nothing is unpacked but what is asked for."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from altmin.data.files import BROKEN_GZIP, File, opened
from altmin.data.parts import created
from altmin.errors import DataError

CHUNK = 1 << 18


def extract(part: Path, files: list[File], folder: Path, most: int) -> None:
    """Check the files that a tar.gz file holds, and only then move all of them into place.

    Args:
        part: The archive.
        files: What is wanted of it.
        folder: Where it goes.
        most: The unpacked bytes that the archive may have.
    """
    drafts = {file.name: folder / f"{file.name}.part" for file in files}
    try:
        with opened(part, most) as archive:
            _unpack(archive, {file.name: file for file in files}, drafts)
        for name, draft in drafts.items():
            os.replace(draft, folder / name)
        part.unlink()
    except (*BROKEN_GZIP, tarfile.TarError) as error:
        raise DataError(f"{part.stem}: broken archive ({error})") from error
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)


def _unpack(archive: BinaryIO, wanted: dict[str, File], drafts: dict[str, Path]) -> None:
    """Write the members of an archive that are wanted to their drafts, and check them."""
    found: set[str] = set()
    for member in _members(archive):
        name = PurePosixPath(member.name).name
        if name in wanted:
            _require_plain(member, name in found, wanted[name])
            found.add(name)
            _write(archive, member.size, wanted[name], drafts[name])
        _skip(archive, -member.size % tarfile.BLOCKSIZE if name in wanted else _padded(member.size))
    if absent := set(wanted) - found:
        raise DataError(f"the archive lacks {', '.join(sorted(absent))}")


def _members(archive: BinaryIO) -> Iterator[tarfile.TarInfo]:
    """The headers of an archive, to its end, where gzip's own checksum stands; who takes one reads what follows it.

    `tarfile` itself reads names and attributes of any size into memory.
    """
    while len(block := archive.read(tarfile.BLOCKSIZE)) == tarfile.BLOCKSIZE and block.strip(b"\0"):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        if member.size < 0:
            raise DataError(f"the archive's {member.name!r} has a negative size")
        yield member
    while archive.read(CHUNK):
        pass


def _require_plain(member: tarfile.TarInfo, again: bool, file: File) -> None:
    """A `DataError` where a wanted member is no file, lies outside the folder, comes twice or is too large."""
    path = PurePosixPath(member.name)
    if not member.isreg() or path.is_absolute() or ".." in path.parts or again:
        reason = "comes twice" if again else "is no plain file below the archive's folder"
        raise DataError(f"the archive's {member.name!r} {reason}")
    if member.size > file.most:
        raise DataError(f"{file.name}: expected {file.most:,} bytes, found {member.size:,}")


def _write(archive: BinaryIO, count: int, file: File, path: Path) -> None:
    """Write the next `count` bytes to a file and check them."""
    with created(path) as draft:
        while count and (chunk := archive.read(min(count, CHUNK))):
            draft.write(chunk)
            count -= len(chunk)
    if count:
        raise tarfile.ReadError("unexpected end of data")
    with path.open("rb") as draft:
        check(file, draft)


def _skip(archive: BinaryIO, count: int) -> None:
    while count and (chunk := archive.read(min(count, CHUNK))):
        count -= len(chunk)


def _padded(size: int) -> int:
    return size + -size % tarfile.BLOCKSIZE


def check(file: File, stream: BinaryIO) -> None:
    """A `DataError` where a stream's bytes are not those that the file should have."""
    digest, count = hashlib.md5(usedforsecurity=False), 0
    while count <= file.most and (chunk := stream.read(CHUNK)):
        digest.update(chunk)
        count += len(chunk)
    if count > file.most or file.size not in (None, count):
        raise DataError(f"{file.name}: expected {file.most:,} bytes, found {count:,}")
    if file.md5 is not None and digest.hexdigest() != file.md5:
        raise DataError(f"{file.name}: expected md5 {file.md5}, found {digest.hexdigest()}")
