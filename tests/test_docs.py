"""The README's table names the methods of the registry, and measured figures say where they come from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import altmin
from altmin.methods.registry import METHODS

ROOT = Path(__file__).resolve().parents[1]
LEAST = {"docs/results.md": 8, "docs/performance.md": 1}  # measured tables of each page
PAGES = pytest.mark.parametrize("page", LEAST)
ORIGIN = re.compile(r"Commit `[0-9a-f]{7,40}`[^`]*: `(altmin|python) [^`]+`")


def measured(page: str) -> list[tuple[str, str]]:
    """Tables of measured figures, told by their decimals, and pictures, each with the paragraph behind it."""
    paragraphs = re.split(r"\n\s*\n", re.sub(r"<!--.*?-->", "", (ROOT / page).read_text(encoding="utf-8")))
    pairs = zip(paragraphs, [*paragraphs[1:], ""], strict=True)
    return [
        (what, after)
        for what, after in pairs
        if what.startswith("![") or (what.startswith("|") and re.search(r"\| [^|`]*\.\d", what))
    ]


def test_the_readmes_table_names_every_method():
    named = set(re.findall(r"^\| `([a-z-]+)`", (ROOT / "README.md").read_text(), flags=re.M))
    own = {name for name, entry in METHODS.items() if entry.paper != "torch.optim"}
    assert own <= named


def test_the_api_page_has_every_public_name():
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    assert [name for name in altmin.__all__ if not re.search(rf":: altmin\.{name}$", page, flags=re.M)] == []


def test_every_term_of_the_glossary_stands_there_once():
    terms = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), flags=re.M)[2:]
    words = [word for term in terms for word in re.sub(r" \(.*?\)", "", term).split(", ")]
    assert len(words) > 50
    assert len(words) == len(set(words))


@PAGES
def test_every_measured_table_has_its_commit_and_its_command(page: str):
    found = measured(page)
    assert len(found) >= LEAST[page]
    assert [(what[:80], after[:80]) for what, after in found if not ORIGIN.match(after)] == []


@PAGES
def test_no_page_speaks_of_the_code_of_a_day(page: str):
    assert not re.search(r"today|last changes", (ROOT / page).read_text(encoding="utf-8"))


def test_the_decision_page_has_no_figure_of_its_own():
    """Every number with decimals on it is one of the pages that it links to, and so has a command there."""
    text = (ROOT / "docs" / "which.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(([a-z]+\.md)", text))
    elsewhere = " ".join((ROOT / "docs" / page).read_text(encoding="utf-8") for page in sorted(linked))
    figures = re.findall(r"(?<![\w.])\d*\.\d+", text)
    assert len(figures) > 60
    assert [one for one in figures if not re.search(rf"(?<![\w.]){re.escape(one)}(?!\d)", elsewhere)] == []
