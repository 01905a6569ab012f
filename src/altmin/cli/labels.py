"""``LABEL=METHOD``: a method that takes part in a comparison more than once, each time with numbers of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from altmin.cli.methods import FILE, absolute, name_of
from altmin.cli.yaml_file import normal
from altmin.methods.registry import METHODS, Entry, entry

LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def named(texts: Sequence[str], files: dict[str, str]) -> list[str]:
    """The names in the registry of methods as users write them, labels among them.

    Args:
        texts: Each a name, ``FILE.py:CLASS``, or one of these behind ``LABEL=``. A name that does not exist stays.
        files: Learns how those methods are named that come from files, by their names or labels.

    Raises:
        ValueError: A label that stands there twice or cannot be one.
    """
    labels: dict[str, str] = {}
    return [_named(text, labels, files) for text in texts]


def method_name(text: str, files: dict[str, str]) -> str:
    """The name of a method in the registry where `text` is ``FILE.py:CLASS``; else `text`."""
    if not FILE.fullmatch(text):
        return text
    name = name_of(text)
    files[name] = absolute(text)
    return name


def spelled(name: str, files: Mapping[str, str]) -> str:
    """A method as a command line names it from any folder, without a label: by its name, or as ``FILE.py:CLASS``."""
    return files.get(name, METHODS[name].of or name)


def written(name: str, files: Mapping[str, str]) -> str:
    """The same with the label that it has: what `named` reads."""
    return f"{name}={spelled(name, files)}" if METHODS[name].of else spelled(name, files)


def _named(text: str, labels: dict[str, str], files: dict[str, str]) -> str:
    label, equals, method = text.partition("=")
    if not equals or (not LABEL.fullmatch(label) and FILE.fullmatch(text)):
        return method_name(text, files)
    if not LABEL.fullmatch(label):
        raise ValueError(f"{text}: a label begins with a letter, and has letters, digits, - and _ alone")
    taken = {_folder(name): name for name, e in METHODS.items() if not e.of}
    if (name := taken.get(_folder(label))) is not None:
        raise ValueError(f"{text}: {name} is itself a method; choose another label")
    if (before := labels.get(_folder(label))) is not None:
        raise ValueError(f"{text}: the label stands there already, in {before}; choose another")
    labels[_folder(label)] = text
    found = entry(method_name(method, files))
    METHODS[label] = replace(found, name=label, of=found.of or found.name)
    if found.name in files:
        files[label] = files[found.name]
    return label


def _folder(name: str) -> str:
    """What a name is where ``-`` and ``_``, or capitals, make no difference."""
    return normal(name).lower()


def require_free(labels: Sequence[Entry], taken: set[str]) -> None:
    """A `ValueError` where a label is what a command has another use for.

    Args:
        labels: The labels.
        taken: Its options, and the files and folders that it writes, with ``_`` in their names.
    """
    for e in labels:
        if normal(e.name) in taken:
            raise ValueError(f"{e.name}={e.of}: {e.name} is the name of an option or a folder; choose another label")


def labels() -> list[Entry]:
    """Those of the present command line."""
    return [e for e in METHODS.values() if e.of]


@contextmanager
def of_one_command() -> Iterator[None]:
    """A context behind which there are no labels."""
    try:
        yield
    finally:
        for e in labels():
            del METHODS[e.name]
