"""What an exhibit came to: the table beside the paper's, the statements, and the verdict, as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from altmin.errors import nearest
from altmin.exhibits.exhibit import Check, Exhibit, title
from altmin.exhibits.outcomes import Outcomes
from altmin.exhibits.setting import described

NOT_JUDGED = "not judged"
RULE = (
    "yes: every statement holds; no: none does; partly: some do; not judged: smoke scale, which only shows that it "
    "runs. Statements are about means over the seeds; spread is their standard deviation, and bands reach from the "
    "smallest to the largest"
)


def result_of(exhibit: Exhibit, outcomes: Outcomes, scale: str, seeds: int) -> dict[str, Any]:
    """What an exhibit came to, as ``result.json`` and the page of reproductions have it.

    Raises:
        ValueError: A column measures what no training has recorded.
    """
    _require_figures(exhibit, outcomes)
    said = ({}, {}) if scale == "smoke" else (exhibit.checks, exhibit.also)
    checks, also = (list(_judged(statements, outcomes)) for statements in said)
    about = [outcome.about for each in outcomes.found.values() for outcome in each]
    return {
        "exhibit": exhibit.name,
        "scale": scale,
        "words": exhibit.scale(scale).words(),
        "seeds": seeds,
        **({"panels": outcomes.panels} if outcomes.left_out else {}),
        "verdict": verdict(checks),
        "checks": checks,
        "also": also,
        "table": list(_rows(exhibit, outcomes, {} if scale == "smoke" else exhibit.printed)),
        "chosen": {", ".join((panel, title(arm))): described(m) for (panel, arm), m in outcomes.chosen.items()},
        "machine": sorted({f"{a['processor']}, {a['threads']} thread(s)" for a in about}),
        "code": sorted({_code(a) for a in about}),
        "cpu_seconds": round(sum(_seconds(outcome) for each in outcomes.found.values() for outcome in each)),
    }


def extent(result: Mapping[str, Any]) -> str:
    """At what scale, with how many seeds and for which panels a result was found, in words."""
    seeds = "1 seed" if result["seeds"] == 1 else f"{result['seeds']} seeds"
    only = f"; {' and '.join(result['panels'])} only" if "panels" in result else ""
    return f"{result['scale']} scale ({result['words']}; {seeds}{only})"


def _code(about: Mapping[str, Any]) -> str:
    return f"altmin {about['altmin']}, commit {about['commit'] or 'not known'}, torch {about['torch']}"


def verdict(checks: list[dict[str, Any]]) -> str:
    """``yes``, ``partly`` or ``no``, by `RULE`."""
    held = [check["holds"] for check in checks]
    if not held:
        return NOT_JUDGED
    return "yes" if all(held) else "partly" if any(held) else "no"


def _judged(statements: Mapping[str, Check], outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    for statement, check in statements.items():
        if judged := check(outcomes):
            yield {"statement": statement, "holds": bool(judged[0]), "seen": judged[1]}


def _require_figures(exhibit: Exhibit, outcomes: Outcomes) -> None:
    each = [outcome for found in outcomes.found.values() for outcome in found if not outcome.diverged]
    known = list(dict.fromkeys(name for outcome in each for name in outcome.curves))
    for column, measure in exhibit.columns.items():
        if each and measure.figure not in known:
            missing = f"no training recorded `{measure.figure}`, which the column {column!r} measures"
            raise ValueError(f"{exhibit.name}: {missing}; {nearest(measure.figure, known)}")


def _rows(exhibit: Exhibit, outcomes: Outcomes, printed: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row for each number: what the paper printed, if it did, and the mean and spread over the seeds."""
    for panel, arm in outcomes.found:
        for column, measure in outcomes.columns.items():
            ours = outcomes.mean(panel, arm, column)
            paper = printed.get(panel, {}).get(arm, {}).get(column)
            shown = paper is not None and math.isfinite(paper) and math.isfinite(ours)
            yield {
                "panel": panel,
                "arm": title(arm),
                "column": column,
                "paper": measure.text(paper),
                "ours": measure.text(ours),
                "spread": measure.text(outcomes.spread(panel, arm, column)) if math.isfinite(ours) else "",
                "difference": measure.text(ours - paper) if shown else "",  # type: ignore[operator]
            }


def _seconds(outcome: Any) -> float:
    elapsed = outcome.curve("elapsed_cpu_seconds")
    return elapsed[-1] if elapsed else 0.0
