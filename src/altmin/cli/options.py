"""What can be said on the command line and in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser

import altmin
from altmin.cli.config import WHERE
from altmin.cli.counts import Count, Seed
from altmin.cli.failures import EXIT_CODES
from altmin.cli.imports import add_import
from altmin.cli.kinds import with_kinds
from altmin.cli.labels import labels, require_free
from altmin.cli.methods import numbers_of
from altmin.cli.network import add_network
from altmin.cli.numbers import add_method, add_option
from altmin.cli.preset import add_preset
from altmin.cli.printed import OptionParser
from altmin.cli.then import add_then
from altmin.cli.yaml_file import normal
from altmin.data import names
from altmin.methods.registry import METHODS, listed
from altmin.study.run_files import CHECKPOINTS
from altmin.study.setup import Setup

COMMANDS = {
    "train": "train a network by one method",
    "compare": "train the same network by several methods",
    "tune": "search a method's numbers",
    "bench": "time methods beside Adam",
    "reproduce": "run the exhibits of the papers again",
    "report": "make a page over runs",
    "predict": "apply a trained network to a test set",
    "export": "write a trained network for other programs",
    "methods": "list the methods",
    "datasets": "list the data sets",
    "exhibits": "list the papers' exhibits",
}
OF_ONE_METHOD = "train", "tune"
LISTS = "methods", "datasets", "exhibits"
CONFIG_HELP = "YAML file with any of these options; may be repeated, and what the command line says comes first"
OWN = "FILE.py:CLASS of your own"
DEVICE = "cpu, cuda or cuda:N, or auto: cuda where there is one, else cpu"
COMPARED_SEEDS = 3
TRUST = "run DIR/model.py, the code that makes a network of your own: only in folders that you trust"
SEEDS = (
    "train so many times, with the seeds from --seed on, each as --seed alone has it; the table has means and "
    "standard deviations, and each network is in a folder of its own, seed-0 and so on"
)
SEARCH = (
    "numbers to search, from a thirtieth of what they are to thirty times as much by logarithms, all that is allowed "
    "where both ends are bounded, or from LOW to HIGH; none: all that are positive and real. Others stay. The first "
    "trial has the numbers as they are"
)
LABELS = (
    "LABEL=METHOD has a method take part again under a name of its own, and with numbers of its own: "
    "slow=ipdlam fast=ipdlam --slow.alpha 0.2 --fast.alpha 0.7."
)


def parser_of(
    command: str, method: str | None, shown: str | None, unexplained: set[str], kinds: Mapping[str, str]
) -> tuple[Any, Any]:
    """The parser of a command line, and that of its command, the only one that knows its options.

    Args:
        command: One of `COMMANDS`, or an option that needs none, such as ``--help``.
        method: That of ``train`` or ``tune``, in the registry.
        shown: The same as the user wrote it.
        unexplained: Methods whose numbers the help leaves out.
        kinds: Of which kinds the methods' parts are to be (`altmin.cli.kinds`).
    """
    parser = ArgumentParser(
        prog="altmin",
        description=altmin.__doc__,
        version=altmin.__version__,
        exit_on_error=False,
        allow_abbrev=False,
        epilog=EXIT_CODES,
    )
    commands = parser.add_subcommands(dest="command", metavar="COMMAND")
    own = _own(command, method, shown, unexplained, kinds)
    for name, help in COMMANDS.items():
        commands.add_subcommand(name, own if name == command else ArgumentParser(exit_on_error=False), help=help)
    return parser, own


def _own(
    command: str, method: str | None, shown: str | None, unexplained: set[str], kinds: Mapping[str, str]
) -> ArgumentParser:
    if command in OF_ONE_METHOD:
        return (_train if command == "train" else _tune)(method, shown, kinds)
    if command in ("compare", "bench"):
        return (_compare if command == "compare" else _bench)(unexplained, kinds)
    if command in OTHERS:
        return OTHERS[command]()
    parser = _options(f"altmin {command} [options]", COMMANDS.get(command, ""), config=False)
    if command == "datasets":
        _add_data_dir(parser)
    return parser


def method_names() -> str:
    """The names of all methods, and how one's own is named."""
    return f"{', '.join(e.name for e in listed() if not e.of)}, or {OWN}"


