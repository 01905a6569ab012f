"""``altmin tune``."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from jsonargparse import Namespace

from altmin.checks import require_packages
from altmin.cli.commandline import parse
from altmin.cli.config import config_of_method
from altmin.cli.data import require_writable
from altmin.cli.failures import DIVERGED, FAILED
from altmin.cli.numbers import configured
from altmin.cli.plan import setup_of
from altmin.cli.preflight import check_start
from altmin.cli.report import tell
from altmin.cli.screen import Screen, complain
from altmin.cli.signals import Interrupt, exit_code
from altmin.cli.spelling import Spelling
from altmin.files import write_text
from altmin.methods.registry import METHODS
from altmin.study.claim import claimed_again
from altmin.study.folder import prepare
from altmin.study.model_source import ModelSource
from altmin.study.processes import KilledError, processes
from altmin.study.run_files import BEST, CONFIG, TRIALS, Config, text_of
from altmin.study.saved_network import SOURCE
from altmin.tune import Search, axes_of
from altmin.tune.search_report import columns, line, rows, write_trials

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

FOLDER = "altmin-tune"


def tune(options: Namespace) -> int:
    """Search a method's numbers, write the trials and the best one's options; the exit code."""
    require_packages("altmin tune", "tune", "optuna")
    screen, told = Screen(options.quiet), options.out
    with claimed_again("tune", told or FOLDER, overwrite=options.overwrite) as (folder, goes_on):
        search = _search(options, folder, screen)
        require_writable(folder)
        tell(search.setup.dataset, screen)
        check_start({search.name: (search.setup, search.method)}, folder, screen)
        _prepare(options, search, goes_on)
        status = _work(options, search, screen)
        return _finish(options, search, screen) or status


def _search(options: Namespace, folder: Path, screen: Screen) -> Search:
    """What the options say, checked."""
    name = options.method
    method = configured(METHODS[name].method, options)
    axes = axes_of(method, options.search)
    setup = setup_of(options, screen)
    setup.check(name, method, setup.problem(name))
    return Search(name, method, setup, axes, folder)


def _prepare(options: Namespace, search: Search, goes_on: bool) -> None:
    """Leave in the folder what makes the same search, or see that it is this one that is there."""
    config = config_of_method(options, search.setup, search.name, search.method) | {"search": options.search}
    model = search.setup.network.model
    if goes_on:
        _require_same(search.folder, config, model)
    else:
        prepare(search.folder, "tune", config, model)


def _require_same(folder: Path, config: Config, model: str | ModelSource) -> None:
    """A `ValueError` where a folder holds another search than that of these options."""
    before = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    now = yaml.safe_load(text_of(folder, config, model))
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    what = [f"{name} was {before.get(name)} and is {now.get(name)}" for name in names]
    if isinstance(model, ModelSource) and (folder / SOURCE).read_text(encoding="utf-8") != model.text:
        what.append(f"{model.path} has changed")
    if what:
        ways = "name another folder by --out, or replace it by --overwrite"
        raise ValueError(f"--out {folder} holds another search ({'; '.join(what)}); {ways}")


def _work(options: Namespace, search: Search, screen: Screen) -> int:
    """Make the trials that are left; the exit code."""
    done = search.begin()
    if done:
        screen.say(f"{search.folder} holds {done} trials; {max(options.trials - done, 0)} are left")
    left = range(done, options.trials)
    jobs = min(options.jobs, len(left))
    try:
        for trial in _side_by_side(search, left, jobs, options) if jobs > 1 else _here(search, left):
            screen.say(line(search, trial))
    except KeyboardInterrupt as end:
        complain("interrupted", f"finished trials are kept in {search.folder}; the same command goes on")
        return exit_code(*end.args)
    except KilledError as killed:
        complain("error", f"{killed}; finished trials are kept in {search.folder}; the same command goes on")
        return FAILED
    return 0


def _here(search: Search, left: range) -> Iterator[FrozenTrial]:
    """The trials of this process, one after the other."""
    with Interrupt() as interrupt:
        for index in left:
            trial = search.make(index, (interrupt,), interrupt.training)
            if trial is not None:
                yield trial
            if interrupt.signal is not None:
                raise KeyboardInterrupt(interrupt.signal)


def _side_by_side(search: Search, left: range, jobs: int, options: Namespace) -> Iterator[FrozenTrial]:
    """The trials of several processes, as they end."""
    indices = iter(left)
    with processes(jobs, options["import"]) as submit:
        running = {submit(_make, str(search.folder), index) for index in islice(indices, jobs)}
        try:
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {submit(_make, str(search.folder), index) for index in islice(indices, len(ended))}
                yield from (future.result() for future in ended)
        except BrokenProcessPool as error:
            raise KilledError(f"a trial of {search.folder} was not finished") from error


def _make(folder: str, index: int) -> FrozenTrial | None:
    """Make a trial of the search in a folder, in a process of its own."""
    return _search_in(folder).make(index)


@cache
def _search_in(folder: str) -> Search:
    options = parse(["tune", "--config", str(Path(folder) / CONFIG)], Spelling())
    return _search(options, Path(folder), Screen(quiet=True))


def _finish(options: Namespace, search: Search, screen: Screen) -> int:
    """Write and show what was found; the exit code."""
    write_trials(search, search.folder / TRIALS)
    if not (best := search.best()):
        complain("error", f"no trial gave a network; {search.folder / TRIALS} has what became of each")
        return DIVERGED
    config = config_of_method(options, search.setup, search.name, search.method_of(best[0]))
    path = search.folder / BEST
    write_text(path, text_of(search.folder, config, search.setup.network.model))
    screen.result(
        f"{search.name}, {search.figure.replace('_', ' ')} of {len(search.done())} trials, the best of which:"
    )
    screen.table(columns(search), rows(search))
    screen.result(f"wrote {TRIALS} and {BEST} to {search.folder}; altmin train --config {path} trains the best one")
    return 0
