"""What can be said on the command line and in YAML."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import NonNegativeInt, PositiveInt

import altmin
from altmin.cli.config import methods_in, resumed, with_copy
from altmin.cli.failures import EXIT_CODES
from altmin.cli.imports import add_import, import_files
from altmin.cli.methods import from_files, leading, load_all, name_of
from altmin.cli.network import add_network
from altmin.cli.numbers import add_method, add_option
from altmin.data import names
from altmin.methods.registry import METHODS, listed
from altmin.study.setup import Setup

COMMANDS = {
    "train": "train a network by one method",
    "compare": "train the same network by several methods",
    "bench": "time methods beside Adam",
    "predict": "apply a trained network to a test set",
    "methods": "list the methods",
    "datasets": "list the data sets",
}
Count: Any = PositiveInt
Whole: Any = NonNegativeInt
OWN = "FILE.py:CLASS of your own"


def parse(argv: Sequence[str]) -> Namespace:
    """The options of a command line, and its `command`; those of ``train`` have the `method`, which comes first.

    Raises:
        ValueError: An unknown method.
        argparse.ArgumentError: Anything else that does not fit.
    """
    argv = resumed(list(argv) or ["--help"])
    load_all()
    argv = import_files(with_copy(argv))
    command, words, rest = argv[0], leading(argv[1:]), argv[1 + len(leading(argv[1:])) :]
    method = shown = None
    names: dict[str, str] = {}
    if command in ("compare", "bench"):
        names = {text: name_of(text) for text in (*words, *methods_in(argv, "methods"))}
        words = [names[text] for text in words]
    elif command == "train":
        shown = _method(words[:1], methods_in(argv, "method"), asks_help=bool({"-h", "--help"} & set(argv)))
        names = {shown: name_of(shown)} if shown else {}
        method, words = names.get(shown or ""), words[1:]
    parsed = _parser(method, shown, _unexplained(argv)).parse_args([command, *words, *rest])
    options = parsed[parsed.command] or Namespace()
    options.update(Namespace(command=parsed.command, method=method, spelled=from_files(names)))
    if "methods" in options:
        options.methods = [names.get(text, text) for text in options.methods]
    return options


def _method(word: Sequence[str], in_yaml: Sequence[str], asks_help: bool) -> str | None:
    """The method that ``train`` is told, in its first word or in YAML; `None` where only help is asked for."""
    if not word and not in_yaml and not asks_help:
        raise ValueError(f"name the method first: altmin train METHOD [options]; known: {_names()}, or {OWN}")
    if word and in_yaml and word != in_yaml and name_of(word[0]) != name_of(in_yaml[0]):
        raise ValueError(f"the method is {word[0]} on the command line, but {in_yaml[0]} in --config; leave one out")
    return next(iter((*word, *in_yaml)), None)


def _names() -> str:
    return ", ".join(e.name for e in listed())


def _unexplained(argv: Sequence[str]) -> set[str]:
    """The methods whose numbers ``compare --help`` leaves out: all that the command line does not name."""
    return set(METHODS) - set(argv) if {"-h", "--help"} & set(argv) else set()


def _parser(method: str | None, shown: str | None, unexplained: set[str]) -> ArgumentParser:
    parser = ArgumentParser(
        prog="altmin",
        description=altmin.__doc__,
        version=altmin.__version__,
        exit_on_error=False,
        allow_abbrev=False,
        epilog=EXIT_CODES,
    )
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    parsers = {
        "train": _train(method, shown),
        "compare": _compare(unexplained),
        "bench": _bench(unexplained),
        "predict": _predict(),
    }
    for name, help in COMMANDS.items():
        commands.add_subcommand(name, parsers.get(name) or _options(f"altmin {name}", help, config=False), help=help)
    return parser


def _options(usage: str, description: str, config: bool = True) -> ArgumentParser:
    parser = ArgumentParser(
        usage=usage,
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        print_config="--print-config",
    )
    add_import(parser)
    if config:
        parser.add_argument("--config", action="config", help="YAML file with any of these options")
    return parser


def _train(method: str | None, shown: str | None) -> ArgumentParser:
    if method is None:
        about = f"METHOD is one of {_names()}, or {OWN}. See its own options by: altmin train METHOD --help"
    else:
        about = f"Train by {method}: {METHODS[method].title} ({METHODS[method].paper})."
    parser = _options(f"altmin train {shown or 'METHOD'} [options]", about)
    parser.add_argument("--method", type=str | None, default=shown, help="METHOD in YAML; here it is the first word")
    if method is not None:
        add_method(parser.add_argument_group(f"numbers of {method}"), METHODS[method].method)
    _add_training(parser, out="altmin-train")
    return parser


def _compare(unexplained: set[str]) -> ArgumentParser:
    about = (
        "Train the same network on the same data and batches by each METHOD; without one, by all methods without "
        "backpropagation that support the network, and by Adam. A number of a method is set by --METHOD.NUMBER, such "
        "as --dladmm.rho 1e-3; altmin compare METHOD --help lists them."
    )
    parser = _options("altmin compare [METHOD ...] [options]", about)
    _add_methods(parser, unexplained)
    _add_training(parser, out="altmin-compare")
    return parser


def _bench(unexplained: set[str]) -> ArgumentParser:
    about = (
        "Time each METHOD beside PyTorch's own Adam on the same network, samples and batches; without one, all methods "
        "without backpropagation that support the network, and altmin's Adam. A number of a method is set by "
        "--METHOD.NUMBER, such as --am-adam.codes.steps 1; altmin bench METHOD --help lists them. All are held in "
        "memory at once."
    )
    parser = _options("altmin bench [METHOD ...] [options]", about)
    _add_methods(parser, unexplained)
    group = _add_task(parser, "synthetic", without=("epochs", "keep", "audit", "every"))
    parser.set_defaults({"threads": 1})
    group.add_argument("--rounds", type=Count, default=3, help="timed passes over the samples, of which the median")
    _add_output(parser, "altmin-bench")
    return parser


def _add_methods(parser: ArgumentParser, unexplained: set[str]) -> None:
    parser.add_argument("methods", nargs="*", action=_Given, default=[], metavar="METHOD", help=f"{_names()}, or {OWN}")
    for e in listed():
        group = parser.add_argument_group(None if e.name in unexplained else f"numbers of {e.name}")
        add_method(group, e.method, f"{e.name}.", hidden=e.name in unexplained)


class _Given(argparse.Action):
    """Stores what was given; where nothing was, what the YAML has stays."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        if values:
            setattr(namespace, self.dest, values)


