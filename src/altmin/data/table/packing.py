"""Files as bytes, unpacked on the fly by what their first bytes say, within bounds."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from altmin.data.files import damaged
from altmin.errors import DataError

BROKEN = (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile)
ROOMY, LARGEST_RATIO = 2**26, 200  # bytes that any archive may hold, and how many times its own bytes beyond that
PIECE = 2**20


def _zip(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    names = [member.filename for member in archive.infolist() if not member.is_dir()]
    if "[Content_Types].xml" in names:
        raise DataError(f"{path}: an Excel workbook, not a table as text; save the sheet as CSV")
    if len(names) != 1:
        raise DataError(f"{path}: a zip archive of {len(names)} files, not of one table; unpack it and name the file")
    if archive.infolist()[0].flag_bits & 1:
        raise DataError(f"{path}: a zip archive with a password; unpack it and name the file")
    return archive.open(names[0])


def _zstandard(path: Path) -> Any:
    try:
        from compression import zstd  # pyright: ignore[reportMissingImports]

        return zstd.open(path)
    except ImportError:
        pass
    try:
        import zstandard  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        advice = "unpack it (zstd -d), or pip install zstandard"
        raise DataError(f"{path}: packed by Zstandard, which this Python cannot read; {advice}") from error
    return zstandard.open(path, "rb")


OPENERS: dict[bytes, tuple[str, Callable[[Path], Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.GzipFile),
    **{b"BZh%d1AY&" % level: ("bzip2", bz2.BZ2File) for level in range(1, 10)},
    b"\xfd7zXZ\x00": ("xz", lzma.LZMAFile),
    b"PK\x03\x04": ("zip", _zip),
    b"\x28\xb5\x2f\xfd": ("Zstandard", _zstandard),
}
FOREIGN = {
    b"PAR1\x15": "a Parquet file",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1\0": "an Arrow file",
    b"SQLite f": "an SQLite database",
    b"%PDF": "a PDF",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"Rar!": "a RAR archive",
}


@contextmanager
def unpacked(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, unpacked where its first bytes are those of a packed file, whatever its name says.

    Raises:
        DataError: A file of another kind than text, one that breaks off, or that unpacks to far more than its size.
    """
    with path.open("rb") as file:
        first = file.read(8)
    for mark, what in FOREIGN.items():
        if first.startswith(mark):
            raise DataError(f"{path}: {what}, not a table as text; write it as CSV first")
    kind, opener = next((found for mark, found in OPENERS.items() if first.startswith(mark)), ("", None))
    if opener is None:
        with path.open("rb") as file:
            yield file
        return
    try:
        with opener(path) as packed:
            yield io.BufferedReader(_Bounded(packed, path), PIECE)
    except BROKEN as error:
        raise damaged(path, f"{kind} data breaks off within its {path.stat().st_size:,} bytes") from error
    except OSError as error:  # bzip2 and CRCs have no error of their own
        raise damaged(path, f"damaged {kind} data ({error})") from error


class _Bounded(io.RawIOBase):
    """A stream that ends in an error where more comes out of an archive than any table would hold."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self.stream, self.path, self.read_so_far = stream, path, 0
        self.most = max(ROOMY, LARGEST_RATIO * path.stat().st_size)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self.stream.read(len(buffer))
        self.read_so_far += len(piece)
        if self.read_so_far > self.most:
            raise DataError(
                f"{self.path}: unpacks to more than {self.most:,} bytes; unpack it yourself if that is meant"
            )
        buffer[: len(piece)] = piece
        return len(piece)