def _options(usage: str, description: str, config: bool = True) -> OptionParser:
    parser = OptionParser(
        usage=usage,
        description=description,
        exit_on_error=False,
        allow_abbrev=False,
        print_config="--print-config",
    )
    add_import(parser)
    if config:
        parser.add_argument("--config", action="config", help=CONFIG_HELP)
    return parser


def _train(method: str | None, shown: str | None, kinds: Mapping[str, str]) -> ArgumentParser:
    parser = _of_one_method("train", "Train by", method, shown, kinds)
    add_then(parser, kinds)
    _add_training(parser, out="altmin-train", seeds=1, without=numbers_of(method))
    return parser


def _tune(method: str | None, shown: str | None, kinds: Mapping[str, str]) -> ArgumentParser:
    parser = _of_one_method("tune", "Search the numbers of", method, shown, kinds)
    group = parser.add_argument_group("search")
    group.add_argument("--search", type=str, nargs="*", default=[], metavar="NAME[=LOW:HIGH]", help=SEARCH)
    group.add_argument("--trials", type=Count, default=50, help="trainings in all, those of earlier calls included")
    group.add_argument("--jobs", type=Count, default=1, help="processes that make them, each with one thread")
    _add_task(parser, "digits", without=[*numbers_of(method), "every"])
    parser.set_defaults({"threads": 1})
    group = parser.add_argument_group("output")
    about = "folder for the trials; null: altmin-tune; where that holds the same search, it goes on"
    group.add_argument("--out", type=str | None, default=None, help=about)
    _add_overwrite_and_quiet(group)
    return parser


def _of_one_method(
    command: str, verb: str, method: str | None, shown: str | None, kinds: Mapping[str, str]
) -> OptionParser:
    """The parser of a command, with the preset and the numbers of the method where that is named."""
    if method is None:
        about = f"METHOD is one of {method_names()}. See its own options by: altmin {command} METHOD --help"
    else:
        about = f"{verb} {method}: {METHODS[method].title} ({METHODS[method].paper})."
    parser = _options(f"altmin {command} {shown or 'METHOD'} [options]", about)
    add_preset(parser, method)
    if method is not None:
        own = with_kinds(METHODS[method].method, kinds)
        add_method(parser.add_argument_group(f"numbers of {method}"), own)
    return parser


def _compare(unexplained: set[str], kinds: Mapping[str, str]) -> ArgumentParser:
    about = (
        "Train the same network on the same data and batches by each METHOD; without one, by all methods without "
        "backpropagation that support the network, and by Adam. A number of a method is set by --METHOD.NUMBER, such "
        f"as --dladmm.rho 1e-3; altmin compare METHOD --help lists them. {LABELS}"
    )
    parser = _options("altmin compare [METHOD ...] [options]", about)
    _add_methods(parser, unexplained, kinds)
    _add_training(parser, out="altmin-compare", seeds=COMPARED_SEEDS)
    _add_labels(parser, kinds)
    return parser


def _bench(unexplained: set[str], kinds: Mapping[str, str]) -> ArgumentParser:
    about = (
        "Time each METHOD beside PyTorch's own Adam on the same network, samples and batches; without one, all methods "
        "without backpropagation that support the network, and altmin's Adam. A number of a method is set by "
        "--METHOD.NUMBER, such as --am-adam.codes.steps 1; altmin bench METHOD --help lists them. All are held in "
        f"memory at once. {LABELS}"
    )
    parser = _options("altmin bench [METHOD ...] [options]", about)
    _add_methods(parser, unexplained, kinds)
    group = _add_task(parser, "synthetic", without=("epochs", "keep", "audit", "every", "diagnose", "tol"))
    parser.set_defaults({"threads": 1})
    group.add_argument("--rounds", type=Count, default=3, help="timed passes over the samples, of which the median")
    _add_output(parser, "altmin-bench")
    _add_labels(parser, kinds)
    return parser


