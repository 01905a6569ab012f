"""``--import FILE.py``: files of the user's own, run before anything else is read from a command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from altmin.cli.yaml_file import YamlEntry
from altmin.study.files import import_file

FLAG = "--import"
HELP = "file of your own that registers what you name, such as a loss or an activation; run first; may be repeated"


def add_import(parser: Any) -> None:
    """The option, for its help and for YAML: `import_files` has done what it says."""
    parser.add_argument(FLAG, type=list[str], default=[], metavar="FILE.py", help=HELP)


def import_files(entry: YamlEntry | None, argv: Sequence[str]) -> list[str]:
    """Run the files that YAML and a command line name, and give the command line as its parser takes it.

    Args:
        entry: What YAML has under ``import``.
        argv: The command line.

    Raises:
        ValueError: A file that cannot be read, or does not run.
    """
    named = [] if entry is None or entry.value is None else entry.value
    for file in [named] if isinstance(named, str) else named:
        import_file(file)
    for file in (text for flag, text in _given(argv) if flag == FLAG):
        import_file(file)
    return [f"{FLAG}+{text.removeprefix(FLAG)}" if text.partition("=")[0] == FLAG else text for text in argv]


def _given(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options with a value, ``--flag value`` or ``--flag=value``."""
    for i, text in enumerate(argv):
        flag, equals, value = text.partition("=")
        if equals or i + 1 < len(argv):
            yield flag, value if equals else argv[i + 1]
