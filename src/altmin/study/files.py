"""A user's own Python file: its code is run as a module, and what fails in it is said in one line."""

from __future__ import annotations

import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


def read_file(path: str | Path) -> str:
    """The text of a user's file.

    Raises:
        ValueError: No such file, or no text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the file {path} ({error})") from error


def run_file(path: str, text: str) -> ModuleType:
    """A new module that the code in `text` made; dataclasses look for themselves among the modules known.

    Args:
        path: Where it was read, for errors.
        text: The code.
    """
    module = ModuleType(f"altmin_user_{zlib.crc32(f'{path}{text}'.encode()):08x}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    return module


@contextmanager
def failures_named(path: str, name: str) -> Iterator[None]:
    """A context in which what fails in a user's code becomes a `ValueError` with the line of the file, in one line.

    Args:
        path: The file.
        name: What is asked of it, where no line of it failed.
    """
    try:
        yield
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        place = f"{path}, line {lines[-1]}" if lines else f"{path}:{name}"
        raise ValueError(f"{place}: {type(error).__name__}: {error}") from error
