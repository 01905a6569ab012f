"""What tables of seconds have in common: an iteration's time by the penalty and something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from altmin.exhibits.exhibit import Exhibit, Grid
from altmin.exhibits.outcomes import Measure
from altmin.exhibits.rules import grows, within_factor
from altmin.exhibits.setting import Changes, ExhibitScale, Setting
from altmin.methods import Method

SECONDS = "s an iteration"
SHARES: dict[str, Changes] = {
    name: {"share": (i + 1) / 5} for i, name in enumerate(("1/5", "2/5", "3/5", "4/5", "all"))
}
Rows = Sequence[Sequence[float]]


def table_of_seconds(
    base: Setting,
    method: Callable[[float, float | None], Method],
    rhos: Sequence[str],
    columns: Mapping[str, Changes],
    what: str,
    axis: str,
    where: str,
    printed: Mapping[str, Rows],
    mean_of: int,
    panels: Mapping[str, Changes],
    desk: ExhibitScale,
    **words: str,
) -> Exhibit:
    """The exhibit: every penalty with trial steps from 1, as printed, and the outermost two without trials.

    Args:
        base: What is trained.
        method: The method with a penalty, and with a first trial of a step size.
        rhos: The penalties.
        columns: What a column changes.
        what: What the columns are, in words.
        axis: The same as the horizontal axis says it.
        where: The last column, in words.
        printed: The paper's numbers for each panel, a row for each penalty.
        mean_of: How many iterations the paper's numbers are means of.
        panels: The data sets.
        desk: The scale at which it takes minutes.
        **words: What else an `Exhibit` has.
    """
    first, last, exact = rhos[0], list(columns)[-1], (rhos[0], rhos[-1])
    cells = [(rho, rho, 1.0) for rho in rhos] + [(f"{rho}, exact", rho, None) for rho in exact]
    return Exhibit(
        base=base.changed({"record": (), "epochs": 10}),
        panels=panels,
        arms={
            (row, column): {"method": method(float(rho), start), **changes}
            for row, rho, start in cells
            for column, changes in columns.items()
        },
        picture=Grid("rho", axis, SECONDS),
        columns={SECONDS: Measure("cpu_seconds", "median", digits=4)},
        printed={panel: _by_cell(rhos, list(columns), rows) for panel, rows in printed.items()},
        checks={
            f"at rho {first} the time grows with the {what}": grows(SECONDS, [(first, column) for column in columns]),
            f"{where} the time grows with rho, trial steps from 1": grows(SECONDS, [(rho, last) for rho in rhos]),
        },
        also={
            "without trial steps it does not depend on rho": within_factor(
                SECONDS, [(f"{rho}, exact", last) for rho in exact], 1.25
            ),
        },
        choices=("CPU seconds on one thread; the paper's are of a GPU. Rows marked exact have no trial steps.",),
        deviations=(
            f"The median of ten iterations (at desk scale of three), where the paper has the mean of {mean_of}.",
        ),
        desk=desk,
        **words,  # type: ignore[arg-type]
    )


def _by_cell(rhos: Sequence[str], columns: Sequence[str], rows: Rows) -> dict[Any, dict[str, float]]:
    """The paper's seconds by penalty and column."""
    return {
        (rho, column): {SECONDS: value}
        for rho, row in zip(rhos, rows, strict=True)
        for column, value in zip(columns, row, strict=True)
    }
