"""A method's numbers, and the options of training, as options of the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, get_type_hints

from jsonargparse import Namespace

from altmin.checks import allowed_range
from altmin.cli.counts import Count
from altmin.cli.kinds import BY, kinds_of, of_kind
from altmin.cli.screen import wording
from altmin.train.option_field import described

T = TypeVar("T")
KIND = "what moves these weights, by numbers of its own; short without .by"


def add_method(parser: Any, method: object, prefix: str = "", hidden: bool = False) -> None:
    """An option for each number of `method`, nested ones dotted."""
    for name, kind, value, about in number_fields(method):
        help = argparse.SUPPRESS if hidden else about
        parser.add_argument(f"--{prefix}{name.replace('_', '-')}", type=kind, default=value, help=help)


def add_option(parser: Any, f: Field[Any]) -> None:
    """An option of training (`altmin.train.option_field.option`); None is spelled null in YAML."""
    name, flag, default = f"--{f.name.replace('_', '-')}", f.metadata["flag"], f.default
    help = described(f).replace("none:", "null:").replace("`", "").replace("%", "%%")
    if flag is bool:
        parser.add_argument(name, action="store_true", help=help)
        return
    kind = {int | None: Count | None, int: Count}.get(flag, flag)
    default = "none" if flag is str and default is None else default
    parser.add_argument(name, type=kind, default=default, help=help)


def number_fields(method: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """The dotted name, type, value and meaning of each number."""
    kinds = get_type_hints(type(method))
    for f in fields(method):
        name, value = f.name, getattr(method, f.name)
        if is_dataclass(value):
            if known := kinds_of(method, f):
                yield f"{name}.{BY}", Literal[tuple(known)], type(value).__name__, KIND
            yield from ((f"{name}.{inner}", *rest) for inner, *rest in number_fields(value))  # type: ignore[misc]
        elif "help" in f.metadata:
            choices = f.metadata["choices"]
            yield name, Literal[choices] if choices else kinds[f.name], value, _meaning(f.metadata)


def _meaning(metadata: Any) -> str:
    """The help of a number, what is allowed, and the paper's value where it has one. None is spelled null in YAML."""
    allowed = f"; {wanted}" if (wanted := allowed_range(**metadata)) else ""
    paper = f"; paper: {metadata['paper']}" if metadata["paper"] else ""
    return (metadata["help"].replace("none:", "null:") + allowed + paper).replace("%", "%%")


def configured(method: T, options: Namespace, prefix: str = "") -> T:
    """`method` with the numbers of `options`, checked.

    Args:
        method: What they are numbers of.
        options: By name.
        prefix: What stands before a name among the options of the command, as in ``rule.lr`` or ``dladmm.rho``.

    Raises:
        ValueError: A number outside its range, by its whole name.
        TypeError: A value of another kind.
    """
    changes = {}
    for f in fields(method):  # type: ignore[arg-type]
        value, given = getattr(method, f.name), options.get(f.name)
        if is_dataclass(value):
            value = of_kind(method, given.get(BY), f)
            changes[f.name] = configured(value, given, f"{prefix}{f.name}.")
        elif "help" in f.metadata:
            changes[f.name] = given
    try:
        with wording(partial(prefixed, method=method, prefix=prefix)):
            return replace(method, **changes)  # type: ignore[type-var]
    except (TypeError, ValueError) as error:
        raise type(error)(prefixed(error, method, prefix)) from error


def prefixed(text: object, method: object, prefix: str) -> str:
    """A text in which the numbers of `method` have the names of their options, with what stands before these."""
    names = "|".join(f.name for f in fields(method))  # type: ignore[arg-type]
    return re.sub(rf"`({names})\b", rf"`{prefix}\1", str(text)) if names else str(text)
