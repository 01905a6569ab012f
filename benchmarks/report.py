"""Write the tables of reports into a page, between its two marker comments.

altmin bench --out results && python benchmarks/report.py results/bench.json [MORE.json ...] [--page PAGE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from altmin.bench import Report, markdown
from altmin.study.checkpoint import replacing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def filled(page: str, reports: Sequence[Report]) -> str:
    """The page with the tables of `reports` and nothing else between its markers.

    Raises:
        ValueError: A page without the two markers, each once and in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ValueError(f"the page must have {BEGIN} and {END} once, in this order")
    return f"{before}{BEGIN}\n\n{''.join(map(section, reports))}{END}{after}"


def section(report: Report) -> str:
    """One report: what was timed, and its table."""
    versions = f"PyTorch {report.versions['torch']}, Python {report.versions['python']}"
    head = f"**{report.title}**; {versions}; median of {report.setting['rounds']} round(s)."
    return f"{head}\n\n{markdown(report.rows, report.setting['samples'])}\n\n"


def main() -> None:
    """Read the reports, and write the page."""
    parser = argparse.ArgumentParser(description="Write the tables of reports into a page.")
    parser.add_argument("reports", nargs="+", type=Path, help="what altmin bench and benchmarks/compare.py wrote")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    text = filled(given.page.read_text(encoding="utf-8"), [Report.read(path) for path in given.reports])
    with replacing(given.page) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
