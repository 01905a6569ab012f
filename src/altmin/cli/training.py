"""``altmin train`` and ``altmin compare``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from altmin.cli.comparison import Comparison, draw
from altmin.cli.config import config_of_method, config_of_methods
from altmin.cli.data import load_data, require_writable
from altmin.cli.failures import DIVERGED, FAILED
from altmin.cli.methods import numbers_of
from altmin.cli.network import chosen
from altmin.cli.numbers import configured
from altmin.cli.preflight import check_start
from altmin.cli.report import network_files, report, tabulate, tell
from altmin.cli.results import keep, keep_what_fits, noting_what_is_kept, read_results
from altmin.cli.screen import Screen, complain
from altmin.cli.signals import Interrupt, exit_code
from altmin.methods import Method
from altmin.methods.registry import METHODS, Entry, entry, listed
from altmin.study.claim import claimed
from altmin.study.description import NetworkDescription, Origin
from altmin.study.folder import prepare
from altmin.study.footprint import check_weights
from altmin.study.machine import free_memory
from altmin.study.run import Run, run
from altmin.study.run_files import CHECKPOINTS, remove_checkpoints
from altmin.study.setup import REFUSED, Setup

YARDSTICK = "adam"


def train(options: Namespace) -> int:
    """Train by one method, write the results and the network; the exit code."""
    screen, name, resume = Screen(options.quiet), options.method, bool(options.resume)
    with folder_of("train", options) as folder:
        if resume and (before := read_results(folder)) and before[0].finished:
            return finished(before[0], folder, screen)
        method = configured(METHODS[name].method, options)
        setup = setup_of(options, screen, checkpoint=folder / CHECKPOINTS, resume=resume)
        setup.check(name, method, setup.problem(name))
        require_writable(folder)
        tell(setup.dataset, screen)
        check_start({name: (setup, method)}, folder, screen)
        if not resume:
            prepare(folder, "train", config_of_method(options, setup, name, method), setup.network.model)
        with Interrupt() as interrupt, noting_what_is_kept("train", folder):
            with screen.progress:
                show = screen.training(name, setup.epochs_of(name))
                done = run(setup, name, method, (show, interrupt), interrupt.training)
            if done.failure is not None:
                keep_what_fits(done, folder)
                raise done.failure
            keep(done, [done], folder, folder)
        report(done, screen)
        screen.where(f"wrote results.json, curves.csv, {network_files(setup)}", folder, told=options.out)
        diverged = done.result["status"] == "diverged"
        if diverged:
            complain("error", done.error or f"the loss stays far above that of outputs zero; try {method.cure}")
        return _exit_code("train", folder, interrupt, [done], DIVERGED if diverged else 0)


def compare(options: Namespace) -> int:
    """Train by several methods, write the results, the picture and the networks; the exit code."""
    screen, methods, resume = Screen(options.quiet), methods_of(options), bool(options.resume)
    with folder_of("compare", options) as folder:
        before = {done.name: done for done in read_results(folder) if done.finished} if resume else {}
        if list(before) == list(methods):
            return finished_comparison(list(before.values()), folder, screen)
        setup = setup_of(options, screen, checkpoint=folder / CHECKPOINTS, resume=resume)
        plan = plan_of(methods, setup, screen, listed=bool(options.methods))
        require_writable(folder)
        parts = {name: config_of_method(options, own, name, method) for name, (own, method) in plan.items()}
        whole = config_of_methods(options, setup, {name: method for name, (_, method) in plan.items()})
        tell(setup.dataset, screen)
        check_start(plan, folder, screen)
        prepare(folder, "compare", whole, setup.network.model, parts, resume)
        comparison = Comparison(plan, folder, screen, before)
        with Interrupt() as interrupt, noting_what_is_kept("compare", folder):
            try:
                comparison.run(interrupt)
            finally:  # before anything else can fail
                tabulate(comparison.runs, screen)
            drawn = draw(comparison.runs, folder)
        files = f"results.json, curves.csv, {'compare.png ' if drawn else ''}and each method's {network_files(setup)}"
        screen.where(f"wrote {files}", folder, told=options.out)
        failed = not drawn or any(done.result["status"] == "failed" for done in comparison.runs)
        return _exit_code("compare", folder, interrupt, comparison.runs, FAILED if failed else 0)


def folder_of(command: str, options: Namespace) -> AbstractContextManager[Path]:
    """The folder that a command writes into, which may be another than the one that is named: a line says so."""
    how = {name: bool(options.get(name)) for name in ("overwrite", "resume")}
    return claimed(command, options.out, tell=partial(complain, "note"), **how)


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


def setup_of(options: Namespace, screen: Screen, data: str = "digits", **shared: Any) -> Setup:
    """What the options say about data, network and training; cheap checks come before the data are read.

    Args:
        options: Those of a command; what it does not have stays as `Setup` has it.
        screen: Where downloads are shown.
        data: The data set where none is named.
        **shared: What else `Setup` has, which no option says.
    """
    own_numbers = numbers_of(options.get("method"))
    flags = (f.name for f in Setup.listed() if f.metadata["flag"] is not None)
    names = ["seed", *(name for name in flags if name not in own_numbers)]
    shared |= {name: options[name] for name in names if name in options}
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
        init=options.get("init"),
        encoder=dataset.encoder,
    )
    check_weights(network, free_memory(options.device))
    return Setup(dataset=dataset, network=network, **shared)


def _exit_code(command: str, folder: Path, interrupt: Interrupt, runs: Sequence[Run], code: int) -> int:
    """`code`, or what a shell expects after a signal."""
    if interrupt.signal is None:
        return code
    stopped = sum(run.result["status"] == "stopped" for run in runs)
    advice = f"`altmin {command} --resume {folder}` goes on"
    complain("interrupted", f"{len(runs)} run(s) kept in {folder}, {stopped} of them stopped early; {advice}")
    return exit_code(interrupt.signal)


def finished(run: Run, folder: Path, screen: Screen) -> int:
    """Say of a run that was to go on that it need not; 0, since what was wanted is there."""
    remove_checkpoints(folder)  # where its process was killed just before it did so
    ended = f"{run.result['status']}, {run.result['iterations']} of {run.result['epochs']} iterations"
    screen.result(f"{folder} holds a finished run: {run.name}, {ended}")
    return 0


def finished_comparison(runs: Sequence[Run], folder: Path, screen: Screen) -> int:
    """The same of a comparison, whose process may have been killed before it printed and drew them."""
    for name in (done.name for done in runs):
        remove_checkpoints(folder / name)
    screen.result(f"{folder} holds a finished comparison")
    tabulate(runs, screen)
    return 0 if draw(runs, folder) else FAILED
