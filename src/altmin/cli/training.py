"""``altmin train`` and ``altmin compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin.cli.data import load_data, require_writable
from altmin.cli.network import chosen
from altmin.cli.numbers import configured
from altmin.cli.preflight import check_start
from altmin.cli.results import write_results
from altmin.cli.screen import Interrupt, Screen, complain
from altmin.data import Dataset, TableEncoder
from altmin.methods import Method
from altmin.methods.registry import METHODS, Entry, entry, listed
from altmin.study.footprint import check_weights
from altmin.study.machine import free_memory
from altmin.study.networks import ModelSource
from altmin.study.run import TrainedRun, run
from altmin.study.saved_network import ENCODER, SOURCE, NetworkDescription, Origin, save
from altmin.study.setup import REFUSED, Setup

INTERRUPTED = 130
YARDSTICK = "adam"


def train(options: Namespace) -> int:
    """Train by one method, write the results and the network; the exit code."""
    screen, name, out = Screen(options.quiet), options.method, Path(options.out)
    method = configured(METHODS[name].method, options)
    setup = setup_of(options, screen)
    setup.check(name, method, setup.problem(name))
    require_writable(out, setup.network)
    tell(setup.dataset, screen)
    check_start({name: (setup, method)}, out, screen)
    with Interrupt() as interrupt, screen.progress:
        done = run(setup, name, method, (screen.training(name, setup.epochs_of(name)), interrupt))
    save(done.network, done.model, out)
    write_results([done], out)
    _report(done, screen)
    screen.say(f"wrote results.json, curves.csv, {_network_files(setup)} to {out}")
    if done.error is not None:
        complain("error", done.error)
        return 1
    return _exit(interrupt, [done])


def compare(options: Namespace) -> int:
    """Train by several methods, write the results, the picture and the networks; the exit code."""
    from altmin.study.plots import plot

    screen, methods, out = Screen(options.quiet), methods_of(options), Path(options.out)
    setup = setup_of(options, screen)
    plan = plan_of(methods, setup, screen, listed=bool(options.methods))
    require_writable(out)
    tell(setup.dataset, screen)
    check_start(plan, out, screen)
    with Interrupt() as interrupt, screen.progress:
        runs = _run_all(plan, out, screen, interrupt)
    plot(runs, out / "compare.png")
    _tabulate(runs, screen)
    screen.say(f"wrote results.json, curves.csv, compare.png and each method's {_network_files(setup)} to {out}")
    return _exit(interrupt, runs)


def methods_of(options: Namespace) -> dict[str, Method]:
    """The methods by name, with their numbers."""
    default = [e.name for e in listed() if e.method.gradients not in REFUSED]
    default += [] if options.get("audit") else [YARDSTICK]
    entries = [entry(name) for name in options.methods or default]
    for e in METHODS.values():
        if e not in entries and _numbers_of(e, options) != e.method:
            raise ValueError(
                f"a number of {e.name} is given, but {e.name} is not compared: add it, or leave --{e.name}.* out"
            )
    return {e.name: _numbers_of(e, options) for e in entries}


def _numbers_of(named: Entry, options: Namespace) -> Method:
    """A method with the numbers that are given under its name."""
    return configured(named.method, options[named.name.replace("-", "_")], f"{named.name}.")


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


def _run_all(
    plan: dict[str, tuple[Setup, Method]], out: Path, screen: Screen, interrupt: Interrupt
) -> list[TrainedRun]:
    """Results are written after each run, so that they outlast whatever happens to the next."""
    runs: list[TrainedRun] = []
    for name, (setup, method) in plan.items():
        if interrupt.asked:
            break
        show = screen.training(name, setup.epochs_of(name))
        runs.append(run(setup, name, method, (show, interrupt)))
        save(runs[-1].network, runs[-1].model, out / name)
        write_results(runs, out)
        if runs[-1].error is not None:
            complain("warning", f"{name}: {runs[-1].error}")
    return runs


def setup_of(options: Namespace, screen: Screen, data: str = "digits") -> Setup:
    """What the options say about data, network and training; cheap checks come before the data are read.

    Args:
        options: Those of a command; what it does not have stays as `Setup` has it.
        screen: Where downloads are shown.
        data: The data set where none is named.
    """
    names = ["seed", *(f.name for f in Setup.listed() if f.metadata["flag"] is not None)]
    shared = {name: options[name] for name in names if name in options}
    model, own = chosen(options)  # first: the model's file may register the loss and the regulariser
    Setup.check_each(shared)
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
        encoder=dataset.encoder,
    )
    check_weights(network, free_memory(options.device))
    return Setup(dataset=dataset, network=network, **shared)


def tell(dataset: Dataset, screen: Screen) -> None:
    """Print what is trained on, and what each column of a table was taken for."""
    screen.say(about(dataset))
    if dataset.encoder is not None:
        screen.say(f"columns: {'; '.join(column_lines(dataset.encoder))}")


def column_lines(encoder: TableEncoder) -> list[str]:
    """What each column was taken for; four or more alike, one after the other, are one line."""
    lines: list[str] = []
    for about, alike in groupby((*encoder.columns, encoder.target), key=lambda column: column.about):
        names = [column.name for column in alike]
        whole = f"{names[0]} to {names[-1]} ({len(names)} columns): {about}"
        lines += [whole] if len(names) > 3 else [f"{name}: {about}" for name in names]
    return lines


def about(dataset: Dataset) -> str:
    """What is trained, validated and tested on."""
    parts = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    counts = ", ".join(f"{len(split):,} {name}" for name, split in parts.items())
    kind = f"{dataset.outputs} numbers to predict" if dataset.classes is None else f"{len(dataset.classes)} classes"
    note = f" ({dataset.note})" if dataset.note else ""
    return f"{dataset.name}: {counts} samples, {dataset.features} features, {kind}{note}"


def _network_files(setup: Setup) -> str:
    own = f", {SOURCE}" if isinstance(setup.network.model, ModelSource) else ""
    own += f", {ENCODER}" if setup.network.encoder is not None else ""
    return f"model.json{own} and model.safetensors"


def _tabulate(runs: Sequence[TrainedRun], screen: Screen) -> None:
    """Print a comparison: a row for each run."""
    screen.result(f"{_task(runs[0])}, {_unit(runs[0])}; kept: the iteration whose weights were kept, of all;")
    screen.result("last: on test, by the last iteration's weights; s: of training, evaluation not counted")
    units = ["R^2", "RMSE"] if runs[0].network.classes is None else []
    columns = ["method", "loss", "kept", "train", "valid.", "test", "last", *units, "s", "CPU s", "status"]
    screen.table(columns, [_row(run.result) for run in runs], left=2)


def _row(result: dict[str, Any]) -> list[str]:
    kept = f"{result['kept_iteration'] or '-'}/{result['iterations']}"
    figures = [_figure(result, name) for name in ("train", "validation", "test", "last_test")]
    times = [f"{result[name]:.2f}" for name in ("seconds", "cpu_seconds")]
    regression = _quality(result, "test") if result["test_accuracy"] is None else []
    return [result["method"], result["loss"], kept, *figures, *regression, *times, result["status"]]


def _quality(result: dict[str, Any], name: str) -> list[str]:
    """R^2 and RMSE of a regression."""
    r2, rmse = result[f"{name}_r2"], result[f"{name}_rmse"]
    return ["-" if r2 is None else f"{r2:.4f}", f"{rmse:.4g}"]


def _report(done: TrainedRun, screen: Screen) -> None:
    """Print what became of one run: the weights kept and the last ones."""
    result, parts = done.result, ("train", "validation", "test")
    ended = f"{result['status']}, {result['iterations']} of {result['epochs']} iterations"
    times = f"{result['seconds']:.2f} s, {result['cpu_seconds']:.2f} CPU s"
    screen.result(f"{_task(done)}, {done.name}, {result['loss']}: {ended}, {times}; {_unit(done)}")
    kept = "best on validation" if result["keep"] == "best" else "kept"
    rows = [(kept, result["kept_iteration"], ""), ("last", result["iterations"], "last_")]
    figures = [[name, str(i or "-"), *(_figure(result, prefix + part) for part in parts)] for name, i, prefix in rows]
    units = ["test R^2", "test RMSE"] if done.network.classes is None else []
    for line, (_, _, prefix) in zip(figures, rows, strict=True):
        line += _quality(result, f"{prefix}test") if units else []
    screen.table(["weights", "iteration", *parts, *units], figures)


def _task(run: TrainedRun) -> str:
    """Data and network, such as ``mnist, residual 784-19x100-10``."""
    runs = [(width, len(list(same))) for width, same in groupby(run.result["widths"])]
    widths = "-".join(f"{n}x{width}" if n > 3 else "-".join([str(width)] * n) for width, n in runs)
    model = "" if run.network.model == "mlp" else f"{run.network.name} "
    return f"{run.result['data']}, {model}{widths}"


def _unit(run: TrainedRun) -> str:
    return "loss" if run.network.classes is None else "accuracy in %"


def _figure(result: dict[str, Any], name: str) -> str:
    """A percentage; for regression a loss."""
    accuracy, loss = result[f"{name}_accuracy"], result[f"{name}_loss"]
    return f"{loss:.4g}" if accuracy is None else f"{100 * accuracy:.2f}"


def _exit(interrupt: Interrupt, runs: Sequence[TrainedRun]) -> int:
    """0, or what a shell expects after Ctrl-C."""
    if not interrupt.asked:
        return 0
    stopped = sum(run.history.status == "stopped" for run in runs)
    complain("interrupted", f"{len(runs)} run(s) kept, {stopped} of them stopped early")
    return INTERRUPTED
