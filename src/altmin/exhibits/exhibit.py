"""A table or a figure of a paper: what is trained, what was printed, and what is claimed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from altmin.errors import UnknownNameError, nearest
from altmin.exhibits.outcomes import Measure, Outcome, Outcomes
from altmin.exhibits.setting import Changes, ExhibitScale, Setting

Arm = str | tuple[str, str]
"""A row of a table, or a curve: its name, or the row and the column of a grid."""
Judgement = tuple[bool, str] | None
"""Whether a statement holds, and the figures that tell; `None` where it is about panels that were left out."""
Check = Callable[[Outcomes], Judgement]
SMOKE = ExhibitScale(samples=120, width=8, epochs=2, batches=3, seeds=1, trials=1, data="synthetic")
SCALES = "smoke", "desk", "paper"


@dataclass(frozen=True)
class Curves:
    """A picture with a row of panels for each data set: one figure each, by iteration or by time.

    Attributes:
        figures: What is drawn, as records name it.
        by: What the horizontal axes show: ``iteration``, ``elapsed_cpu_seconds``.
        log: Which of the figures have a logarithmic axis.
        unit: What an iteration is.
    """

    figures: tuple[str, ...]
    by: tuple[str, ...] = ("iteration",)
    log: tuple[str, ...] = ("objective", "mean_objective")
    unit: str = "iteration"


@dataclass(frozen=True)
class Grid:
    """A picture of a table with two entries: a line for each row, over the columns; the paper's dashed.

    Attributes:
        rows: What rows are called.
        columns: What columns are called.
        measure: Which of the exhibit's columns is drawn.
    """

    rows: str
    columns: str
    measure: str


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One exhibit of a paper: settings, printed values, and a claim that can be false.

    What is trained is the product of panels and arms: each is what it changes of `base`.

    Attributes:
        name: Of the exhibit, such as ``ipdlam-table1``.
        paper: Its short name, such as ``iPDLAM``.
        place: Where in the paper, such as ``Table 1``.
        title: What it shows, in a few words.
        claim: What the paper says of it, in one sentence.
        base: What all trainings have in common.
        panels: A data set, or a network, each.
        arms: A row of the table, or a curve, each.
        cells: What a panel and an arm together change, such as a rate of its own for each width.
        picture: How it is drawn.
        columns: What is measured of each training.
        printed: The paper's values: by panel, arm and column.
        checks: Statements, written down before the run, by which the claim is judged: it holds if all do, partly if
            some do.
        also: Statements that the paper does not make, and users would ask about; they are no part of the verdict.
        choices: What the paper leaves open, and what was chosen.
        deviations: What is not as in the paper, and why.
        findings: What was seen at the paper's or at a smaller scale that the statements do not say.
        desk: The scale at which it takes minutes.
        seeds: How many starts the paper's scale has.
        leading: The arm that the exhibit is about; `None` for the first.
    """

    name: str
    paper: str
    place: str
    title: str
    claim: str
    base: Setting
    panels: Mapping[str, Changes]
    arms: Mapping[Any, Changes]
    cells: Mapping[tuple[str, Any], Changes] = field(default_factory=dict)
    picture: Curves | Grid
    columns: Mapping[str, Measure]
    printed: Mapping[str, Mapping[Any, Mapping[str, float]]] = field(default_factory=dict)
    checks: Mapping[str, Check]
    also: Mapping[str, Check] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    desk: ExhibitScale
    seeds: int = 1
    leading: Arm | None = None

    def scale(self, name: str) -> ExhibitScale:
        """How much smaller than the paper's the trainings of ``smoke``, ``desk`` or ``paper`` are."""
        return {"smoke": SMOKE, "desk": self.desk, "paper": ExhibitScale(seeds=self.seeds)}[name]

    def settings(self, scale: str = "paper") -> dict[tuple[str, Arm], Setting]:
        """What is trained, by panel and arm."""
        smaller = self.scale(scale)
        return {
            (panel, arm): smaller.of(self.base.changed(own).changed(changes).changed(self.cells.get((panel, arm), {})))
            for panel, own in self.panels.items()
            for arm, changes in self.arms.items()
        }

    def setting(self, panel: str | None = None, arm: Arm | None = None) -> Setting:
        """One training as in the paper: of the first panel and the leading arm unless others are named.

        Raises:
            UnknownNameError: No such panel or arm.
        """
        return self.settings()[_named("panel", panel, self.panels), _named("arm", arm or self.leading, self.arms)]


def _named(kind: str, name: Any, known: Mapping[Any, Any]) -> Any:
    if name is None:
        return next(iter(known))
    if name not in known:
        raise UnknownNameError(f"unknown {kind} {name!r}; {nearest(title(name), [title(k) for k in known])}")
    return name


def title(arm: Arm) -> str:
    """An arm's name as text."""
    return arm if isinstance(arm, str) else ", ".join(arm)


def _check_statements(exhibit: Exhibit) -> None:
    """Refuse a statement about an arm, a panel or a column that there is not: it is asked of made-up outcomes."""
    curve = [1.0, 0.5]
    names = {measure.figure for measure in exhibit.columns.values()} | {"iteration"}
    made_up = Outcome("ok", None, dict.fromkeys(names, curve), 0, {})
    outcomes = Outcomes(exhibit.columns, {key: [made_up] for key in exhibit.settings()})
    for statement, check in {**exhibit.checks, **exhibit.also}.items():
        try:
            check(outcomes)
        except KeyError as error:
            about = f"the statement {statement!r} is about {error}, which is no panel and arm, and no column"
            raise ValueError(f"{exhibit.name}: {about}") from error


EXHIBITS: dict[str, Exhibit] = {}
"""All exhibits by name, in the order of the papers."""


def register(exhibit: Exhibit) -> Exhibit:
    """Put an exhibit under its name, so that ``altmin reproduce`` knows it; its settings must be ones that exist.

    Raises:
        ValueError: The name is taken.
        UnknownNameError: Printed values, or changes of a cell, are of a panel or an arm that there is not.
    """
    if EXHIBITS.get(exhibit.name, exhibit) != exhibit:
        raise ValueError(f"the name {exhibit.name!r} is taken by another exhibit")
    printed = [(panel, arm) for panel, rows in exhibit.printed.items() for arm in rows]
    for panel, arm in (*printed, *exhibit.cells):
        exhibit.setting(panel, arm)
    _check_statements(exhibit)
    EXHIBITS[exhibit.name] = exhibit
    return exhibit
