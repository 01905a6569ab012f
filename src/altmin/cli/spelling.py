"""How the user wrote each option, so that errors can name it so."""

from __future__ import annotations

import argparse
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from altmin.cli.yaml_file import YamlEntry, normal

NAMED = re.compile(r"`([A-Za-z][\w.-]*)(?:=([^`]*))?`")
REFUSED = re.compile(r'(?:Parser key "([^"]+)"|argument --([\w.-]+):).*', re.DOTALL)
MISSING = re.compile(r"arguments are required: (\w+)\.(\w+)")
NO_OPTIONS = {"help", "version", "config", "print_config", "print_shtab"}
KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    Path: "a path",
    type(None): "null",
}


@dataclass
class Spelling:
    """The options of a command, and how those that were given are written.

    Attributes:
        actions: What the command's parser knows, by its name for it: ``batch_size``.
        entries: Those that a YAML file gave, and the command line did not.
        values: The text of each value that was given.
    """

    actions: Mapping[str, argparse.Action] = field(default_factory=dict)
    entries: dict[str, YamlEntry] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def learn(self, parser: argparse.ArgumentParser) -> None:
        """Take the options of `parser`."""
        self.actions = {normal(a.dest): a for a in parser._actions if a.dest not in NO_OPTIONS}

    def written(self, name: str) -> str:
        """An option as the user wrote it: ``--batch-size``, or the key in YAML."""
        return f"`{self.entries[name].key}`" if name in self.entries else flag(self.actions[name])

    def translate(self, error: object) -> str:
        """The text of an error, in which every option is named as the user wrote it."""
        text, files = str(error), dict[str, None]()

        def named(match: re.Match[str]) -> str:
            name, value = normal(match[1]), match[2]
            if name not in self.actions:
                return match[0]
            if name in self.entries:
                files[self.entries[name].file] = None
            said = "" if value in (None, "True") else f" {value.strip(chr(39))}"
            return self.written(name) + said

        text = NAMED.sub(named, text)
        return "".join(f"{file}: " for file in files if not text.startswith(file)) + text

    def refused(self, error: object) -> str:
        """What a parser's error says, in words that need no Python."""
        if missing := MISSING.search(str(error)):
            action = self.actions[missing[2]]
            return f"{missing[1]} needs {action.metavar}, {action.help}"
        match = REFUSED.match(str(error))
        name = normal(match[1] or match[2]) if match else ""
        if match is None or name not in self.actions:
            return str(error).replace("unrecognized arguments:", "unexpected")
        if match[2] and "expected one argument" in str(error):
            return f"{flag(self.actions[name])} needs a value: {wanted(self.actions[name])}"
        if match[2] and self.actions[name].nargs == 0:
            return f"{flag(self.actions[name])} takes no value"
        return self.translate(f"`{name}` must be {wanted(self.actions[name])}, got {self.values.get(name)!r}")

    def unknown(self, name: str, file: str = "", preferred: Sequence[str] = ()) -> argparse.ArgumentTypeError:
        """The error about an option that does not exist, with the nearest ones that do.

        Args:
            name: As the user wrote it, a flag or a key.
            file: The YAML file that it stands in.
            preferred: Methods whose numbers are thought of first, where there are several.
        """
        close = " or ".join(self._nearest(normal(name.removeprefix("--")), preferred, yaml=bool(file)))
        hint = f"did you mean {close}?" if close else "see --help for all that there are"
        said = f"{file}: unknown key `{name}`" if file else f"unknown option {name}"
        return argparse.ArgumentTypeError(f"{said}; {hint}")

    def _nearest(self, name: str, preferred: Sequence[str], yaml: bool) -> list[str]:
        """The options that end in such a name (``lr``: ``rule.lr``), or that are written much like it."""
        known = [name] if name in self.actions else list(self.actions)
        numbers = [n for n in known if "." in n and (not preferred or n.partition(".")[0] in map(normal, preferred))]
        ends = [n for n in numbers if n.rpartition(".")[2] == name]
        close = ends[:3] or get_close_matches(name, known, n=1, cutoff=0.7)
        return [n if yaml else flag(self.actions[n]) for n in close]


def flag(action: argparse.Action) -> str:
    """The option as the command line has it; of what has no flag its name in the usage."""
    return action.option_strings[-1] if action.option_strings else str(action.metavar)


def wanted(action: argparse.Action) -> str:
    """What the value of an option must be, in words."""
    words = in_words(getattr(action, "_typehint", None) or action.type or str)
    return f"{words}, or several" if action.nargs in ("*", "+") else words


def in_words(kind: Any) -> str:
    """The type of an option, in words."""
    *first, last = _alternatives(kind)
    return f"{', '.join(first)} or {last}" if first else last


def _alternatives(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return list(map(str, get_args(kind)))
    if get_origin(kind) in (Union, types.UnionType):
        return [words for part in get_args(kind) for words in _alternatives(part)]
    if get_origin(kind) is tuple:
        return ["several in brackets"]
    return [getattr(kind, "words", None) or KINDS.get(kind, "a value")]
