"""``altmin train`` and ``altmin compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin.cli.comparison import Comparison, draw
from altmin.cli.config import config_of_method, config_of_methods
from altmin.cli.data import load_data, require_writable
from altmin.cli.failures import DIVERGED, FAILED
from altmin.cli.network import chosen
from altmin.cli.numbers import configured
from altmin.cli.results import keep, keep_what_fits, noting_what_is_kept, read_results
from altmin.cli.screen import Screen, complain
from altmin.cli.signals import Interrupt, exit_code
from altmin.data import Dataset
from altmin.losses import make_loss
from altmin.methods import Method
from altmin.methods.registry import METHODS, entry, listed
from altmin.regularizers import make_regularizer
from altmin.study.folder import claimed, prepare
from altmin.study.networks import ModelSource
from altmin.study.run import Run, TrainedRun, run
from altmin.study.run_files import CHECKPOINTS, remove_checkpoints
from altmin.study.saved_network import SOURCE, NetworkDescription, Origin
from altmin.study.setup import REFUSED, Setup
from altmin.train.place import check_device

YARDSTICK = "adam"


def train(options: Namespace) -> int:
    """Train by one method, write the results and the network; the exit code."""
    screen, name, resume = Screen(options.quiet), options.method, bool(options.resume)
    with claimed("train", options.out, overwrite=options.overwrite, resume=resume) as folder:
        if resume and (before := read_results(folder)) and before[0].finished:
            return _finished(before[0], folder, screen)
        method = configured(METHODS[name].method, options)
        setup = setup_of(options, screen, checkpoint=folder / CHECKPOINTS, resume=resume)
        setup.check(name, method, setup.problem(name))
        require_writable(folder)
        if not resume:
            prepare(folder, "train", config_of_method(options, setup, name, method), setup.network.model)
        screen.say(about(setup.dataset))
        with Interrupt() as interrupt, noting_what_is_kept("train", folder):
            with screen.progress:
                show = screen.training(name, setup.epochs_of(name))
                done = run(setup, name, method, (show, interrupt), interrupt.training)
            if done.failure is not None:
                keep_what_fits(done, folder)
                raise done.failure
            keep(done, [done], folder, folder)
        _report(done, screen)
        screen.where(f"wrote results.json, curves.csv, {_network_files(setup)}", folder, told=options.out)
        if done.error is not None:
            complain("error", done.error)
        return _exit_code("train", folder, interrupt, [done], DIVERGED if done.error else 0)


def compare(options: Namespace) -> int:
    """Train by several methods, write the results, the picture and the networks; the exit code."""
    screen, methods, resume = Screen(options.quiet), methods_of(options), bool(options.resume)
    with claimed("compare", options.out, overwrite=options.overwrite, resume=resume) as folder:
        before = {done.name: done for done in read_results(folder) if done.finished} if resume else {}
        if list(before) == list(methods):
            return _finished_comparison(list(before.values()), folder, screen)
        setup = setup_of(options, screen, checkpoint=folder / CHECKPOINTS, resume=resume)
        plan = plan_of(methods, setup, screen, listed=bool(options.methods))
        require_writable(folder)
        parts = {name: config_of_method(options, own, name, method) for name, (own, method) in plan.items()}
        whole = config_of_methods(options, setup, {name: method for name, (_, method) in plan.items()})
        prepare(folder, "compare", whole, setup.network.model, parts, resume)
        screen.say(about(setup.dataset))
        comparison = Comparison(plan, folder, screen, before)
        with Interrupt() as interrupt, noting_what_is_kept("compare", folder):
            try:
                comparison.run(interrupt)
            finally:  # before anything else can fail
                _tabulate(comparison.runs, screen)
            drawn = draw(comparison.runs, folder)
        files = f"results.json, curves.csv, {'compare.png ' if drawn else ''}and each method's {_network_files(setup)}"
        screen.where(f"wrote {files}", folder, told=options.out)
        failed = not drawn or any(done.result["status"] == "failed" for done in comparison.runs)
        return _exit_code("compare", folder, interrupt, comparison.runs, FAILED if failed else 0)


def methods_of(options: Namespace) -> dict[str, Method]:
    """The methods by name, with their numbers."""
    default = [e.name for e in listed() if e.method.gradients not in REFUSED]
    default += [] if options.get("audit") else [YARDSTICK]
    entries = [entry(name) for name in options.methods or default]
    for e in METHODS.values():
        if e not in entries and configured(e.method, options[e.name.replace("-", "_")]) != e.method:
            raise ValueError(
                f"a number of {e.name} is given, but {e.name} is not compared: add it, or leave --{e.name}.* out"
            )
    return {e.name: configured(e.method, options[e.name.replace("-", "_")]) for e in entries}


def plan_of(methods: dict[str, Method], setup: Setup, screen: Screen, listed: bool) -> dict[str, tuple[Setup, Method]]:
    """Each method and what it is trained on, checked; those that nobody listed may lack support for the network."""
    whole = replace(setup, batch_size=None)  # for methods that do not take batches
    plan = {name: (setup if method.batched else whole, method) for name, method in methods.items()}
    for name, (own, method) in list(plan.items()):
        problem = own.problem(name)
        try:
            own.check(name, method, problem)
        except TypeError as error:
            if listed or name == YARDSTICK or len(plan) == 1:
                raise
            screen.say(f"{name} is left out: {error}")
            del plan[name]
    return plan


def setup_of(options: Namespace, screen: Screen, data: str = "digits", **shared: Any) -> Setup:
    """What the options say about data, network and training; cheap checks come before the data are read.

    Args:
        options: Those of a command; what it does not have stays as `Setup` has it.
        screen: Where downloads are shown.
        data: The data set where none is named.
        **shared: What else `Setup` has, which no option says.
    """
    names = ["seed", *(f.name for f in Setup.listed() if f.metadata["flag"] is not None)]
    shared |= {name: options[name] for name in names if name in options}
    model, own = chosen(options)  # first: the model's file may register the loss and the regulariser
    make_loss(options.loss or "squared")
    make_regularizer(options.regularizer)
    shared["device"] = check_device(options.device)
    dtype = {None: options.dtype, "bf16": "float32"}.get(options.precision, options.precision)
    dataset, origin = load_data(options, dtype, screen, Origin(name=data))
    network = NetworkDescription(
        model=model,
        inputs=dataset.image or (dataset.features,),
        outputs=dataset.outputs,
        options=own,
        dtype=dtype,
        classes=dataset.classes,
        data=origin,
    )
    return Setup(dataset=dataset, network=network, **shared)


def about(dataset: Dataset) -> str:
    """What is trained, validated and tested on."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = ", ".join(f"{len(split):,} {name}" for name, split in parts.items())
    kind = f"{dataset.outputs} numbers to predict" if dataset.classes is None else f"{len(dataset.classes)} classes"
    note = f" ({dataset.note})" if dataset.note else ""
    return f"{dataset.name}: {counts} samples, {dataset.features} features, {kind}{note}"


