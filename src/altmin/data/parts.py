"""The file that a download arrives in, which one process at a time writes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from altmin.errors import DataError

try:
    import fcntl
except ImportError:  # Windows refuses a second writer by itself
    fcntl = None


@contextmanager
def held(path: Path) -> Iterator[BinaryIO]:
    """A partial file, open to read and write without a buffer, and held until the end of the context.

    Another process that holds it is waited for; one that died holds nothing. What it left is still there. A file that
    is empty in the end, and still has its name, is removed.

    Args:
        path: The file, made where there is none.

    Raises:
        DataError: A link, or something that is no file: a download is not written through it.
    """
    while True:
        with _opened(path) as file:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(path, file):  # whoever held it gave it its final name, or removed it
                continue
            try:
                yield file
            finally:
                if _is_at(path, file) and os.fstat(file.fileno()).st_size == 0:
                    path.unlink()
            return


def created(path: Path) -> BinaryIO:
    """A new file open for writing, in place of what a process that died left there; no link is followed."""
    path.unlink(missing_ok=True)
    return path.open("xb")


def _opened(path: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DataError(f"{path} is a link, through which no download is written; delete it") from error
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise DataError(f"{path} is no file of its own, and no download is written there; delete it")
    return os.fdopen(descriptor, "r+b", buffering=0)


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether `path` is still this file's name."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
