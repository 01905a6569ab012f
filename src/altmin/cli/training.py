"""``altmin train`` and ``altmin compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jsonargparse import Namespace

from altmin.checkpoint import Description
from altmin.cli.data import check_device, load_data
from altmin.cli.options import configured
from altmin.cli.screen import Interrupt, Screen, complain
from altmin.methods import Backprop, Method
from altmin.modules import make_loss, make_regularizer
from altmin.registry import METHODS, entry
from altmin.runs import Run, Setup, run, save_model, write_results

INTERRUPTED = 130


def train(options: Namespace) -> int:
    """Train by one method, write the results and the network; the exit code."""
    screen, name = Screen(options.quiet), options.method
    method = configured(METHODS[name].method, options)
    setup = _setup(options, screen)
    setup.check(name, method)
    options.out.mkdir(parents=True, exist_ok=True)
    with Interrupt() as interrupt, screen.progress:
        done = run(setup, name, method, (screen.training(name, setup.epochs_of(name)), interrupt))
    save_model(done, options.out)
    write_results([done], options.out)
    _report(done, screen)
    screen.say(f"wrote results.json, curves.csv, model.json and model.safetensors to {options.out}")
    if done.error is not None:
        complain("error", done.error)
        return 1
    return _exit(interrupt, [done])


def compare(options: Namespace) -> int:
    """Train by several methods, write the results, the picture and the networks; the exit code."""
    from altmin.plots import plot

    screen, methods = Screen(options.quiet), _methods(options)
    setup = _setup(options, screen)
    for name, method in methods.items():
        setup.check(name, method)
    options.out.mkdir(parents=True, exist_ok=True)
    with Interrupt() as interrupt, screen.progress:
        runs = _run_all(setup, methods, options, screen, interrupt)
    plot(runs, options.out / "compare.png")
    columns, rows = _comparison(runs)
    screen.table(columns, rows, left=2)
    written = "results.json, curves.csv, compare.png and each method's model.json and model.safetensors"
    screen.say(f"wrote {written} to {options.out}")
    return _exit(interrupt, runs)


def _methods(options: Namespace) -> dict[str, Method]:
    """The methods by name, with their numbers."""
    default = [name for name, known in METHODS.items() if not isinstance(known.method, Backprop)] + ["adam"]
    entries = [entry(name) for name in options.methods or default]
    return {known.name: configured(known.method, options[known.name]) for known in entries}


def _run_all(
    setup: Setup, methods: dict[str, Method], options: Namespace, screen: Screen, interrupt: Interrupt
) -> list[Run]:
    """Results are written after each run, so that they outlast whatever happens to the next."""
    runs: list[Run] = []
    for name, method in methods.items():
        if interrupt.asked:
            break
        show = screen.training(name, setup.epochs_of(name))
        own = setup if method.batched else replace(setup, batch_size=None)
        runs.append(run(own, name, method, (show, interrupt)))
        save_model(runs[-1], options.out / name)
        write_results(runs, options.out)
        if runs[-1].error is not None:
            complain("warning", f"{name}: {runs[-1].error}")
    return runs


def _setup(options: Namespace, screen: Screen) -> Setup:
    """What the options say about data, network and training; cheap checks come before the data are read."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    shared = {name: options[name] for name in ("loss", "regularizer", "epochs", "batch_size", "keep", "seed")}
    make_loss(options.loss or "squared")
    make_regularizer(options.regularizer)
    device = check_device(options.device)
    about = {name: options[name] for name in ("activation", "batch_norm", "dtype")}
    network = Description(widths=(1, *options.hidden, 1), **about)
    dataset, origin = load_data(options, options.dtype, screen)
    widths = dataset.features, *options.hidden, dataset.outputs
    network = replace(network, widths=widths, classes=dataset.classes, data=origin)
    return Setup(dataset=dataset, network=network, device=device, **shared)


def _comparison(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """The table of a comparison: a row for each run."""
    what = _what(runs[0])
    names = ("train", "validation", "test", "last_test")
    columns = ["method", "loss", "epochs", "kept", *(f"{name.replace('_', ' ')} {what}" for name in names)]
    rows = [_row(run.result, [f"{name}_{what}" for name in names]) for run in runs]
    return [*columns, "seconds", "CPU seconds", "status"], rows


def _row(result: dict[str, Any], names: Sequence[str]) -> list[str]:
    start = [result["method"], result["loss"], str(result["iterations"]), str(result["kept_iteration"] or "-")]
    times = [f"{result[name]:.2f}" for name in ("seconds", "cpu_seconds")]
    return [*start, *(_figure(name, result[name]) for name in names), *times, result["status"]]


def _report(done: Run, screen: Screen) -> None:
    """What became of one run: the weights kept and the last ones."""
    result, what = done.result, _what(done)
    hidden = "-".join(map(str, done.network.widths))
    screen.result(
        f"{done.name} on {result['data']}, {hidden}, {result['loss']}: {result['status']} after "
        f"{result['iterations']} iterations, {result['seconds']:.2f} s ({result['cpu_seconds']:.2f} CPU s)"
    )
    kept = "best on validation" if result["keep"] == "best" else "kept"
    rows = [(kept, result["kept_iteration"], ""), ("last", result["iterations"], "last_")]
    parts = ("train", "validation", "test")
    screen.table(
        ["weights", "iteration", *(f"{part} {what}" for part in parts)],
        [[n, str(i or "-"), *(_figure(what, result[f"{p}{part}_{what}"]) for part in parts)] for n, i, p in rows],
    )


def _what(run: Run) -> str:
    return "loss" if run.network.classes is None else "accuracy"


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2%}" if name.endswith("accuracy") else f"{value:.4g}"


def _exit(interrupt: Interrupt, runs: Sequence[Run]) -> int:
    """0, or what a shell expects after Ctrl-C."""
    if not interrupt.asked:
        return 0
    stopped = sum(run.history.status == "stopped" for run in runs)
    complain("interrupted", f"{len(runs)} run(s) kept, {stopped} of them stopped early")
    return INTERRUPTED
