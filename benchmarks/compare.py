"""The library beside the papers' printed loops (`literal`) and beside Adam, in one run.

The printed loops take the library's default penalties and the authors' trials, which start at 1 and double; the prox of
the last layer is FISTA, as printed.

    python benchmarks/compare.py [--hidden 200 200] [--samples 5000] [--data mnist --data-dir DIR] [--rounds 1]
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import literal
from altmin.bench import Report, bench, line_up, markdown
from altmin.convert import problem_of, state_of
from altmin.methods.registry import METHODS
from altmin.study.setup import Setup
from common import options, plan, setup

PRINTED: dict[str, Callable[..., Any]] = {
    "dladmm": literal.DLADMM,
    "mdlam": literal.MDLAM,
    "ipdlam": literal.IPDLAM,
}
SUFFIX = ", literal"


class FullBatch:
    """Printed loops on all samples."""

    def __init__(self, name: str, task: Setup) -> None:
        train, model = task.dataset.train, task.network.build(task.seed)
        problem, start = problem_of(model, task.loss_of(name)), state_of(model)
        self.name, self.batch_size = name + SUFFIX, len(train)
        y = problem.loss.encode(train.y, problem.outputs, train.x.dtype)
        self._loops = PRINTED[name](start.W, start.b, train.x, y)

    def epoch(self) -> None:
        """One iteration."""
        self._loops.step()


class Online:
    """The printed steps of AM-Adam on batches."""

    def __init__(self, name: str, task: Setup) -> None:
        start, size = state_of(task.network.build(task.seed)), METHODS[name].method.default_batch
        self.name, self._train = name + SUFFIX, task.dataset.train
        self.batch_size = min(size or len(self._train), len(self._train))
        self._loops = literal.OnlineAM(start.W, start.b)

    def epoch(self) -> None:
        """One pass over the samples."""
        batches = (t.split(self.batch_size) for t in (self._train.x, self._train.y))
        for x, y in zip(*batches, strict=True):
            self._loops.step(x, y)


def main() -> None:
    """Time, write ``literal.json`` and print the table and what the library gains."""
    parser = options("The library beside the papers' printed loops.", out="results")
    parser.add_argument("--hidden", nargs="+", type=int, default=[200, 200], help="widths of hidden layers")
    parser.add_argument("--samples", type=int, default=5_000, help="of the training set")
    given = parser.parse_args()
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    task = setup(given, given.hidden, given.samples)
    printed = [(FullBatch if name in PRINTED else Online)(name, task) for name in given.methods]
    rows = bench([*line_up(plan(task, given.methods)), *printed], given.rounds, "cpu", print)
    report = Report.of(task, given.rounds, rows)
    report.write(out / "literal.json")
    print(report.title, markdown(rows, given.samples), sep="\n\n")
    seconds = {row.name: row.cpu_seconds for row in rows}
    for name in given.methods:
        print(f"{name}: printed loops cost {seconds[name + SUFFIX] / seconds[name]:.1f} times as much")


if __name__ == "__main__":
    main()