def _predict() -> ArgumentParser:
    about = (
        "Apply the network in DIR to the test part of a data set. If the network came from a file of yours, this runs "
        "the copy of it in DIR, model.py."
    )
    parser = _options("altmin predict DIR [options]", about)
    parser.add_argument("dir", type=str, metavar="DIR", help="what train wrote, or compare in a method's folder")
    _add_data(parser, "as in training", seed=None)
    parser.add_argument("--out", type=str | None, default=None, help="CSV file to write the predictions to")
    parser.add_argument("--device", type=str, default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    return parser


def _add_data(parser: ArgumentParser, default: str, seed: int | None) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=str | None, default=None, help=f"{', '.join(names())}; null: {default}")
    group.add_argument("--csv.train", type=Path | None, default=None, help="table to train on; implies --data csv")
    group.add_argument("--csv.test", type=Path | None, default=None, help="table to test on; null: a part of the other")
    group.add_argument("--csv.target", type=str | None, default=None, help="column to predict")
    task = Literal["classification", "regression"]
    group.add_argument("--task", type=task | None, default=None, help="of a table; null: classification")
    group.add_argument("--data-dir", type=Path | None, default=None, help="where data sets lie; null: $ALTMIN_DATA")
    group.add_argument("--train-samples", type=Count | None, default=None, help="use only so many; null: all")
    about = "of splits, initial weights and batches" if seed is not None else "of splits; null: as in training"
    if seed is not None:
        group.add_argument("--center", action="store_true", help="subtract the mean of the training samples")
    seed_type = Whole if seed is not None else Whole | None
    group.add_argument("--seed", type=seed_type, default=seed, help=about)


def _add_training(parser: ArgumentParser, out: str) -> None:
    _add_task(parser, "digits")
    group = _add_output(parser, out)
    about = "go on with the run in DIR as its config.yaml says; other options stay away. A finished run says so"
    group.add_argument("--resume", type=str | None, default=None, metavar="DIR", help=about)


def _add_task(parser: ArgumentParser, data: str, without: Sequence[str] = ()) -> Any:
    """The options of data, network and training; the group of the latter."""
    _add_data(parser, f"{data}, or csv with --csv.train", seed=0)
    add_network(parser)
    group = parser.add_argument_group("training")
    for f in Setup.listed():
        if f.metadata["flag"] is not None and f.name not in without:
            add_option(group, f)
    return group


def _add_output(parser: ArgumentParser, out: str) -> Any:
    group = parser.add_argument_group("output")
    about = f"folder for the results; null: {out}, or where that exists {out}-2 and so on"
    group.add_argument("--out", type=str | None, default=None, help=about)
    about = "replace the run in the folder of --out; files that are no run's stay"
    group.add_argument("--overwrite", action="store_true", help=about)
    group.add_argument("--quiet", action="store_true", help="print the final result only")
    return group
