"""A user's own Python file: its code is run as a module, and what fails in it is said in one line."""

from __future__ import annotations

import sys
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from altmin.registration import USER_MODULE

MOST = 2**20  # characters of a file; a larger one is refused, since nobody writes so much by hand


def read_file(path: str | Path) -> str:
    """The text of a user's file.

    Raises:
        ValueError: No such file, no text, or more than `MOST` characters of it.
    """
    if Path(path).exists() and not Path(path).is_file():
        raise ValueError(f"cannot read the file {path} (it is no file, but a folder or a device)")
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(MOST + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read the file {path} ({error})") from error
    if len(text) > MOST:
        raise ValueError(f"cannot read the file {path} (more than {MOST:,} characters, which no such file needs)")
    return text


def run_file(path: str, text: str) -> ModuleType:
    """A new module that the code in `text` made; dataclasses look for themselves among the modules known.

    Args:
        path: Where it was read, for errors.
        text: The code.
    """
    module = ModuleType(f"{USER_MODULE}{zlib.crc32(f'{path}{text}'.encode()):08x}")
    module.__file__ = path
    sys.modules[module.__name__] = module
    exec(compile(text, path, "exec", dont_inherit=True), vars(module))
    return module


def import_file(path: str) -> None:
    """Run a user's file for what it registers; other files then find it by its name, as after ``import``.

    Raises:
        ValueError: No such file, or code that fails.
    """
    text, name = read_file(path), Path(path).stem
    with users_code(path, name):
        module = run_file(path, text)
    known = sys.modules.get(name)
    if known is None or known.__name__.startswith(USER_MODULE):
        sys.modules[name] = module


@contextmanager
def users_code(path: str, name: str) -> Iterator[None]:
    """A context to run a user's code in: the files beside it can be imported, and failures say where, in one line.

    Args:
        path: The file.
        name: What is asked of it, where no line of it failed.

    Raises:
        ValueError: What failed, with the line of the file.
    """
    folder = str(Path(path).resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    except Exception as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
        place = f"{path}, line {lines[-1]}" if lines else f"{path}:{name}"
        raise ValueError(f"{place}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
