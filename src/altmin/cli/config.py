"""``config.yaml``: the options of a run as they took effect, and how a command line reads them again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin.cli.kinds import BY, kinds_of
from altmin.cli.labels import spelled, written
from altmin.cli.methods import numbers_of
from altmin.cli.network import CHOICES
from altmin.cli.then import THEN
from altmin.cli.yaml_file import YamlEntry, normal
from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.study.claim import require_run
from altmin.study.run_files import BEST, CONFIG, Config, Owner
from altmin.study.saved_network import SOURCE
from altmin.study.setup import Setup

SEARCH = ("search", "trials", "jobs")  # what `tune` does with a run, of which it writes the first itself
SHOWN = ("quiet", "objective", "no_plot")
# Where a run is written and how much is printed, which is no part of what is run.
WHERE = ("command", "config", "out", "overwrite", "resume", *SHOWN, *SEARCH, "spelled", "given", "preset", "then")
HELP = {"-h", "--help"}


def config_of(options: Namespace, setup: Setup) -> Config:
    """What all methods of a run have in common: data, network and training, as absolute paths and without defaults."""
    own = numbers_of(options.get("method"))
    tables = {e.name.replace("-", "_") for e in METHODS.values()}
    left = {*WHERE, "method", "methods", *tables, *own}
    values = {name: _plain(value) for name, value in options.as_dict().items() if name not in left}
    values["import"] = [str(Path(file).resolve()) for file in options["import"]]
    network = {name: _plain(setup.network.options[name]) for name in CHOICES if name in setup.network.options}
    return {**values, "data": setup.network.data.name, **network}


def config_of_method(options: Namespace, setup: Setup, name: str, method: Method) -> Config:
    """The options that train by one method alone, with what a run leaves to each method."""
    own = {
        "loss": setup.loss_of(name),
        "epochs": setup.epochs_of(name),
        "batch_size": setup.batch_size_of(method),
        "threads": setup.threads_of(method, setup.problem(name)),
    }
    return {"method": spelled(name, options.spelled), **_numbers(method), **config_of(options, setup), **_plain(own)}


def config_with_second(options: Namespace, first: Config, setup: Setup, name: str, method: Method) -> Config:
    """The options that train by a first method, and go on by a second one, whose label is `name`."""
    own = _plain({"epochs": setup.epochs_of(name), "batch_size": setup.batch_size_of(method)})
    left = {key: value for key, value in config_of(options, setup).items() if key in ("loss", "threads")}
    return {**first, **left, THEN: {"method": spelled(name, options.spelled), **_numbers(method), **own}}


def config_of_methods(options: Namespace, setup: Setup, methods: dict[str, Method]) -> Config:
    """The options that take several methods, and their numbers."""
    numbers = {name.replace("-", "_"): _numbers(method) for name, method in methods.items()}
    return {"methods": [written(name, options.spelled) for name in methods], **numbers, **config_of(options, setup)}


def _numbers(method: Any) -> Config:
    """The numbers of a method, nested as its options are."""
    values = {f.name: getattr(method, f.name) for f in fields(method)}
    known = {f.name for f in fields(method) if "help" in f.metadata}
    kinds = {f.name: {BY: type(values[f.name]).__name__} for f in fields(method) if kinds_of(method, f)}
    return {
        name: {**kinds.get(name, {}), **_numbers(value)} if is_dataclass(value) else _plain(value)
        for name, value in values.items()
        if name in known or is_dataclass(value)
    }


def _plain(value: Any) -> Any:
    """A value as YAML has it, paths absolute."""
    match value:
        case dict():
            return {name: _plain(v) for name, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case Path():
            return str(value.resolve())
        case bool() | None:
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case _:
            return str(value)


# Reading


def resumed(argv: Sequence[str]) -> list[str]:
    """A command line whose ``--resume DIR`` is replaced by what it stands for: DIR's options, and DIR as its folder.

    Raises:
        ValueError: DIR holds nothing that can go on; options beside it, which would make it another run.
    """
    asking = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    asking.add_argument("--resume", nargs="?", const="", metavar="DIR")
    command, *rest = argv
    known, others = asking.parse_known_args(rest)
    if command not in ("train", "compare") or known.resume is None or HELP & set(others):
        return list(argv)
    if not known.resume:
        raise ValueError("--resume needs a value: the folder of a run")
    if left := [text for text in others if normal(text.removeprefix("--")) not in SHOWN]:
        raise ValueError(f"--resume goes on as {known.resume}/{CONFIG} says; leave {' '.join(left)} out")
    folder = Path(known.resume)
    require_run(folder, command)
    return [command, "--config", str(folder / CONFIG), "--out", known.resume, "--resume", known.resume, *others]


def with_copy(entries: dict[str, YamlEntry]) -> None:
    """Have a user's own network taken from beside the ``config.yaml`` that names it, where its copy is.

    Args:
        entries: What YAML files say; changed in place.
    """
    entry = entries.get("model")
    owner = None if entry is None or Path(entry.file).name not in (CONFIG, BEST) else Owner.of(Path(entry.file).parent)
    if entry is not None and owner is not None and owner.copied:
        function = str(entry.value).rpartition(":")[2]
        entries["model"] = entry._replace(value=f"{Path(entry.file).parent / SOURCE}:{function}")
