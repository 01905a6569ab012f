"""Dataclass fields that check themselves: one place for a number's meaning, its range and the paper's value."""

from __future__ import annotations

import importlib.util
import math
import operator
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from numbers import Integral, Real
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints


def number(
    default: Any,
    help: str,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    optional: bool = False,
    each: bool = False,
    paper: str | None = None,
) -> Any:
    """A dataclass field that knows what it means, what is allowed and what the paper has.

    Args:
        default: Its default.
        help: What it means, in a few words, for the command line.
        above: It must be greater than this.
        least: It must be at least this.
        most: It must be at most this.
        choices: It must be one of these.
        optional: It may be `None`.
        each: It may be a tuple of such numbers.
        paper: The paper's value, where it differs from the default or deserves a word.
    """
    metadata = {
        "help": help,
        "above": above,
        "least": least,
        "most": most,
        "choices": choices,
        "optional": optional,
        "each": each,
        "paper": paper,
    }
    return field(default=default, metadata=metadata)


def component(factory: Callable[[], Any], kind: type, example: str) -> Any:
    """A dataclass field that holds an object with numbers of its own.

    Args:
        factory: Makes its default.
        kind: What it must be an instance of.
        example: Such an object, as text for the error.
    """
    return field(default_factory=factory, metadata={"kind": kind, "example": example})


class Checked:
    """Mixin of dataclasses whose `number` and `component` fields are checked when an object is made."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            if "kind" in f.metadata and not isinstance(getattr(self, f.name), f.metadata["kind"]):
                wanted = f"a {f.metadata['kind'].__name__} such as {f.metadata['example']}"
                raise TypeError(f"`{f.name}` must be {wanted}, got {getattr(self, f.name)!r}")
            if "help" in f.metadata:
                check_number(f.name, getattr(self, f.name), f.default, **f.metadata)


def check_number(
    name: str,
    value: Any,
    default: Any = None,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] | None = None,
    optional: bool = False,
    each: bool = False,
    **_: object,
) -> None:
    """Raise `ValueError` or `TypeError` where a number is not what its field allows."""
    if each and isinstance(value, tuple) and value:
        for one in value:
            check_number(name, one, default, above=above, least=least, most=most)
        return
    if choices is not None:
        if value not in choices:
            raise ValueError(f"`{name}` must be one of {', '.join(map(repr, choices))}, got {value!r}")
        return
    if value is None and optional:
        return
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise TypeError(f"`{name}` must be True or False, got {value!r}")
        return
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"`{name}` must be a number, got {value!r}")
    if isinstance(default, int) and not isinstance(value, Integral):
        raise TypeError(f"`{name}` must be an integer, got {value!r}")
    bounds = [(above, operator.gt), (least, operator.ge), (most, operator.le)]
    if math.isnan(value) or any(bound is not None and not holds(value, bound) for bound, holds in bounds):
        raise ValueError(f"`{name}` must be {allowed_range(above, least, most) or 'a number'}, got {value}")


def require_packages(who: str, extra: str, *packages: str) -> None:
    """Refuse what needs packages that are not installed.

    Args:
        who: What needs them, as the user wrote it.
        extra: The extra of altmin that brings them.
        *packages: Their names.

    Raises:
        ModuleNotFoundError: The message says which are missing, and how they are installed.
    """
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(f"{who} needs {' and '.join(missing)}: pip install 'altmin[{extra}]'")


def allowed_range(
    above: float | None = None, least: float | None = None, most: float | None = None, **_: object
) -> str:
    """The bounds of a number in signs, such as ``"> 0 and <= 1"``; an empty text where there are none."""
    bounds = {">": above, ">=": least, "<=": most}
    return " and ".join(f"{sign} {bound:g}" for sign, bound in bounds.items() if bound is not None)


def check_types(owner: Any) -> None:
    """A `TypeError` that names the first field of a dataclass whose value is not of the annotated type."""
    hints = get_type_hints(type(owner))
    for f in fields(owner):
        check_type(f.name, getattr(owner, f.name), hints[f.name])


def check_type(name: str, value: Any, hint: Any) -> None:
    """A `TypeError` where the value of an argument `name` is not of the type that `hint` annotates."""
    if not of_type(value, hint):
        wanted = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
        raise TypeError(f"`{name}` must be of type {wanted}, got {reprlib.repr(value)}")


def of_type(value: Any, hint: Any) -> bool:
    """Whether a value is of an annotated type, contents included; True and False are no integers."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if hint is Any:
        return True
    if kind in (Union, UnionType):
        return any(of_type(value, one) for one in inner)
    if kind in (tuple, Sequence):
        return isinstance(value, kind) and not isinstance(value, str) and all(of_type(v, inner[0]) for v in value)
    if kind is dict:
        return isinstance(value, dict) and all(of_type(k, inner[0]) and of_type(v, inner[1]) for k, v in value.items())
    return isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