def _network_files(setup: Setup) -> str:
    own = f", {SOURCE}" if isinstance(setup.network.model, ModelSource) else ""
    return f"model.json{own} and model.safetensors"


def _finished(run: Run, folder: Path, screen: Screen) -> int:
    """Say of a run that was to go on that it need not; 0, since what was wanted is there."""
    remove_checkpoints(folder)  # where its process was killed just before it did so
    ended = f"{run.result['status']}, {run.result['iterations']} of {run.result['epochs']} iterations"
    screen.result(f"{folder} holds a finished run: {run.name}, {ended}")
    return 0


def _finished_comparison(runs: Sequence[Run], folder: Path, screen: Screen) -> int:
    """The same of a comparison, whose process may have been killed before it printed and drew them."""
    for name in (done.name for done in runs):
        remove_checkpoints(folder / name)
    screen.result(f"{folder} holds a finished comparison")
    _tabulate(runs, screen)
    return 0 if draw(runs, folder) else FAILED


def _tabulate(runs: Sequence[Run], screen: Screen) -> None:
    """Print a comparison: a row for each run."""
    if not runs:
        return
    screen.result(f"{_task(runs[0])}, {_unit(*runs)}; kept: the iteration whose weights were kept, of all;")
    screen.result("last: on test, by the last iteration's weights; s: of training, evaluation not counted")
    columns = ["method", "loss", "kept", "train", "valid.", "test", "last", "s", "CPU s", "status"]
    screen.table(columns, [_row(run.result) for run in runs], left=2)


def _row(result: dict[str, Any]) -> list[str]:
    kept = f"{result['kept_iteration'] or '-'}/{result['iterations']}"
    figures = [_figure(result, name) for name in ("train", "validation", "test", "last_test")]
    times = [f"{result[name]:.2f}" for name in ("seconds", "cpu_seconds")]
    return [result["method"], result["loss"], kept, *figures, *times, result["status"]]


def _report(done: TrainedRun, screen: Screen) -> None:
    """Print what became of one run: the weights kept and the last ones."""
    result, parts = done.result, ("train", "validation", "test")
    ended = f"{result['status']}, {result['iterations']} of {result['epochs']} iterations"
    times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s"
    screen.result(f"{_task(done)}, {done.name}, {result['loss']}: {ended}, {times}; {_unit(done)}")
    kept = "best on validation" if result["keep"] == "best" else "kept"
    rows = [(kept, result["kept_iteration"], ""), ("last", result["iterations"], "last_")]
    figures = [[name, str(i or "-"), *(_figure(result, prefix + part) for part in parts)] for name, i, prefix in rows]
    screen.table(["weights", "iteration", *parts], figures)


def _task(run: Run) -> str:
    """Data and network, such as ``mnist, residual 784-19x100-10``."""
    runs = [(width, len(list(same))) for width, same in groupby(run.result["widths"])]
    widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
    model = "" if run.result["model"] == "mlp" else f"{run.result['model']} "
    return f"{run.result['data']}, {model}{widths}"


def _unit(*runs: Run) -> str:
    return "loss" if all(run.result["train_accuracy"] is None for run in runs) else "accuracy in %"


def _figure(result: dict[str, Any], name: str) -> str:
    """A percentage; for regression a loss."""
    accuracy, loss = result[f"{name}_accuracy"], result[f"{name}_loss"]
    if accuracy is not None:
        return f"{100 * accuracy:.2f}"
    return "-" if loss is None else f"{loss:.4g}"


def _exit_code(command: str, folder: Path, interrupt: Interrupt, runs: Sequence[Run], code: int) -> int:
    """`code`, or what a shell expects after a signal."""
    if interrupt.signal is None:
        return code
    stopped = sum(run.result["status"] == "stopped" for run in runs)
    advice = f"`altmin {command} --resume {folder}` goes on"
    complain("interrupted", f"{len(runs)} run(s) kept in {folder}, {stopped} of them stopped early; {advice}")
    return exit_code(interrupt.signal)
