"""A command line with its YAML files, from what the user wrote to options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches

from jsonargparse import Namespace

from altmin.cli import then
from altmin.cli.config import HELP, resumed, with_copy
from altmin.cli.imports import FLAG, import_files
from altmin.cli.kinds import by_name, chosen_kinds
from altmin.cli.labels import method_name, named
from altmin.cli.methods import leading, load_all, name_of
from altmin.cli.options import COMMANDS, LISTS, OF_ONE_METHOD, method_names, parser_of
from altmin.cli.preset import FLAG as PRESET
from altmin.cli.preset import given_in, has_its_own, preset, taken
from altmin.cli.spelling import Spelling
from altmin.cli.tokens import tokens_of
from altmin.cli.yaml_file import YamlEntry, normal, read_yaml
from altmin.methods.registry import METHODS

CONFIG_FLAG = "--config"


def parse(argv: Sequence[str], spelling: Spelling) -> Namespace:
    """The options of a command line, and its `command`; those of ``train`` and ``tune`` have the `method`.

    What YAML files say is read as on the command line, which comes first; a later file comes before an earlier one.

    Args:
        argv: The arguments behind the program's name.
        spelling: Learns how the user wrote each option.

    Raises:
        ValueError: An unknown method, a file that cannot be read.
        argparse.ArgumentTypeError: Anything else that does not fit.
    """
    command, *rest = resumed(list(argv) or ["--help"])
    load_all()
    _check_command(command)
    rest, configs = _without_configs(command, rest)
    entries = {normal(entry.key): entry for file in configs for entry in read_yaml(file)}
    imports = entries.pop("import", None)
    rest = import_files(imports, rest)
    with_copy(entries)
    files: dict[str, str] = {}
    rest, method, shown = _methods(command, rest, entries, files)
    parser, own = parser_of(command, method, shown, _unexplained(rest), chosen_kinds(rest, entries))
    own.method, own.files = method, files
    spelling.learn(own)
    rest = by_name(rest, entries, spelling.actions)
    _scan(rest, own, spelling)
    given = list(spelling.values)
    tokens = tokens_of(entries, spelling, [text for text in rest if text in METHODS])
    try:
        parsed = parser.parse_args([command, *tokens, *rest])
    except argparse.ArgumentError as error:
        raise argparse.ArgumentTypeError(spelling.refused(error)) from error
    options = parsed[parsed.command] or Namespace()
    if imports is not None and "import" in options:
        options["import"] = [*imports.texts, *options["import"]]
    options.update(Namespace(command=parsed.command, method=method, spelled=files, given=given))
    return options


def _check_command(command: str) -> None:
    if command in (*COMMANDS, *HELP, "--version"):
        return
    known = f"known: {', '.join(COMMANDS)}"
    close = get_close_matches(command, [*COMMANDS, *HELP, "--version"], n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    hint = f"did you mean altmin train {command}? " if command in METHODS else hint
    raise argparse.ArgumentTypeError(f"unknown command {command}; {hint}{known}")


def _without_configs(command: str, argv: list[str]) -> tuple[list[str], list[str]]:
    """A command line without its ``--config FILE``, and those files."""
    rest, files, texts = [], [], iter(argv)
    for text in texts:
        name, equals, file = text.partition("=")
        if name != CONFIG_FLAG or command in LISTS:
            rest.append(text)
        else:
            files.append(file if equals else next(texts, ""))
    if any(not file or file.startswith("--") for file in files):
        raise argparse.ArgumentTypeError(f"{CONFIG_FLAG} needs a value: a YAML file")
    return rest, files


def _methods(
    command: str, rest: list[str], entries: dict[str, YamlEntry], files: dict[str, str]
) -> tuple[list[str], str | None, str | None]:
    """What is left of the command line once methods have their names, and the one method, also as it was written.

    Args:
        command: The command.
        rest: What stands behind it.
        entries: What YAML says; methods get their names there, too.
        files: Learns how those methods were named that come from files, by their names.
    """
    if command in ("compare", "bench"):
        if "methods" in entries:
            value = entries["methods"].value
            names = named(entries["methods"].texts, files)
            entries["methods"] = entries["methods"]._replace(value=names if isinstance(value, list) else "".join(names))
        count = len(leading(rest))
        return [*named(rest[:count], files), *rest[count:]], None, None
    if command not in OF_ONE_METHOD:
        return rest, None, None
    given, entry = bool(rest) and not rest[0].startswith("-"), entries.pop("method", None)
    shown = rest[0] if given else None if entry is None else str(entry.value)
    method = None if shown is None else name_of(method_name(shown, files))
    if given and entry is not None and entry.value != shown and name_of(str(entry.value)) != method:
        raise entry.error(f"is {entry.value}, but the command line has {shown}; leave one of them out")
    rest = then.taken(rest[given:], entries, files) if command == "train" else rest[given:]
    if method is None or not has_its_own(method):
        rest, exhibit = taken(rest, entries)
        if exhibit is not None:
            its, options = preset(exhibit, given_in(rest, entries))
            if method not in (None, its):
                raise ValueError(f"{PRESET} {exhibit} trains by {its}, not by {method}; leave one of them out")
            entries.update({key: entry for key, entry in options.items() if key not in entries})
            return rest, its, shown or f"{PRESET} {exhibit}"
    if method is None and not HELP & set(rest):
        own = f"altmin {command}"
        first = f"name the method first: {own} METHOD [options], or a paper's run: {own} {PRESET} EXHIBIT"
        raise ValueError(f"{first}; known methods: {method_names()}")
    return rest, method, shown


def _unexplained(argv: Sequence[str]) -> set[str]:
    """The methods whose numbers ``compare --help`` leaves out: all that the command line does not name."""
    return set(METHODS) - set(argv) if HELP & set(argv) else set()


def _scan(argv: Sequence[str], parser: argparse.ArgumentParser, spelling: Spelling) -> None:
    """Note the options that a command line gives; an error about the first that does not exist."""
    for i, text in enumerate(argv):
        name, equals, value = text.partition("=")
        if not name.startswith("--") or name == "--":
            continue
        action = parser._option_string_actions.get(name.removesuffix("+") if name == f"{FLAG}+" else name)
        if action is None:
            raise spelling.unknown(name, preferred=[t for t in argv if t in METHODS])
        behind = [value] if equals else _values(argv[i + 1 :], several=action.nargs is not None)
        spelling.values[normal(action.dest)] = " ".join(behind)


def _values(argv: Sequence[str], several: bool) -> list[str]:
    """The values at the beginning of what stands behind an option."""
    end = next((i for i, text in enumerate(argv) if text.startswith("--")), len(argv))
    return list(argv[: end if several else min(end, 1)])
