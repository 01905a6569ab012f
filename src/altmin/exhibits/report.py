"""The folder of ``altmin reproduce``: each exhibit's picture, table and curves, and one page over all of them."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from altmin.exhibits.drawing import draw
from altmin.exhibits.exhibit import Exhibit, title
from altmin.exhibits.outcomes import Outcomes
from altmin.exhibits.result import RULE, extent, result_of
from altmin.files import read_json, replacing, write_json
from altmin.study.page import bullets, table, write_page

LARGEST = 2**22  # bytes of a result
PICTURE, TABLE, CURVES, RESULT, REPORT = "figure.png", "table.csv", "curves.csv", "result.json", "report.html"
COLUMNS = "panel", "arm", "column", "paper", "ours", "spread", "difference"
STYLE = """
td:nth-child(-n+3), th:nth-child(-n+3) { text-align: left; }
.yes { color: #00703c; } .no { color: #b00020; } .partly { color: #8a5a00; }
"""


def write_exhibit(exhibit: Exhibit, outcomes: Outcomes, scale: str, seeds: int, folder: Path) -> dict[str, Any]:
    """Write an exhibit's files, and give its result.

    Raises:
        OSError: They cannot be written.
    """
    result = result_of(exhibit, outcomes, scale, seeds)
    folder.mkdir(parents=True, exist_ok=True)
    draw(exhibit, outcomes, extent(result), folder / PICTURE)
    _write_csv(folder / TABLE, COLUMNS, ([row[name] for name in COLUMNS] for row in result["table"]))
    names = _figures(outcomes)
    _write_csv(folder / CURVES, ["panel", "arm", "seed", *names], _curve_rows(outcomes, names))
    write_json(folder / RESULT, result)
    return result


def read_written(folder: Path, scale: str) -> dict[str, dict[str, Any]]:
    """The results of exhibits at a scale that a folder has; those that cannot be read are left out."""
    found = {}
    for path in sorted(folder.glob(f"*/{RESULT}")):
        with suppress(OSError, ValueError):
            result = read_json(path, LARGEST)
            if isinstance(result, dict) and result.get("scale") == scale and (path.parent / PICTURE).is_file():
                found[path.parent.name] = result
    return found


def _figures(outcomes: Outcomes) -> list[str]:
    every = (name for each in outcomes.found.values() for outcome in each for name in outcome.curves)
    return list(dict.fromkeys(every))


def _curve_rows(outcomes: Outcomes, names: Sequence[str]) -> Iterator[list[Any]]:
    for (panel, arm), each in outcomes.found.items():
        for outcome in each:
            columns = [outcome.curve(name) for name in names]
            for i in range(max(map(len, columns), default=0)):
                values = [column[i] if i < len(column) else "" for column in columns]
                yield [panel, title(arm), outcome.seed, *values]


def _write_csv(path: Path, header: Sequence[str], rows: Any) -> None:
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_report(exhibits: Sequence[Exhibit], results: dict[str, dict[str, Any]], folder: Path) -> None:
    """Write one page over all exhibits that have results; pictures are in it, so that it needs no other file."""
    shown = [exhibit for exhibit in exhibits if exhibit.name in results]
    body = [_summary(shown, results), *(_section(exhibit, results[exhibit.name], folder) for exhibit in shown)]
    write_page(folder / REPORT, "Exhibits of the papers, run again", "".join(body), STYLE)


def _summary(exhibits: Sequence[Exhibit], results: dict[str, dict[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td><a href="#{e.name}">{escape(e.name)}</a></td><td>{escape(e.paper)}, {escape(e.place)}</td>'
        f"<td>{escape(e.claim)}</td>{_verdict(results[e.name], 'td')}</tr>"
        for e in exhibits
    )
    head = "<tr><th>exhibit</th><th>where</th><th>claim</th><th>does it hold?</th></tr>"
    whole = f'<div class="wide"><table>{head}{rows}</table></div>'
    return f"<h1>Exhibits of the papers, run again</h1><p>{RULE}.</p>{whole}"


def _verdict(result: dict[str, Any], tag: str) -> str:
    return f'<{tag} class="{escape(result["verdict"].split()[-1])}">{escape(result["verdict"])}</{tag}>'


def _section(exhibit: Exhibit, result: dict[str, Any], folder: Path) -> str:
    picture = base64.b64encode((folder / exhibit.name / PICTURE).read_bytes()).decode()
    about = f"{extent(result)}; {result['cpu_seconds']} CPU seconds"
    figures = table(COLUMNS, [[row[name] for name in COLUMNS] for row in result["table"]])
    parts = [
        f'<h2 id="{exhibit.name}">{escape(exhibit.paper)}, {escape(exhibit.place)}: {escape(exhibit.title)}</h2>',
        f"<p>{escape(exhibit.claim)} {_verdict(result, 'b')}</p>",
        bullets("", _judged(result["checks"])),
        bullets("Asked besides", _judged(result["also"])),
        f'<p><img alt="{escape(exhibit.title)}" src="data:image/png;base64,{picture}"></p>',
        f"<details><summary>paper, ours, difference</summary>{figures}</details>",
        bullets("What the paper leaves open", exhibit.choices),
        bullets("Deviations", exhibit.deviations),
        bullets("Seen", exhibit.findings if result["checks"] else ()),
        f"<p>{escape(about)}. {escape('; '.join(result['machine'] + result['code']))}.</p>",
    ]
    return "".join(parts)


def _judged(checks: Sequence[dict[str, Any]]) -> list[str]:
    return [f"{'holds' if c['holds'] else 'does not hold'}: {c['statement']} ({c['seen']})" for c in checks]
