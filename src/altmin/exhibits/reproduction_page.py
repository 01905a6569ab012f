"""What every exhibit came to, as a page made from small files of results.

``python -m altmin.exhibits.reproduction_page DIR`` prints the page of the ``.json`` files in DIR, which are the
``result.json`` of ``altmin reproduce``.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from altmin import exhibits
from altmin.exhibits.exhibit import EXHIBITS, Exhibit, Grid
from altmin.exhibits.result import extent
from altmin.files import read_json

LARGEST = 2**22  # bytes of a result
QUESTIONS = "questions.md"
INTRODUCTION = """# Reproduction

Every table and figure of the four papers, run again: what the paper claims, whether it holds, and by which figures.
The statements that a claim is judged by stand in the exhibit's file and were written before the run. The verdict is
*yes* where every statement holds, *no* where none does, and *partly* where some do. A figure is the mean over the
seeds, with the standard deviation behind ±; the paper's stands in brackets. Any of them is run again by the command
below its table. A verdict is one at the scale that it names: `desk` has fewer samples and narrower networks, and what
does not hold there may hold at the paper's own, `--scale paper`. This page is made from the files in
`docs/reproduction/` by `make reproduction`."""


def read_results(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The results in a folder, by exhibit, and the smaller scale first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(folder.glob("*.json")):
        result = read_json(path, LARGEST)
        found.setdefault(result["exhibit"], []).append(result)
    return found


def page(found: dict[str, list[dict[str, Any]]], folder: Path) -> str:
    """The page as Markdown.

    Args:
        found: Results by exhibit.
        folder: May hold ``questions.md``, which stands behind the summary.
    """
    known = [EXHIBITS[name] for name in exhibits.names() if name in found]
    questions = folder / QUESTIONS
    asked = [questions.read_text(encoding="utf-8").strip()] if questions.is_file() else []
    parts = [INTRODUCTION, "\n".join(_summary(known, found)), *asked]
    parts += ["\n\n".join(_section(exhibit, found[exhibit.name])) for exhibit in known]
    return "\n\n".join(parts) + "\n"


def _summary(known: Sequence[Exhibit], found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield "| exhibit | where | does the claim hold? | scale |\n|---|---|---|---|"
    for exhibit in known:
        verdicts = ", ".join(f"{result['verdict']}" for result in found[exhibit.name])
        scales = ", ".join(result["scale"] for result in found[exhibit.name])
        yield f"| [{exhibit.name}](#{exhibit.name}) | {exhibit.paper}, {exhibit.place} | {verdicts} | {scales} |"


def _section(exhibit: Exhibit, results: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"({exhibit.name})=\n\n## {exhibit.paper}, {exhibit.place}: {exhibit.title}"
    yield f"*{exhibit.claim}*"
    for result in results:
        yield f"**{result['verdict'].capitalize()}**, at {extent(result)}:"
        yield _judged(result["checks"])
        if result["also"]:
            yield f"Asked besides:\n\n{_judged(result['also'])}"
        yield "\n".join(_table(exhibit, result))
        yield _made(result)
    for heading, items in (
        ("Left open by the paper", exhibit.choices),
        ("Deviations", exhibit.deviations),
        ("Seen", exhibit.findings),
    ):
        if items:
            yield f"{heading}: " + " ".join(items)


def _judged(checks: Sequence[dict[str, Any]]) -> str:
    return "\n".join(f"- {'Yes' if c['holds'] else 'No'}: {c['statement']} ({c['seen']})." for c in checks)


def _made(result: dict[str, Any]) -> str:
    """By what the figures were made."""
    command = f"altmin reproduce {result['exhibit']} --scale {result['scale']} --seeds {result['seeds']}"
    if "panels" in result:
        command += f" --panels {shlex.join(result['panels'])}"
    chosen = "; ".join(f"{cell}: {_numbers(method)}" for cell, method in result["chosen"].items())
    tail = f" Chosen on validation: {chosen}." if chosen else ""
    about = "; ".join((*result["code"], *result["machine"]))
    return f"`{command}`; {about}; {result['cpu_seconds']:,} CPU seconds.{tail}"


def _numbers(method: dict[str, Any]) -> str:
    """The numbers of a method that are usually chosen."""
    numbers = {name: value for name, value in method.items() if name in ("optimizer", "lr", "rho", "nu")}
    for part in ("rule", "last", "codes"):
        inner = method.get(part) or {}
        numbers |= {f"{part}.{n}": inner[n] for n in ("lr", "scaling") if inner.get(n) is not None}
    return f"{method['class']}({', '.join(f'{name} {value}' for name, value in numbers.items() if value is not None)})"


def _table(exhibit: Exhibit, result: dict[str, Any]) -> Iterator[str]:
    """A row for each panel and arm; of a grid, for each panel and row."""
    grid = isinstance(exhibit.picture, Grid)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for entry in result["table"]:
        arm, _, column = entry["arm"].rpartition(", ") if grid else (entry["arm"], "", entry["column"])
        rows.setdefault((entry["panel"], arm), {})[column] = _cell(entry)
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield f"| | | {' | '.join(columns)} |\n|---|---|{'---:|' * len(columns)}"
    for (panel, arm), row in rows.items():
        yield f"| {panel} | {arm} | {' | '.join(row.get(column, '') for column in columns)} |"


def _cell(entry: dict[str, str]) -> str:
    spread = f" ± {entry['spread']}" if entry["spread"].strip("0.") else ""
    return entry["ours"] + spread + (f" ({entry['paper']})" if entry["paper"] else "")


if __name__ == "__main__":
    sys.stdout.write(page(read_results(Path(sys.argv[1])), Path(sys.argv[1])))
