"""What an iteration costs by the number of samples and by the width of the hidden layers, as a table and a picture.

python benchmarks/scaling.py [--samples 5000 15000 30000 55000] [--widths 100 200 400 800 1600]
"""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from altmin.bench import BenchRow, bench, line_up
from altmin.study.plots import COLOURS, plain
from common import options, plan, setup

LAYERS = 2


class Point(NamedTuple):
    """One setting and a method's figures there."""

    samples: int
    width: int
    row: BenchRow


def measured(given: Namespace, samples: int, width: int) -> list[Point]:
    """The methods, two hidden layers of one width."""
    task = setup(given, [width] * LAYERS, samples)
    print(f"{samples:,} samples, width {width}", flush=True)
    rows = bench(line_up(plan(task, given.methods)), given.rounds, task.device)
    return [Point(samples, width, row) for row in rows if row.name in given.methods]


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of a straight line through ``(log x, log y)``: 1 where `y` is linear in `x`."""
    u, v = [[math.log(t) for t in values] for values in (x, y)]
    mean_u, mean_v = sum(u) / len(u), sum(v) / len(v)
    over = sum((p - mean_u) * (q - mean_v) for p, q in zip(u, v, strict=True))
    return over / sum((p - mean_u) ** 2 for p in u)


def table(points: Sequence[Point], by: str) -> str:
    """Measured CPU seconds, those of the products alone, and the exponents of cost and FLOPs in what varies."""
    x = sorted({getattr(p, by) for p in points})
    lines = [["method", *(f"{n:,}" for n in x), "cost grows as", "FLOPs as"]]
    lines.append(["---"] + ["---:"] * (len(lines[0]) - 1))
    for name, rows in by_method(points).items():
        cells = [f"{row.cpu_seconds:.3g} ({row.product_seconds:.3g})" for row in rows]
        powers = [exponent(x, [getattr(row, what) for row in rows]) for what in ("cpu_seconds", "flops")]
        lines.append([name, *cells, *(f"{by}^{power:.2f}" for power in powers)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_method(points: Sequence[Point]) -> dict[str, list[BenchRow]]:
    """Each method's rows in the order of the points."""
    names = dict.fromkeys(p.row.name for p in points)
    return {name: [p.row for p in points if p.row.name == name] for name in names}


def panel(axes: Axes, points: Sequence[Point], by: str, label: str) -> None:
    """Dots: CPU seconds; dashes: what the matrix products cost alone."""
    x = list(dict.fromkeys(getattr(p, by) for p in points))
    for colour, (name, rows) in zip(COLOURS, by_method(points).items(), strict=False):
        axes.plot(x, [row.cpu_seconds for row in rows], "o-", color=colour, label=name)
        axes.plot(x, [row.product_seconds for row in rows], "--", color=colour, linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    plain(axes.yaxis)
    axes.set_xticks(x, [f"{n:,}" for n in x])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)


def draw(samples: Sequence[Point], widths: Sequence[Point], path: Path) -> None:
    """Both panels as a picture."""
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    panel(left, samples, "samples", f"samples (hidden layers of {samples[0].width})")
    panel(right, widths, "width", f"width of both hidden layers ({widths[0].samples:,} samples)")
    left.set_ylabel("CPU seconds an iteration or epoch")
    left.legend(frameon=False)
    figure.suptitle("Lines: measured. Dashes: the matrix products alone.", fontsize="medium")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measure, write ``scaling.json`` and ``scaling.png``, print the tables."""
    parser = options("Cost by samples and by widths.", out="results")
    parser.add_argument("--samples", nargs="+", type=int, default=[5_000, 15_000, 30_000, 55_000])
    parser.add_argument("--widths", nargs="+", type=int, default=[100, 200, 400, 800, 1_600])
    parser.add_argument("--width", type=int, default=200, help="where the number of samples varies")
    given = parser.parse_args()
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    samples = [point for n in given.samples for point in measured(given, n, given.width)]
    widths = [point for width in given.widths for point in measured(given, given.samples[0], width)]
    draw(samples, widths, out / "scaling.png")
    values = [{"samples": p.samples, "width": p.width, **asdict(p.row)} for p in samples + widths]
    (out / "scaling.json").write_text(json.dumps(values, indent=1) + "\n")
    print(table(samples, "samples"), table(widths, "width"), sep="\n\n")


if __name__ == "__main__":
    main()
