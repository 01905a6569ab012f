"""``altmin train`` and ``altmin compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from jsonargparse import Namespace

from altmin.cli.comparison import Comparison
from altmin.cli.config import config_of_method, config_of_methods, config_with_second
from altmin.cli.data import require_writable
from altmin.cli.failures import DIVERGED, FAILED
from altmin.cli.numbers import configured
from altmin.cli.pictures import draw
from altmin.cli.plan import folder_of, methods_of, plan_of, seeds_of, setup_of, setups_of
from altmin.cli.preflight import Plan, check_start
from altmin.cli.report import network_files, report, tabulate, tell
from altmin.cli.results import keep, keep_what_fits, noting_what_is_kept, read_results
from altmin.cli.screen import Screen, complain
from altmin.cli.signals import Interrupt, exit_code
from altmin.cli.then import naming, second, setup_of_second
from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.study.folder import prepare
from altmin.study.run import Run, run
from altmin.study.run_files import CHECKPOINTS, CURVES, PICTURES, RESULTS, SUMMARY, Config, remove_checkpoints
from altmin.study.setup import Setup


def train(options: Namespace) -> int:
    """Train by one method, write the results and the network; the exit code."""
    screen, name, resume = Screen(options.quiet, options.objective), options.method, bool(options.resume)
    if options.seeds > 1 or options.then.method is not None:
        return _train_several(options, screen)
    with folder_of("train", options) as folder:
        if resume and (before := read_results(folder)) and before[0].finished:
            return finished(before[0], folder, screen, not options.no_plot)
        method = configured(METHODS[name].method, options)
        setup = setup_of(options, screen, checkpoint=folder / CHECKPOINTS, resume=resume)
        setup.check(name, method, setup.problem(name))
        require_writable(folder)
        tell(setup.dataset, screen)
        setup = replace(setup, memory=check_start({name: (setup, method)}, folder, screen).get(name))
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
        drawn = options.no_plot or draw("train", [done], folder)
        screen.where(f"wrote {_files('train', folder)}, {network_files(setup)}", folder, told=options.out)
        diverged = done.result["status"] == "diverged"
        if diverged:
            complain("error", done.error or f"the loss stays far above that of outputs zero; try {method.cure}")
        return _exit_code("train", folder, interrupt, [done], FAILED if not drawn else DIVERGED if diverged else 0)


def compare(options: Namespace) -> int:
    """Train by several methods, write the results, the picture and the networks; the exit code."""
    screen, methods = Screen(options.quiet, options.objective), methods_of(options)
    plan_on = partial(plan_of, methods, listed=bool(options.methods))
    return _together("compare", options, list(methods), plan_on, screen)


def _train_several(options: Namespace, screen: Screen) -> int:
    """Train by one method from several seeds, or by a second one after it; the exit code."""
    name, following = options.method, second(options)
    method = configured(METHODS[name].method, options)

    def plan_on(setup: Setup, screen: Screen) -> Plan:
        setup.check(name, method, setup.problem(name))
        plan = {name: (setup, method)}
        for label, then in following.items():
            own = setup_of_second(options, setup)
            with naming():
                own.check(label, then, own.problem(label))
            plan[label] = own, then
        return plan

    return _together("train", options, [name, *following], plan_on, screen)


def _together(
    command: str, options: Namespace, names: Sequence[str], plan_on: Callable[[Setup, Screen], Plan], screen: Screen
) -> int:
    """Make several runs, of which there is one table.

    Args:
        command: ``train`` or ``compare``.
        options: Its options.
        names: The methods.
        plan_on: Gives what is trained on a setup; says on the screen what is left out.
        screen: Where progress and results are shown.
    """
    resume, seeds = bool(options.resume), seeds_of(options)
    with folder_of(command, options) as folder:
        before = {(done.name, done.seed): done for done in read_results(folder) if done.finished} if resume else {}
        known = Comparison(command, names, seeds, folder, screen, done=before)
        if known.finished:
            return finished_comparison(known, not options.no_plot)
        setup_with = setups_of(options, screen, resume=resume)
        setup = setup_with(seeds[0])
        plan, files = plan_on(setup, screen), network_files(setup)
        require_writable(folder)
        tell(setup.dataset, screen)
        memory = check_start(plan, folder, screen, seeds=len(seeds))
        comparison = replace(known, names=list(plan), memory=memory)
        prepare_for = partial(_prepare, comparison, _config_of_all(command, options, setup, plan), options)
        prepare_for(seeds[0], plan, resume)
        first = {seeds[0]: plan}
        del setup, plan  # of all data, those of one seed are in memory

        def plan_with(seed: int) -> Plan:
            plan = first.pop(seed, None)
            first.clear()
            if plan is None:
                plan = plan_on(setup_with(seed), Screen(quiet=True))
                prepare_for(seed, plan, True)
            return plan

        with Interrupt() as interrupt, noting_what_is_kept(command, folder):
            try:
                comparison.run(plan_with, interrupt)
            finally:  # before anything else can fail
                tabulate(comparison.runs, screen)
            drawn = options.no_plot or draw(command, comparison.runs, folder)
        each = "method" if len(seeds) == 1 else "seed" if len(comparison.names) == 1 else "method's and seed"
        screen.where(f"wrote {_files(command, folder)} and each {each}'s {files}", folder, told=options.out)
        return _exit_code(command, folder, interrupt, comparison.runs, _worst(command, comparison.runs, drawn))


def _files(command: str, folder: Path) -> str:
    """What was written beside networks, in words."""
    return ", ".join(name for name in (RESULTS, SUMMARY, CURVES, PICTURES[command]) if (folder / name).is_file())


def _prepare(comparison: Comparison, whole: Config, options: Namespace, seed: int, plan: Plan, resume: bool) -> None:
    """Prepare the folders of the runs with a seed, and that of the whole before them."""
    own = {
        part: (whole if comparison.goes_on(name) else config_of_method(options, *_named(plan, name)))
        | {"seed": seed, "seeds": 1}
        for part, name in comparison.parts(seed).items()
    }
    parts = {part: own.get(part) for part in comparison.parts()}
    model = next(iter(plan.values()))[0].network.model
    prepare(comparison.folder, comparison.command, whole, model, parts, resume)


def _named(plan: Plan, name: str) -> tuple[Setup, str, Method]:
    setup, method = plan[name]
    return setup, name, method


def _config_of_all(command: str, options: Namespace, setup: Setup, plan: Plan) -> Config:
    if command == "train":
        name, *following = plan
        first = config_of_method(options, *_named(plan, name))
        return config_with_second(options, first, *_named(plan, *following)) if following else first
    return config_of_methods(options, setup, {name: method for name, (_, method) in plan.items()})


def _worst(command: str, runs: Sequence[Run], drawn: bool) -> int:
    """The exit code of several runs, where nobody ended them."""
    statuses = {done.result["status"] for done in runs}
    if not drawn or "failed" in statuses:
        return FAILED
    return DIVERGED if command == "train" and "diverged" in statuses else 0


def _exit_code(command: str, folder: Path, interrupt: Interrupt, runs: Sequence[Run], code: int) -> int:
    """`code`, or what a shell expects after a signal."""
    if interrupt.signal is None:
        return code
    stopped = sum(run.result["status"] == "stopped" for run in runs)
    advice = f"`altmin {command} --resume {folder}` goes on"
    complain("interrupted", f"{len(runs)} run(s) kept in {folder}, {stopped} of them stopped early; {advice}")
    return exit_code(interrupt.signal)


def finished(run: Run, folder: Path, screen: Screen, drawing: bool) -> int:
    """Say of a run that was to go on that it need not; 0, since what was wanted is there."""
    remove_checkpoints(folder)  # where its process was killed just before it did so
    ended = f"{run.result['status']}, {run.result['iterations']} of {run.result['epochs']} iterations"
    screen.result(f"{folder} holds a finished run: {run.name}, {ended}")
    lacks = drawing and not (folder / PICTURES["train"]).is_file()
    return FAILED if lacks and not draw("train", [run], folder) else 0


def finished_comparison(known: Comparison, drawing: bool) -> int:
    """The same of several runs, whose process may have been killed before it printed and drew them."""
    known.tidy()
    whole = "a finished comparison" if known.command == "compare" else f"{len(known.runs)} finished runs"
    known.screen.result(f"{known.folder} holds {whole}")
    tabulate(known.runs, known.screen)
    return 0 if not drawing or draw(known.command, known.runs, known.folder) else FAILED
