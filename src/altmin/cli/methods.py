"""The methods that a command line names: those of the registry, of other packages, and of a user's own file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path

from altmin.methods import Method
from altmin.methods.registry import METHODS, entry, load_plugins, register_method
from altmin.study.files import read_file, run_file, users_code

FILE = re.compile(r"(?P<path>.+\.py)(?::(?P<name>\w*))?")


def load_all() -> None:
    """Load the methods of other packages.

    Raises:
        ValueError: A package whose methods cannot be loaded.
    """
    try:
        load_plugins()
    except Exception as error:
        text = f"a package's methods (entry points altmin.methods) cannot be loaded: {type(error).__name__}: {error}"
        raise ValueError(text) from error


def name_of(text: str) -> str:
    """The name in the registry of a method that is named so, or as ``FILE.py:CLASS``.

    Raises:
        ValueError: An unknown name; a file that does not run, or has no such class.
        TypeError: Something in a file that is no method.
    """
    found = FILE.fullmatch(text)
    return entry(text).name if found is None else _from_file(found["path"], found["name"] or "")


def numbers_of(method: str | None) -> list[str]:
    """The names of a method's numbers: `train` has no option of training by such a name, which is the method's own."""
    return [] if method is None else [f.name for f in fields(METHODS[method].method)]  # type: ignore[arg-type]


def leading(argv: Sequence[str]) -> Sequence[str]:
    """What a command line says before its first option."""
    count = next((i for i, text in enumerate(argv) if text.startswith("-")), len(argv))
    return argv[:count]


def absolute(text: str) -> str:
    """``FILE.py:CLASS`` as it is understood in any folder."""
    path, _, name = text.rpartition(":")
    return f"{Path(path).resolve()}:{name}"


def _from_file(path: str, name: str) -> str:
    """Run a user's file and register its class `name`, where the file does not do so itself."""
    text = read_file(path)
    with users_code(path, name):
        module = run_file(path, text)
    classes = {n: c for n, c in vars(module).items() if isinstance(c, type) and issubclass(c, Method)}
    own = ", ".join(n for n, c in classes.items() if not c.__module__.startswith("altmin.")) or "none"
    if not name:
        raise ValueError(f"{path} needs the name of a class behind it, {path}:CLASS; its methods: {own}")
    cls = classes.get(name)
    if cls is None:
        raise TypeError(f"{path} has no method {name!r}, deriving from altmin.Method; its methods: {own}")
    _check_numbers(cls, path)
    registered = [e.name for e in METHODS.values() if type(e.method) is cls]
    if registered:
        return registered[0]
    with users_code(path, name):
        register_method(name, cls(), title=(cls.__doc__ or name).strip().splitlines()[0], paper=path)
    return name


def _check_numbers(cls: type[Method], path: str) -> None:
    """Refuse a class whose fields are not made by `number`, since no option can be made of them."""
    for f in fields(cls):
        if "help" not in f.metadata and not is_dataclass(f.default):
            raise TypeError(f"{path}:{cls.__name__}: the field `{f.name}` must be an altmin.checks.number")
