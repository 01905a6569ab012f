"""What an exhibit came to: the table beside the paper's, the statements, and the verdict, as JSON has them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from altmin.exhibits.exhibit import Check, Exhibit, title
from altmin.exhibits.outcomes import Outcomes
from altmin.exhibits.setting import described

NOT_JUDGED = "not judged"
RULE = "yes: every statement holds; no: none does; partly: some do"


def result_of(exhibit: Exhibit, outcomes: Outcomes, scale: str, seeds: int) -> dict[str, Any]:
    """The exhibit's entry in the ledger."""
    said = ({}, {}) if scale == "smoke" else (exhibit.checks, exhibit.also)
    checks, also = (list(_judged(statements, outcomes)) for statements in said)
    about = [outcome.about for each in outcomes.found.values() for outcome in each]
    return {
        "exhibit": exhibit.name,
        "scale": scale,
        "words": exhibit.scale(scale).words(),
        "seeds": seeds,
        "verdict": verdict(checks),
        "checks": checks,
        "also": also,
        "table": list(_rows(exhibit, outcomes)),
        "chosen": {", ".join((panel, title(arm))): described(m) for (panel, arm), m in outcomes.chosen.items()},
        "machine": sorted({f"{a['processor']}, {a['threads']} thread(s)" for a in about}),
        "code": sorted({f"altmin {a['altmin']}, commit {a['commit']}, torch {a['torch']}" for a in about}),
        "cpu_seconds": round(sum(_seconds(outcome) for each in outcomes.found.values() for outcome in each)),
    }


def verdict(checks: list[dict[str, Any]]) -> str:
    """``yes``, ``partly`` or ``no``, by `RULE`."""
    held = [check["holds"] for check in checks]
    if not held:
        return NOT_JUDGED
    return "yes" if all(held) else "partly" if any(held) else "no"


def _judged(statements: Mapping[str, Check], outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    for statement, check in statements.items():
        holds, seen = check(outcomes)
        yield {"statement": statement, "holds": bool(holds), "seen": seen}


def _rows(exhibit: Exhibit, outcomes: Outcomes) -> Iterator[dict[str, Any]]:
    """A row for each number: what the paper printed, if it did, and the mean and spread over the seeds."""
    for panel, arm in outcomes.found:
        for column, measure in outcomes.columns.items():
            ours = outcomes.mean(panel, arm, column)
            paper = exhibit.printed.get(panel, {}).get(arm, {}).get(column)
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