def _add_methods(parser: ArgumentParser, unexplained: set[str], kinds: Mapping[str, str]) -> None:
    parser.add_argument("methods", nargs="*", default=[], metavar="METHOD", help=method_names())
    for e in listed():
        if e.of:
            continue
        group = parser.add_argument_group(None if e.name in unexplained else f"numbers of {e.name}")
        add_method(group, with_kinds(e.method, kinds, f"{e.name}."), f"{e.name}.", hidden=e.name in unexplained)


def _add_labels(parser: ArgumentParser, kinds: Mapping[str, str]) -> None:
    """The numbers of methods under labels, none of which may be the name of another option."""
    require_free(
        labels(), {normal(a.dest.partition(".")[0]) for a in parser._actions} | {*WHERE, "method", CHECKPOINTS}
    )
    for e in labels():
        group = parser.add_argument_group(f"numbers of {e.name}, {e.of}")
        add_method(group, with_kinds(e.method, kinds, f"{e.name}."), f"{e.name}.")


def _predict() -> ArgumentParser:
    about = (
        "Apply the network in DIR to the test part of a data set, or to the rows of a new table (--csv.test), with or "
        "without labels; a table is encoded as in training, by what DIR holds. If the network came from a file of "
        "yours, the copy of it in DIR, model.py, has to run: say --trust-model-code."
    )
    parser = _options("altmin predict DIR [options]", about)
    parser.add_argument("dir", type=str, metavar="DIR", help="the folder that train wrote, or compare for a method")
    _add_data(parser, "as in training", seed=None)
    parser.add_argument("--trust-model-code", action="store_true", help=TRUST)
    parser.add_argument("--out", type=str | None, default=None, help="CSV file to write the predictions to")
    parser.add_argument("--device", type=str, default="cpu", help=DEVICE)
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    return parser


def _reproduce() -> ArgumentParser:
    from altmin import exhibits  # no other command needs them

    about = (
        "Run each EXHIBIT again, a table or a figure of a paper: its picture, its numbers beside the paper's, and "
        "whether what the paper claims holds; without one, all of them. Trainings that the folder holds are not made "
        "again: the same call once more goes on where one was ended. Exhibits, of which altmin exhibits says "
        "what they show: " + ", ".join(exhibits.names())
    )
    parser = _options("altmin reproduce [EXHIBIT ...] [options]", about, config=False)
    parser.add_argument("exhibits", nargs="*", default=[], metavar="EXHIBIT", help="such as ipdlam-table1; none: all")
    scales = (
        "smoke: drawn data, seconds; desk: fewer samples and narrower networks, minutes each; paper: as in the paper"
    )
    parser.add_argument("--scale", type=Literal["smoke", "desk", "paper"], default="desk", help=scales)
    parser.add_argument(
        "--seeds", type=Count | None, default=None, help="starts of each training; null: the scale's own"
    )
    panels = "of the EXHIBITs named only these, such as a data set or a network; none: all; what they show is judged"
    parser.add_argument("--panels", type=str, nargs="*", default=[], metavar="PANEL", help=panels)
    parser.add_argument("--jobs", type=Count | None, default=None, help="processes; null: one for each CPU")
    parser.add_argument("--device", type=str, default="cpu", help=DEVICE)
    _add_data_dir(parser)
    parser.add_argument(
        "--out", type=str, default="altmin-reproduce", help="folder for the results, also of later calls"
    )
    parser.add_argument("--quiet", action="store_true", help="print the final result only")
    return parser


