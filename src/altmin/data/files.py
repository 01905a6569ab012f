"""Where data sets lie on disk, and how their files are opened."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from altmin.errors import DataError

BROKEN_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
UNKNOWN = 2**30  # bytes that a file may have where nobody said how many it has


@dataclass(frozen=True)
class File:
    """One file of a data set, and what is known of its unpacked bytes.

    Attributes:
        name: Its name without ``.gz``.
        md5: The checksum of its unpacked bytes, where it is known.
        size: The number of its unpacked bytes, where it is known.
    """

    name: str
    md5: str | None = None
    size: int | None = None

    @property
    def most(self) -> int:
        """The unpacked bytes that it may have at most."""
        return UNKNOWN if self.size is None else self.size


@dataclass(frozen=True)
class DataSource:
    """The files of a data set, where they may lie, and where they can be downloaded.

    Attributes:
        name: The data set's name.
        files: Its files.
        folders: The folders they may lie in, below the data folder; downloads go to the first.
        mirrors: Addresses that end in ``/``, tried in turn.
        archive: The tar file that holds all files at a mirror; `None` where each lies there by itself, gzipped.
    """

    name: str
    files: tuple[File, ...]
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    archive: str | None = None

    def home(self, root: Path) -> Path:
        """The folder that downloads go to."""
        return candidates(root, self.folders[0])[0]

    def find(self, root: Path) -> dict[str, Path] | None:
        """The path of every file by its name, from the first folder that holds them all."""
        for folder in (place for below in self.folders for place in candidates(root, below)):
            paths = {file.name: path for file in self.files if (path := stored(folder, file.name))}
            if len(paths) == len(self.files):
                return paths
        return None


def data_root(data_dir: Path | str | None = None) -> Path:
    """The data folder: the argument, else ``ALTMIN_DATA``, else ``~/.cache/altmin``."""
    return Path(data_dir or os.environ.get("ALTMIN_DATA") or "~/.cache/altmin").expanduser().absolute()


def candidates(root: Path, below: str) -> list[Path]:
    """The places that ``root/below`` may mean: a root that is itself the folder, or its parent, comes first."""
    parts = Path(below).parts
    overlaps = [k for k in range(len(parts), 0, -1) if root.parts[-k:] == parts[:k]]
    return [root.joinpath(*parts[k:]) for k in (*overlaps, 0)]


def stored(folder: Path, name: str) -> Path | None:
    """The path of a file that lies in a folder plain or gzipped, under its name or that in lower case."""
    names = (name, f"{name}.gz", name.lower(), f"{name.lower()}.gz")
    return next((path for each in names if (path := folder / each).is_file()), None)


def opened(path: Path, most: int | None = None, line: int | None = None) -> BinaryIO:
    """A file open for reading, unpacked on the fly where its first bytes are gzip's, whatever its name says.

    Args:
        path: The file.
        most: The unpacked bytes that it may have; reading one more is a `DataError`. `None` for any number.
        line: The bytes that a line may have, in the same way.
    """
    stream = _unpacked(path)
    return stream if most is line is None else io.BufferedReader(_Bounded(stream, path, most, line))


def _unpacked(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where it has more bytes than it may have."""

    def __init__(self, stream: BinaryIO, path: Path, most: int | None, line: int | None) -> None:
        self._stream, self._path, self._most, self._line = stream, path, most, line
        self._count = self._since = 0  # bytes so far, and of them behind the last end of a line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._stream.read1(len(buffer))  # pyright: ignore[reportAttributeAccessIssue]
        self._count += len(piece)
        if self._most is not None and self._count > self._most:
            raise damaged(self._path, f"more than the {self._most:,} unpacked bytes that it may have")
        if self._line is not None and self._longest(piece) > self._line:
            raise damaged(self._path, f"a line of more than {self._line:,} bytes")
        buffer[: len(piece)] = piece
        return len(piece)

    def _longest(self, piece: bytes) -> int:
        """The bytes of the longest line that passes through a piece, as far as it is known."""
        first, *rest = piece.split(b"\n")
        lengths = [self._since + len(first), *map(len, rest)]
        self._since = lengths[-1]
        return max(lengths)

    def close(self) -> None:
        self._stream.close()
        super().close()


def unpack(path: Path, most: int) -> tuple[bytes, bool]:
    """The first `most` + 1 unpacked bytes of a file, and whether they are whole: False where gzip breaks off.

    So many show that it has more than `most`, and nothing is unpacked only to be thrown away.
    """
    pieces, left = [], most + 1
    with opened(path) as file:
        try:
            while left and (piece := file.read1(min(left, 1 << 20))):  # pyright: ignore[reportAttributeAccessIssue]
                pieces.append(piece)
                left -= len(piece)
        except BROKEN_GZIP:
            return b"".join(pieces), False
    return b"".join(pieces), True


def damaged(path: Path, reason: str) -> DataError:
    """The error about a file whose bytes are not what they should be."""
    return DataError(
        f"{path}: {reason}. Replace it by a whole copy, or delete it: data sets with a public home are downloaded again"
    )
