"""The page of reproductions is what the code makes of the files of results."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from altmin import exhibits
from altmin.exhibits import Exhibit, Outcomes
from altmin.exhibits.exhibit import SCALES
from altmin.exhibits.report import write_exhibit
from altmin.exhibits.reproduction_page import page, read_results
from exhibits.making import alike, made_up

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = sorted((DOCS / "reproduction").glob("*.json"))  # none before there is a first result
NAMES = "online-binary", "ipdlam-figure4", "mdlam-table2"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of three exhibits, one of them at two scales."""
    folder = tmp_path_factory.mktemp("results")
    for i, name in enumerate(NAMES):
        exhibit = exhibits.load(name)
        one = alike(exhibit, [0.5, 0.25])
        for scale in ("desk", "paper")[: 1 + (i == 0)]:
            out = folder / "made" / name
            write_exhibit(exhibit, made_up(exhibit, lambda *_, one=one: one), scale, 3, out)
            (folder / f"{name}-{scale}.json").write_bytes((out / "result.json").read_bytes())
    return folder


def restricted(exhibit: Exhibit, panels: Sequence[str]) -> Outcomes:
    """Made-up outcomes of some of an exhibit's panels."""
    every = made_up(exhibit, lambda *_: alike(exhibit, [0.5, 0.25])).found
    found = {key: own for key, own in every.items() if key[0] in panels}
    return Outcomes(exhibit.columns, found, {}, [panel for panel in exhibit.panels if panel not in panels])


def test_every_exhibit_of_the_results_is_on_the_page(results: Path):
    text = page(read_results(results), results)
    assert re.findall(r"^\(([\w-]+)\)=$", text, flags=re.M) == [name for name in exhibits.names() if name in NAMES]
    for name in NAMES:
        exhibit = exhibits.load(name)
        assert f"## {exhibit.paper}, {exhibit.place}: {exhibit.title}" in text
        assert f"*{exhibit.claim}*" in text
        assert f"`altmin reproduce {name} --scale desk --seeds 3`" in text
        assert all(f": {statement} (" in text for statement in exhibit.checks)
        assert all(note in text for note in (*exhibit.choices, *exhibit.deviations, *exhibit.findings))
    assert text.count("`altmin reproduce online-binary --scale paper --seeds 3`") == 1


def test_a_result_of_some_panels_says_so(tmp_path: Path):
    exhibit = exhibits.load("online-mnist-epochs")
    one = alike(exhibit, [0.5, 0.25])
    every = made_up(exhibit, lambda *_: one).found
    some = Outcomes(
        exhibit.columns, {key: found for key, found in every.items() if key[0] == "100-100"}, {}, ["500-500"]
    )
    result = write_exhibit(exhibit, some, "paper", 1, tmp_path)
    text = page({exhibit.name: [result]}, tmp_path)
    assert "; 1 seed; 100-100 only):" in text
    assert "`altmin reproduce online-mnist-epochs --scale paper --seeds 1 --panels 100-100`" in text
    assert "AM-mem ends within a point of 91 % at 100-100" in text
    assert "AM-mem ends within a point of 96 % at 500-500" not in text


def test_a_table_has_ours_and_the_papers_number(results: Path):
    text = page(read_results(results), results)
    assert re.search(r"^\| MNIST \| 0\.0001 \| 0\.\d{4} \(0\.1692\) \| .* \(0\.9413\) \|$", text, flags=re.M)
    assert re.search(r"^\| MNIST \| 1, exact \| [\d.]+ \|", text, flags=re.M)


def test_questions_stand_behind_the_summary(results: Path):
    (results / "questions.md").write_text("## Asked\n\nAnd answered.\n")
    text = page(read_results(results), results)
    assert text.index("| exhibit |") < text.index("## Asked\n\nAnd answered.\n\n(") < text.index("## iPDLAM")
    (results / "questions.md").unlink()
    assert "And answered" not in page(read_results(results), results)


def test_tables_have_as_many_cells_in_every_row(results: Path):
    for block in page(read_results(results), results).split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1, block


@pytest.mark.slow
def test_the_command_prints_the_page(results: Path):
    argv = [sys.executable, "-m", "altmin.exhibits.reproduction_page", str(results)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == page(read_results(results), results)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_result_is_one_of_an_exhibit_as_it_is_now(path: Path):
    result = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    exhibit = exhibits.load(result["exhibit"])
    assert result["scale"] in SCALES[1:]
    assert result["words"] == exhibit.scale(result["scale"]).words()
    panels = result.get("panels", list(exhibit.panels))
    some = restricted(exhibit, panels)
    assert {check["statement"] for check in result["checks"]} == {
        s for s, judge in exhibit.checks.items() if judge(some)
    }
    rows = {(row["panel"], row["arm"], row["column"]) for row in result["table"]}
    arms = {arm if isinstance(arm, str) else ", ".join(arm) for arm in exhibit.arms}
    assert rows == {(panel, arm, column) for panel in panels for arm in arms for column in exhibit.columns}


@pytest.mark.skipif(not FILES, reason="docs/reproduction has no results yet")
def test_the_page_is_made_of_the_files():
    """Make it anew by ``make reproduction``."""
    written = (DOCS / "reproduction.md").read_text(encoding="utf-8")
    assert written == page(read_results(DOCS / "reproduction"), DOCS / "reproduction")
    named = set(re.findall(r"^\(([\w-]+)\)=$", written, flags=re.M))
    assert named == {json.loads(path.read_text(encoding="utf-8"))["exhibit"] for path in FILES}
