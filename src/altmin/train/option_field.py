"""One option of training: a dataclass field with its meaning, its default and its check; and the checks that recur."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields
from numbers import Integral
from typing import Any

Check = Callable[[str, Any], object]
Note = str | Callable[[], str]


def option(help: str, *, default: Any = MISSING, check: Check | None = None, flag: Any = None, note: Note = "") -> Any:
    """A dataclass field that is an option of training.

    Args:
        help: What it means, in words that suit a docstring and a command line.
        default: What stands for it where it is not named; without one it must be named.
        check: Called with its name and value; raises where the value is not allowed.
        flag: Its type on the command line, ``int | None`` for positive integers; `None` keeps it off.
        note: What else is to be said where a default is replaced (`restated`), or a function that says it.
    """
    return field(default=default, kw_only=True, metadata={"help": help, "check": check, "flag": flag, "note": note})


def restated(owner: type, name: str, default: Any, note: Note = "") -> Any:
    """The option `name` of `owner` with another default."""
    (same,) = (f for f in fields(owner) if f.name == name)
    return option(**{**same.metadata, "default": default, "note": note})


def described(f: Field[Any]) -> str:
    """The meaning of an option in a sentence."""
    note = f.metadata["note"]
    words = [f.metadata["help"], note() if callable(note) else note]
    return "; ".join(word for word in words if word)


def check_positive(name: str, value: object) -> None:
    """Raise `ValueError` where an argument is no positive integer."""
    if not _is_positive(value):
        raise ValueError(f"`{name}` must be a positive integer, got {value!r}")


def check_positive_or_none(name: str, value: object) -> None:
    """Raise `ValueError` where an argument is neither a positive integer nor `None`."""
    if value is not None and not _is_positive(value):
        raise ValueError(f"`{name}` must be a positive integer or None, got {value!r}")


def _is_positive(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and not value < 1


def check_bool(name: str, value: object) -> None:
    """Raise `TypeError` where an argument is neither `True` nor `False`."""
    if not isinstance(value, bool):
        raise TypeError(f"`{name}` must be True or False, got {value!r}")
