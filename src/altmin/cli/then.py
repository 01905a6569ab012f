"""``--then METHOD`` of ``train``: a second method, which goes on from the weights that the first one leaves."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from jsonargparse import Namespace

from altmin.cli.counts import Count
from altmin.cli.kinds import with_kinds
from altmin.cli.labels import labels, method_name, named
from altmin.cli.numbers import add_method, configured
from altmin.cli.yaml_file import YamlEntry
from altmin.methods import Method
from altmin.methods.registry import entry
from altmin.study.setup import Setup

THEN = "then"
FLAG, KEY = f"--{THEN}", f"{THEN}.method"
HELP = (
    "a method, also said by --then METHOD, that goes on from the weights that the first one leaves; its numbers are "
    "set by --then.NUMBER"
)


def taken(rest: Sequence[str], entries: dict[str, YamlEntry], files: dict[str, str]) -> list[str]:
    """A command line whose ``--then METHOD`` is spelled ``--then.method METHOD``, as its parser takes it.

    The method is in the registry from then on, under a label such as ``then-adam``, by which results and folders name
    the second run.

    Args:
        rest: The command line.
        entries: What YAML says, where ``then: METHOD`` is spelled ``then: {method: METHOD}`` behind this.
        files: Learns how a method is named that comes from a file.

    Raises:
        ValueError: An unknown method.
        argparse.ArgumentTypeError: No name, or two of them.
    """
    if THEN in entries and isinstance(entries[THEN].value, str):
        entries.setdefault(KEY, entries.pop(THEN))
    line = [f"--{KEY}{text.removeprefix(FLAG)}" if text.partition("=")[0] == FLAG else text for text in rest]
    names = []
    for i, text in enumerate(line):
        flag, equals, value = text.partition("=")
        if flag == f"--{KEY}":
            names.append(value if equals else next(iter(line[i + 1 :]), ""))
    if len(names) > 1:
        raise argparse.ArgumentTypeError(f"{FLAG} stands there {len(names)} times; keep one")
    if any(not name or name.startswith("-") for name in names):
        raise argparse.ArgumentTypeError(f"{FLAG} needs a value: a METHOD")
    said = entries.get(KEY)
    names = names or ([said.value] if said is not None and isinstance(said.value, str) else [])
    for name in names:
        found = entry(method_name(name, files)).name
        named([f"{THEN}-{found}={found}"], files)
    return line


def add_then(parser: Any, kinds: Mapping[str, str]) -> None:
    """The options of the second method, its numbers where it is named."""
    group = parser.add_argument_group("a second method")
    group.add_argument(f"--{KEY}", type=str | None, default=None, metavar="METHOD", help=HELP)
    about = "its passes over the samples; null: its usual number"
    group.add_argument(f"--{THEN}.epochs", type=Count | None, default=None, help=about)
    about = "samples of its steps; null: its usual number"
    group.add_argument(f"--{THEN}.batch-size", type=Count | None, default=None, help=about)
    for e in labels():
        add_method(group, with_kinds(e.method, kinds, f"{THEN}."), f"{THEN}.")


def second(options: Namespace) -> dict[str, Method]:
    """The second method by its label, the only one of a command line of ``train``; none where there is none."""
    return {e.name: configured(e.method, options.then, f"{THEN}.") for e in labels()}


def setup_of_second(options: Namespace, setup: Setup) -> Setup:
    """What the second method is trained on; its numbers are no preset's."""
    with naming():
        return replace(setup, epochs=options.then.epochs, batch_size=options.then.batch_size, preset=None)


@contextmanager
def naming() -> Iterator[None]:
    """A context whose errors name the second method's options."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise type(error)(re.sub(r"`(epochs|batch_size)\b", rf"`{THEN}.\1", str(error))) from error
