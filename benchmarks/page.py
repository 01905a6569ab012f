"""Measure every method whose cost the documentation speaks of, and write the table of docs/performance.md.

Every network is one run, in which its methods and PyTorch's Adam take turns; what records cost is then measured in
`altmin.fit`. On one slow core the whole takes a quarter of an hour.

    python benchmarks/page.py --data-dir DIR [--rounds 3] [--page docs/performance.md] [--smoke]
"""

from __future__ import annotations

import argparse
import subprocess
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import altmin
from altmin.bench import BenchRow, Report, bench, line_up
from altmin.data import load
from altmin.files import replacing
from altmin.methods import Method
from altmin.methods.registry import METHODS
from altmin.study.description import NetworkDescription
from altmin.study.setup import Setup

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
COLUMNS = ["network", "samples", "method", "batch", "CPU s", "x Adam", "of limit", "records", "x data+state"]
RECORDED = 5  # epochs of the run whose records are timed; the first warms up, and the last record is like no other


@dataclass(frozen=True)
class Run:
    """A network, how many samples it is trained on, and by which methods."""

    network: str
    samples: int
    methods: tuple[str, ...]

    def setup(self, data_dir: str | None, smoke: bool) -> Setup:
        """The task; a small one of drawn images for a smoke run."""
        if smoke:
            dataset = load("synthetic", train_samples=200)
        else:
            dataset = load("mnist", data_dir=data_dir, train_samples=self.samples)
        named, _, norm = self.network.partition(", ")
        options: dict[str, object] = {"batch_norm": True} if norm else {}
        if named != "lenet5":
            options["hidden"] = (8, 8) if smoke else tuple(map(int, named.split("-")))
        network = NetworkDescription(
            model="lenet5" if named == "lenet5" else "mlp",
            inputs=dataset.image or (1, 28, 28) if named == "lenet5" else (dataset.features,),
            outputs=dataset.outputs,
            options=options,
            classes=dataset.classes,
        )
        return Setup(dataset=dataset, network=network)


RUNS = [
    Run("100-100", 55_000, ("mdlam", "am-adam", "am-mem")),
    Run("100-100, normalised", 55_000, ("am-adam",)),
    Run("200-200", 55_000, ("dladmm", "bcd")),
    Run("500-500", 55_000, ("ipdlam", "am-ridge")),
    Run("500-500", 10_000, ("am-adam", "am-newton", "am-mem")),
    Run("1000-1000", 11_000, ("dladmm",)),
    Run("lenet5", 4_000, ("am-adam",)),
]


def share_of_records(task: Setup, name: str, method: Method) -> float:
    """The part of the CPU seconds of `altmin.fit` that its default records take, but for the run's last one."""
    train, at = task.dataset.train, []
    history = altmin.fit(
        task.network.build(task.seed),
        method,
        (train.x, train.y),
        loss=task.loss_of(name),
        epochs=RECORDED,
        batch_size=task.batch_size_of(method),
        callbacks=[lambda history, state: at.append(time.process_time())],
    )
    whole, steps = at[-2] - at[0], sum(history["cpu_seconds"][1:-1])
    return max(0.0, 1.0 - steps / whole)


def line(run: Run, row: BenchRow, records: float) -> list[str]:
    """A row of the table as texts."""
    batch = "all" if row.batch_size == run.samples else str(row.batch_size)
    figures = row.ratio, row.share, records, row.peak_bytes / row.existing_bytes
    return [run.network, f"{run.samples:,}", row.name, batch, f"{row.cpu_seconds:.3g}", *(f"{v:.2f}" for v in figures)]


def measured(run: Run, task: Setup, rounds: int) -> tuple[list[list[str]], Report]:
    """The lines of a run, and what it was measured on; Adam's own rows are left out."""
    chosen = {name: METHODS[name].method for name in run.methods}
    rows = bench(line_up({name: (task, method) for name, method in chosen.items()}), rounds, "cpu", print)
    own = [row for row in rows if row.name in chosen]
    lines = [line(run, row, share_of_records(task, row.name, chosen[row.name])) for row in own]
    return lines, Report.of(task, rounds, rows)


def section(lines: Sequence[Sequence[str]], report: Report, commit: str) -> str:
    """The table, and where it comes from."""
    table = [COLUMNS, ["---"] + ["---:"] * (len(COLUMNS) - 1), *lines]
    machine = f"{report.title.partition('; ')[2]}, PyTorch {report.versions['torch']}"
    origin = (
        f"Commit `{commit}`, {machine}: `python benchmarks/page.py --data-dir DIR --rounds {report.setting['rounds']}`."
    )
    return "\n".join(f"| {' | '.join(cells)} |" for cells in table) + f"\n\n{origin}\n\n"


def filled(page: str, text: str) -> str:
    """The page with `text`, and nothing else, between its markers.

    Raises:
        ValueError: A page without the two markers, each once and in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ValueError(f"the page must have {BEGIN} and {END} once, in this order")
    return f"{before}{BEGIN}\n\n{text}{END}{after}"


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description="Measure what docs/performance.md says, and write its table.")
    parser.add_argument("--data-dir", help="folder of data sets; ALTMIN_DATA or ~/.cache/altmin by default")
    parser.add_argument("--rounds", type=int, default=3, help="timed passes over the samples, of which the median")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md", help="the page to write into")
    parser.add_argument("--smoke", action="store_true", help="only see that it runs: small networks, drawn images")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", altmin.PenaltyWarning)
    page = given.page.read_text(encoding="utf-8")
    filled(page, "")  # a page without its place is an error before anything is measured
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.strip()
    rounds = 1 if given.smoke else given.rounds
    found = [measured(run, run.setup(given.data_dir, given.smoke), rounds) for run in RUNS]
    lines = [cells for of_one, _ in found for cells in of_one]
    with replacing(given.page) as part:
        part.write_text(filled(page, section(lines, found[-1][1], commit)), encoding="utf-8")


if __name__ == "__main__":
    main()