def _report() -> ArgumentParser:
    about = (
        "Write one page of HTML over the runs in each DIR, of train or compare: what they reached and what it cost, "
        "curves of objectives, accuracies, residuals, penalties and step sizes in small multiples, and settings. It "
        "needs no other file and no network."
    )
    parser = _options("altmin report DIR [DIR ...] [options]", about, config=False)
    parser.add_argument("dirs", nargs="+", metavar="DIR", help="the folder of a run")
    parser.add_argument("--out", type=str, default="altmin-report.html", help="the file to write, or to replace")
    return parser


def _export() -> ArgumentParser:
    about = (
        "Write the network in DIR for other programs, with a model card: as ONNX, that of a table with its encoder "
        "in front; as a program of PyTorch's, which runs without altmin; or its weights alone as safetensors."
    )
    parser = _options("altmin export DIR [options]", about, config=False)
    parser.add_argument("dir", type=str, metavar="DIR", help="the folder that train wrote, or compare for a method")
    parser.add_argument("--to", type=Literal["onnx", "torch", "safetensors"], default="onnx", help="the format")
    parser.add_argument("--out", type=str | None, default=None, help="the folder to write to; null: DIR/export")
    parser.add_argument("--trust-model-code", action="store_true", help=TRUST)
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    return parser


OTHERS = {"predict": _predict, "reproduce": _reproduce, "report": _report, "export": _export}


def _add_data_dir(parser: Any) -> None:
    parser.add_argument("--data-dir", type=Path | None, default=None, help="where data sets lie; null: $ALTMIN_DATA")


def _add_data(parser: ArgumentParser, default: str, seed: int | None) -> None:
    group = parser.add_argument_group("data")
    group.add_argument("--data", type=str | None, default=None, help=f"{', '.join(names())}; null: {default}")
    group.add_argument("--csv.train", type=Path | None, default=None, help="table to train on; implies --data csv")
    group.add_argument("--csv.test", type=Path | None, default=None, help="table to test on; null: a part of the other")
    group.add_argument("--csv.target", type=str, default=None, help="column to predict")
    missing = Literal["impute", "error"]
    about = "missing values of a table: filled in, or refused; null: impute"
    group.add_argument("--csv.missing", type=missing | None, default=None, help=about)
    about = "what separates fields, one character or tab; null: comma, semicolon, tab or |, by the first rows"
    group.add_argument("--csv.delimiter", type=str | None, default=None, help=about)
    about = "such as latin-1 or cp1252; null: UTF-8, or UTF-16 with its mark"
    group.add_argument("--csv.encoding", type=str | None, default=None, help=about)
    task = Literal["classification", "regression"]
    group.add_argument("--task", type=task | None, default=None, help="of a table; null: classification")
    _add_data_dir(group)
    group.add_argument("--train-samples", type=Count | None, default=None, help="use only so many; null: all")
    about = "of splits, initial weights and batches" if seed is not None else "of splits; null: as in training"
    if seed is not None:
        group.add_argument("--center", action="store_true", help="subtract the mean of the training samples")
    seed_type = Seed if seed is not None else Seed | None
    group.add_argument("--seed", type=seed_type, default=seed, help=about)


def _add_training(parser: ArgumentParser, out: str, seeds: int, without: Sequence[str] = ()) -> None:
    group = _add_task(parser, "digits", without)
    group.add_argument("--seeds", type=Count, default=seeds, help=SEEDS)
    group = _add_output(parser, out)
    about = "show the objective, a sum over samples, and its terms beside loss and gap"
    group.add_argument("--objective", action="store_true", help=about)
    group.add_argument("--no-plot", action="store_true", help="draw no picture in the end")
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
    about = f"folder for the results; null: {out}; where that holds a run, the same name with -2 and so on"
    group.add_argument("--out", type=str | None, default=None, help=about)
    _add_overwrite_and_quiet(group)
    return group


def _add_overwrite_and_quiet(group: Any) -> None:
    about = "replace the run in the folder of --out; files that are no run's stay"
    group.add_argument("--overwrite", action="store_true", help=about)
    group.add_argument("--quiet", action="store_true", help="print the final result only")
