"""Which of several kinds a part of a method is, such as the rule of the last layer: ``--last SGD``."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any, TypeVar, get_args, get_type_hints

from altmin.cli.yaml_file import YamlEntry, normal

T = TypeVar("T")
BY = "by"  # what the kind of a part is called among its numbers


def kinds_of(method: object, f: Field[Any]) -> dict[str, type]:
    """The classes that a part of a method may be of, by name; none where it is but one.

    Their fields are options, or say that they are for Python alone.
    """
    hint = get_type_hints(type(method))[f.name]
    found = {kind.__name__: kind for kind in get_args(hint) or [hint] if _optional(kind)}
    return found if len(found) > 1 else {}


def of_kind(method: object, name: str | None, f: Field[Any]) -> Any:
    """A method's part, or that of the named kind with its own defaults where it is of another."""
    value = getattr(method, f.name)
    kind = kinds_of(method, f).get(name or "")
    return value if kind is None or type(value) is kind else kind()


def with_kinds(method: T, chosen: Mapping[str, str], prefix: str = "") -> T:
    """A method with its parts of the kinds that were chosen.

    Args:
        method: Its parts are of the registered kinds.
        chosen: The names of kinds by those of options, such as ``last`` or ``am_adam.last``.
        prefix: What stands before the names of the method's options.
    """
    parts = [f for f in fields(method) if is_dataclass(getattr(method, f.name))]  # type: ignore[arg-type]
    return replace(method, **{f.name: of_kind(method, chosen.get(normal(prefix + f.name)), f) for f in parts})  # type: ignore[type-var]


def chosen_kinds(argv: Sequence[str], entries: Mapping[str, YamlEntry]) -> dict[str, str]:
    """What a command line, or else YAML, may say of kinds: the texts by the names of options, unchecked."""
    yaml = {name: e.value for name, e in entries.items() if isinstance(e.value, str)}
    return {_part(name): value for name, value in [*yaml.items(), *_given(argv)]}


def by_name(argv: Sequence[str], entries: dict[str, YamlEntry], options: Container[str]) -> list[str]:
    """Have ``--last SGD`` mean ``--last.by SGD``, and so in YAML, where there is that option.

    Args:
        argv: A command line, which is given back.
        entries: What YAML says; changed in place.
        options: The names of all options.
    """
    for name in [name for name, e in entries.items() if e.value and f"{name}.{BY}" in options]:
        entries[f"{name}.{BY}"] = entries.pop(name)
    return [_whole(text, options) for text in argv]


def _whole(text: str, options: Container[str]) -> str:
    name, equals, value = text.partition("=")
    short = name.startswith("--") and f"{normal(name.removeprefix('--'))}.{BY}" in options
    return f"{name}.{BY}{equals}{value}" if short else text


def _given(argv: Sequence[str]) -> Iterable[tuple[str, str]]:
    for text, following in zip(argv, [*argv[1:], ""], strict=False):
        name, equals, value = text.partition("=")
        if name.startswith("--"):
            yield normal(name.removeprefix("--")), value if equals else following


def _part(name: str) -> str:
    return name.removesuffix(f".{BY}")


def _optional(kind: Any) -> bool:
    return is_dataclass(kind) and all("help" in f.metadata or f.metadata.get("python") for f in fields(kind))
