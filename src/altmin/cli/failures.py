"""What ends a command early: its exit code, and one line that says so."""

from __future__ import annotations

import errno
import traceback
from pathlib import Path

from altmin.errors import DivergenceError

DIVERGED, REFUSED, FAILED = 1, 2, 3
EXIT_CODES = """\
exit codes: 0 all was done, also where a reader closed its pipe early; 1 training diverged (train, tune); 2 something
does not fit, or an audit ended it; 3 something failed on the way: a full disk, too little memory, a method of a
comparison, a picture; 130, 143 and 129 after Ctrl-C, SIGTERM and SIGHUP. What was kept stands on standard error."""
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
ALLOCATOR = ("can't allocate memory", "not enough memory", "std::bad_alloc", "CUDA out of memory")


def disk_full(error: BaseException) -> bool:
    """Whether a disk, a quota or a limit of a file's size has no room left."""
    causes = (error, error.__cause__)
    return any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory could not be had, of the machine or of a GPU.

    PyTorch's CPU allocator raises a bare `RuntimeError`, which nothing but its text tells from others.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ALLOCATOR)


def reason(error: BaseException) -> str:
    """Why a command or a method failed, in a line."""
    if isinstance(error, DivergenceError):
        return str(error)
    if disk_full(error):
        return f"the disk is full ({error})"
    if out_of_memory(error):
        return f"out of memory ({_first_line(error) or type(error).__name__})"
    return f"{type(error).__name__}: {_first_line(error)} ({place(error)})"


def with_notes(text: str, error: BaseException) -> str:
    """`text`, and behind it what was noted at the error on its way, such as what was kept."""
    return "; ".join([text, *getattr(error, "__notes__", [])])


def place(error: BaseException) -> str:
    """The file and the line that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "nowhere"


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
