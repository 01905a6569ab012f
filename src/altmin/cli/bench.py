"""``altmin bench``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jsonargparse import Namespace

from altmin.cli.config import config_of_methods
from altmin.cli.data import require_writable
from altmin.cli.failures import DIVERGED
from altmin.cli.plan import folder_of, methods_of, plan_of, setup_of
from altmin.cli.preflight import check_start
from altmin.cli.screen import Screen, complain
from altmin.errors import DivergenceError
from altmin.study.folder import prepare


def bench(options: Namespace) -> int:
    """Time methods beside Adam, write the report and the picture; the exit code."""
    from altmin.bench import COLUMNS, MEANING, Report, cells, draw, line_up
    from altmin.bench import bench as measure

    screen, methods = Screen(options.quiet), methods_of(options)
    with folder_of("bench", options) as out:
        setup = setup_of(options, screen, data="synthetic")
        plan = plan_of(methods, setup, screen, listed=bool(options.methods))
        require_writable(out)
        check_start(plan, out, screen, at_once=True)
        try:
            with threads(options.threads):
                rows = measure(line_up(plan), options.rounds, setup.device, screen.say)
                report = Report.of(setup, options.rounds, rows)
        except DivergenceError as error:
            complain("error", error)
            return DIVERGED
        screen.result(report.title)
        screen.table(COLUMNS, [cells(row, report.setting["samples"]) for row in rows])
        screen.result(MEANING)
        chosen = {name: method for name, (_, method) in plan.items()}
        prepare(out, "bench", config_of_methods(options, setup, chosen), setup.network.model)
        report.write(out / "bench.json")
        draw(rows, report.title, out / "bench.png")
        screen.where("wrote bench.json and bench.png", out, told=options.out)
    return 0


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """PyTorch with so many threads; `None` leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
