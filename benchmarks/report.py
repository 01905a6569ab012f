"""Write the tables of reports into a page, between its two marker comments, each with its commit and its command.

altmin bench --out results && python benchmarks/report.py results/bench.json [MORE.json ...] --commit HASH [--page PAGE]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from altmin.bench import Report, markdown
from altmin.files import replacing

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def filled(page: str, reports: Sequence[Report], commit: str) -> str:
    """The page with the tables of `reports`, measured at `commit`, and nothing else between its markers.

    Raises:
        ValueError: A page without the two markers, each once and in this order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in after or END in after:
        raise ValueError(f"the page must have {BEGIN} and {END} once, in this order")
    return f"{before}{BEGIN}\n\n{''.join(section(report, commit) for report in reports)}{END}{after}"


def command(report: Report) -> str:
    """The command line that makes a report of the same kind."""
    setting, options = report.setting, []
    if setting["data"] not in ("digits", "synthetic"):
        options += [f"--data {setting['data']}", "--data-dir DIR"]
    elif setting["data"] == "digits":
        options += ["--data digits"]
    widths = " ".join(map(str, setting["widths"][1:-1]))
    options += [f"--hidden {widths}" if setting["model"] == "mlp" else f"--model {setting['model']}"]
    names = [row.name for row in report.rows if not row.name.startswith("torch.optim.")]
    if any(name.endswith(", literal") for name in names):
        return f"python benchmarks/compare.py {' '.join(options)} --samples {setting['samples']}"
    for method, *numbers in (name.split() for name in names):
        options += [f"--{method}.{number.replace('=', ' ').replace('True', 'true')}" for number in numbers]
    methods = " ".join(name.split()[0] for name in names)
    return f"altmin bench {methods} {' '.join(options)} --train-samples {setting['samples']}"


def section(report: Report, commit: str) -> str:
    """One report: what was timed, its table, and where that comes from."""
    versions = f"PyTorch {report.versions['torch']}, Python {report.versions['python']}"
    head = f"**{report.title}**; {versions}; median of {report.setting['rounds']} round(s)."
    origin = f"Commit `{commit}`: `{command(report)} --rounds {report.setting['rounds']}`."
    return f"{head}\n\n{markdown(report.rows, report.setting['samples'])}\n\n{origin}\n\n"


def main() -> None:
    """Read the reports, and write the page."""
    parser = argparse.ArgumentParser(description="Write the tables of reports into a page.")
    parser.add_argument("reports", nargs="+", type=Path, help="what altmin bench and benchmarks/compare.py wrote")
    parser.add_argument("--commit", required=True, help="hash of the commit that the reports were measured at")
    parser.add_argument("--page", type=Path, default=PAGE)
    given = parser.parse_args()
    text = filled(given.page.read_text(encoding="utf-8"), [Report.read(path) for path in given.reports], given.commit)
    with replacing(given.page) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
