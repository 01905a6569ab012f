"""``--import FILE.py``: files of the user's own, run before anything else is read from a command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from altmin.study.files import import_file

FLAG = "--import"
HELP = "file of your own that registers what you name, such as a loss or an activation; run first; may be repeated"


def add_import(parser: Any) -> None:
    """The option, for its help and for YAML: `import_files` has done what it says."""
    parser.add_argument(FLAG, type=list[str], default=[], metavar="FILE.py", help=HELP)


def import_files(argv: Sequence[str]) -> list[str]:
    """Run the files that a command line and its YAML files name, and give the command line as its parser takes it.

    Raises:
        ValueError: A file that cannot be read, or does not run.
    """
    configs = [text for flag, text in given(argv) if flag == "--config"]
    files = [file for config in configs for file in _in_yaml(config)]
    for file in [*files, *(text for flag, text in given(argv) if flag == FLAG)]:
        import_file(file)
    return [f"{FLAG}+{text.removeprefix(FLAG)}" if text.partition("=")[0] == FLAG else text for text in argv]


def given(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options with a value, ``--flag value`` or ``--flag=value``."""
    for i, text in enumerate(argv):
        flag, equals, value = text.partition("=")
        if equals or i + 1 < len(argv):
            yield flag, value if equals else argv[i + 1]


def _in_yaml(path: str) -> list[str]:
    """The files that a YAML file names."""
    files = yaml_values(path).get("import")
    return list(map(str, files)) if isinstance(files, list) else []


def yaml_values(path: str) -> dict[str, Any]:
    """What a YAML file says; what is wrong with it the parser says."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
