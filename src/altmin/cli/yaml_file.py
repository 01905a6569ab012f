"""Options in a YAML file: read as text, key by key, so that a value means what it means on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from altmin.errors import DataError

MOST = 2**16  # bytes of a file of options; a larger one is refused
NULL = ("", "~", "null", "Null", "NULL")
TAG = "tag:yaml.org,2002:"


class YamlEntry(NamedTuple):
    """An option as it stands in a YAML file.

    Attributes:
        file: The file.
        key: Its key, that of a nested one dotted.
        value: The text of its value, a list of texts (also of ``{}``), or `None` where it is null, without quotes.
    """

    file: str
    key: str
    value: str | list[str] | None

    @property
    def texts(self) -> list[str]:
        """The texts of its value: one, those of a list, or none."""
        return self.value if isinstance(self.value, list) else [] if self.value is None else [self.value]

    def error(self, text: str) -> DataError:
        """An error about this entry, which begins with its file and key."""
        return DataError(f"{self.file}: `{self.key}` {text}")


def read_yaml(file: str) -> list[YamlEntry]:
    """The options in a YAML file, nested keys dotted.

    Raises:
        DataError: No such file, no YAML, or YAML that holds something else than options: the message has the file, and
            the line where that says more.
    """
    try:
        root = yaml.compose(_text(file), Loader=_Loader)
    except RecursionError as error:
        raise DataError(f"{file}: nested too deeply for a file of options") from error
    except yaml.YAMLError as error:
        raise DataError(f"{file}{_place(error)}") from error
    if not isinstance(root, MappingNode):
        found = "is empty" if root is None else "is no list of options"
        raise DataError(f"{file} {found}; a line of it is such as hidden: [64, 64]")
    return list(_entries(file, root))


class _Loader(yaml.BaseLoader):
    """Reads every value as text, and no aliases: a few lines of those can stand for millions."""

    def compose_node(self, parent: Node | None, index: object) -> Node | None:  # type: ignore[override]
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="an alias (*); write the value itself", problem_mark=mark)
        return super().compose_node(parent, index)  # type: ignore[arg-type]


def _text(file: str) -> str:
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(MOST + 1)
    except OSError as error:
        raise DataError(f"--config {file}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # such as a name with a null character
        raise DataError(f"--config {file!r}: no name of a file") from error
    if len(data) > MOST:
        raise DataError(f"--config {file}: has more than {MOST:,} bytes, which no file of options needs")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"--config {file}: is no text in UTF-8") from error


def _place(error: yaml.YAMLError) -> str:
    """Where a file is no YAML, and why."""
    mark = getattr(error, "problem_mark", None)
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or "no YAML"
    return (f", line {mark.line + 1}" if mark is not None else "") + f": {why}"


def _entries(file: str, mapping: MappingNode, prefix: str = "") -> Iterator[YamlEntry]:
    """The options in a mapping, each key but once."""
    seen: set[str] = set()
    for key_node, node in mapping.value:
        if not isinstance(key_node, ScalarNode):
            raise DataError(f"{file}, line {key_node.start_mark.line + 1}: a key must be the name of an option")
        key = prefix + key_node.value
        if normal(key) in seen:
            raise DataError(f"{file}, line {key_node.start_mark.line + 1}: `{key}` stands there twice; keep one")
        seen.add(normal(key))
        if not node.tag.startswith(TAG) or "/" in node.tag:
            raise YamlEntry(file, key, None).error(f"has the tag {node.tag}, which is not read; write the value itself")
        nested = isinstance(node, MappingNode) and node.value
        yield from _entries(file, node, f"{key}.") if nested else [_entry(file, key, node)]


def _entry(file: str, key: str, node: Node) -> YamlEntry:
    if isinstance(node, ScalarNode):
        return YamlEntry(file, key, _scalar(file, key, node))
    values = [_scalar(file, key, item) for item in node.value]
    if None in values:
        raise YamlEntry(file, key, None).error("is a list with a null in it; leave it out")
    return YamlEntry(file, key, [value for value in values if value is not None])


def _scalar(file: str, key: str, node: Node) -> str | None:
    if not isinstance(node, ScalarNode):
        raise YamlEntry(file, key, None).error("is a list of lists or options; it takes values")
    plain = node.style is None
    return None if plain and node.value in NULL else node.value


def normal(name: str) -> str:
    """The name of an option as the parser knows it: ``batch-size`` in YAML is ``batch_size``."""
    return name.replace("-", "_")
