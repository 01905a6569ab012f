"""One page over runs: what they reached and what that cost, their curves in small multiples, and their settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from math import isfinite, nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from altmin.study.chart import ChartCurve, chart, number
from altmin.study.comparison_table import costs, reached, task
from altmin.study.page import table, write_page
from altmin.study.report_script import SCRIPT, STYLE
from altmin.study.run import Run, by_name
from altmin.train.history import flat

LARGEST = 3_000_000  # bytes of a page
BYTES, LEAST = 32, 8  # of a value in a chart, about; points of a curve at least
MOST = 120  # points of a curve


@dataclass(frozen=True)
class Group:
    """What is drawn together: columns of ``curves.csv``.

    Attributes:
        title: Its heading.
        names: Whole columns.
        prefixes: What columns begin with whose names go on as the line's.
        steady: Whether what never changes is said in words instead.
        percent: Whether values are shares, drawn in percent on the same axis for every method.
        about: A line under the heading.
    """

    title: str
    names: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    percent: bool = False
    steady: bool = False
    about: str = ""

    def named(self, column: str) -> str | None:
        """The line that a column is; `None` where it belongs elsewhere."""
        prefix = next((p for p in self.prefixes if column.startswith(p)), None)
        if prefix is not None:
            return column.removeprefix(prefix)
        return column.removesuffix("_accuracy").removesuffix("_loss") if column in self.names else None


OWN_AXIS = "An axis for each method: objectives of different methods cannot be compared."
GROUPS = (
    Group("Accuracy (%)", ("train_accuracy", "validation_accuracy"), percent=True, about="The same axis for all."),
    Group("Loss, mean over samples", ("train_loss", "validation_loss")),
    Group("Test accuracy (%)", ("test_accuracy",), percent=True, about="Used for nothing; the same axis for all."),
    Group("Test loss, mean over samples", ("test_loss",)),
    Group("Objective and its terms", ("objective",), ("terms.",), about=f"Sums over samples. {OWN_AXIS}"),
    Group("Residuals of every layer", prefixes=("residuals.",), about="Norms over all samples."),
    Group("Gap: how far the variables are from a forward pass", ("gap",), about="Relative; 0 where they agree."),
    Group("Penalties", ("rho", "mu", "eps", "nu"), steady=True),
    Group("Step sizes", prefixes=("step_sizes.",), about="Means over the steps of a block."),
    Group("Norms of weights", prefixes=("norms.",)),
    Group("Stationarity", ("relative_stationarity",), ("stationarity.",)),
)


def write_report(runs: Mapping[str, Sequence[Run]], path: Path) -> None:
    """Write the page; it needs no other file.

    Args:
        runs: Those of each folder, by the name that it is to have.
        path: The file.

    Raises:
        ValueError: There are so many curves that the page would be larger than 3 MB.
    """
    named = {f"{folder}: {name}" if len(runs) > 1 else name: group for folder, name, group in _groups(runs)}
    parts = [f"<h1>Runs: {escape(', '.join(runs))}</h1>", *(_tables(folder, found) for folder, found in runs.items())]
    drawn = {group.title: (group, _panels(group, named)) for group in GROUPS}
    count = sum(len(curves) for _, panels in drawn.values() for curves in panels.values())
    most = min(MOST, (LARGEST // 2) // (BYTES * max(1, count)))
    if most < LEAST:
        raise ValueError(f"{count:,} curves are too many for one page; name fewer folders")
    parts += [_section(group, panels, most) for group, panels in drawn.values() if panels]
    parts += ["<h2>Settings</h2>", *(_settings(name, group) for name, group in named.items())]
    write_page(path, "Runs of altmin", "".join(parts), STYLE, SCRIPT)


def _groups(runs: Mapping[str, Sequence[Run]]) -> Iterator[tuple[str, str, list[Run]]]:
    for folder, found in runs.items():
        for group in by_name(found):
            yield folder, group[0].name, group


def _tables(folder: str, runs: Sequence[Run]) -> str:
    parts = [f"<h2>{escape(folder)}: {escape(task(runs[0]))}</h2>"]
    for found in (reached(runs), costs(runs)):
        under = "".join(f"<p>{escape(line)}</p>" for line in found.notes)
        parts += [f"<p>{escape(found.title)}</p>", table(found.columns, found.rows), under]
    return "".join(parts)


def _panels(group: Group, named: Mapping[str, Sequence[Run]]) -> dict[str, list[ChartCurve]]:
    """The curves of each method that has any."""
    found = {name: list(_curves(group, runs)) for name, runs in named.items()}
    return {name: curves for name, curves in found.items() if curves}


def _curves(group: Group, runs: Sequence[Run]) -> Iterator[ChartCurve]:
    """Means over the seeds, up to where the first of them ended.

    Lines that are zero or nan throughout are left out, and those that lie on one before, as the only term of an
    objective does.
    """
    drawn: list[list[float]] = []
    trained = [run.curve for run in runs if run.curve]
    length, factor = min(map(len, trained), default=0), 100.0 if group.percent else 1.0
    columns = dict.fromkeys(column for curve in trained for column in curve[0]) if length else {}
    for column in columns:
        name = group.named(column)
        if name is None:
            continue
        rows = [[factor * _value(curve[i].get(column)) for curve in trained] for i in range(length)]
        means = [fmean(row) for row in rows]
        if any(isfinite(mean) and mean for mean in means) and means not in drawn:
            drawn.append(means)
            spread = [stdev(row) if all(map(isfinite, row)) else nan for row in rows] if len(trained) > 1 else []
            yield ChartCurve(name, [_value(row["iteration"]) for row in trained[0][:length]], means, spread)


def _value(cell: Any) -> float:
    """A figure, which files have as text; nan for none."""
    return nan if cell in (None, "") else float(cell)


def _section(group: Group, panels: Mapping[str, Sequence[ChartCurve]], most: int) -> str:
    limits, words = _limits(panels) if group.percent else None, [group.about] if group.about else []
    if group.steady:
        steady = [f"{name} {_steady(curves)}" for name, curves in panels.items() if all(map(_constant, curves))]
        words += [f"Throughout: {'; '.join(steady)}."] if steady else []
        panels = {name: curves for name, curves in panels.items() if not all(map(_constant, curves))}
    figures = [_figure(f"{group.title}, {name}", name, curves, limits, most) for name, curves in panels.items()]
    about = "".join(f"<p>{escape(text)}</p>" for text in words)
    return f'<h2>{escape(group.title)}</h2>{about}<div class="charts">{"".join(figures)}</div>'


def _constant(curve: ChartCurve) -> bool:
    return min(curve.y) == max(curve.y)


def _steady(curves: Sequence[ChartCurve]) -> str:
    return ", ".join(f"{curve.name} {number(curve.y[0])}" for curve in curves)


def _limits(panels: Mapping[str, Sequence[ChartCurve]]) -> tuple[float, float]:
    """The ends of an axis in percent that fits all panels."""
    values = [y for curves in panels.values() for curve in curves for y in curve.y if isfinite(y)]
    return min(values), max(values)


def _figure(title: str, name: str, curves: Sequence[ChartCurve], limits: tuple[float, float] | None, most: int) -> str:
    drawing = chart(title, [_thinned(curve, most) for curve in curves], limits)
    return f'<figure><figcaption><b>{escape(name)}</b></figcaption>{drawing}<div class="values"></div></figure>'


def _thinned(curve: ChartCurve, most: int) -> ChartCurve:
    """At most so many of its points, the first and the last among them."""
    count = len(curve.x)
    if count <= most:
        return curve
    at = [round(i * (count - 1) / (most - 1)) for i in range(most)]
    spread = [curve.spread[i] for i in at] if curve.spread else ()
    return replace(curve, x=[curve.x[i] for i in at], y=[curve.y[i] for i in at], spread=spread)


def _settings(name: str, runs: Sequence[Run]) -> str:
    """What a method's first run was made with, but for figures."""
    result = runs[0].result
    lines = [f"{key}: {value}" for key, value in flat(result).items() if not isinstance(value, list) or key == "widths"]
    seeds = ", ".join(str(run.seed) for run in runs)
    text = "\n".join([f"seeds: {seeds}", *lines])
    return f"<details><summary>{escape(name)}</summary><pre>{escape(text)}</pre></details>"
