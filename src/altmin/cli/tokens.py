"""What YAML files say, as the command line that says the same."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from altmin.cli.spelling import Spelling, flag, wanted
from altmin.cli.yaml_file import YamlEntry, normal

TRUE, FALSE = ("true", "yes", "on"), ("false", "no", "off")
WHOLE = re.compile(r"\d+(\.\d*)?([eE]\+?\d{1,2})?")  # whole numbers as YAML writers like them: 1e3, 10.0


def tokens_of(entries: dict[str, YamlEntry], spelling: Spelling, methods: Sequence[str]) -> list[str]:
    """The command line that says what YAML says, as far as the command line does not say it itself."""
    spelling.entries.update({name: e for name, e in entries.items() if name not in spelling.values})
    positional, named = [], []
    for name, entry in entries.items():
        action = spelling.actions.get(name)
        if action is None:
            _check_group(name, entry, spelling, methods)
        elif not action.option_strings:
            positional += [] if methods else entry.texts
        elif name not in spelling.values:
            spelling.values[name] = " ".join(entry.texts)
            named += _tokens(action, entry)
    return positional + named


def _check_group(name: str, entry: YamlEntry, spelling: Spelling, methods: Sequence[str]) -> None:
    """An error about a key that is no option, unless it is one of a group and holds nothing."""
    inner = [known for known in spelling.actions if known.startswith(f"{name}.")]
    if inner and entry.value in (None, []):
        return
    if inner:
        raise entry.error(
            f"holds options; write them below it, as in {entry.key}: {{{inner[0][len(name) + 1 :]}: ...}}"
        )
    if name.rpartition(".")[0] in spelling.actions:
        outer = YamlEntry(entry.file, entry.key.rpartition(".")[0], None)
        spelling.entries[normal(outer.key)] = outer
        raise outer.error(
            f"takes one value, not options below it; it must be {wanted(spelling.actions[normal(outer.key)])}"
        )
    named = spelling.entries.get("methods")
    raise spelling.unknown(entry.key, entry.file, [*methods, *(named.texts if named else ())])


def _tokens(action: argparse.Action, entry: YamlEntry) -> list[str]:
    """An option as the command line has it; null stands for what is so where nothing is said."""
    name, value, several = flag(action), entry.value, action.nargs == "*"
    if action.nargs == 0:
        if value is not None and str(value).lower() not in (*TRUE, *FALSE):
            raise entry.error(f"must be true or false, got {value!r}")
        return [name] if str(value).lower() in TRUE else []
    if value is None:
        return [] if action.default is None else [f"{name}=null"]
    if isinstance(value, list) and value and wanted(action).endswith("in brackets"):
        return [f"{name}=[{', '.join(value)}]"]
    if isinstance(value, list) and not several:
        raise entry.error(f"takes one value, got a list of {len(value)}; it must be {wanted(action)}")
    texts = [_whole(text) if "whole" in wanted(action) else text for text in entry.texts]
    if any(text.startswith("-") for text in texts) and several:
        raise entry.error(f"must be {wanted(action)}, got {value!r}")
    return [name, *texts] if several else [f"{name}={texts[0]}"]


def _whole(text: str) -> str:
    """A whole number in digits, where it is written otherwise."""
    return str(int(float(text))) if WHOLE.fullmatch(text) and float(text).is_integer() else text
