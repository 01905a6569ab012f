"""Pages to learn from: their blocks go on from one another, and print what stands below them."""

from __future__ import annotations

import contextlib
import io
import math
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted([ROOT / "docs" / "start.md", *ROOT.glob("docs/methods/*.md")])
BLOCK = re.compile(r"^```python\n(.*?)^```(?:\n\n```text\n(.*?)^```)?", flags=re.S | re.M)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def alike(shown: str, printed: str) -> bool:
    """Whether texts are equal but for small differences of numbers; a line that is shown up to ``...`` may go on."""
    lines = zip(shown.splitlines(), printed.splitlines(), strict=True)
    return all(_alike_lines(one, other) for one, other in lines)


def _alike_lines(shown: str, printed: str) -> bool:
    if shown.endswith("..."):
        shown = shown.removesuffix("...")
        printed = printed[: len(shown)]
    if NUMBER.sub("#", shown) != NUMBER.sub("#", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(math.isclose(float(a), float(b), rel_tol=0.2, abs_tol=0.05) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("page", LESSONS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_lesson_prints_what_it_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    scope: dict = {}
    for i, (block, shown) in enumerate(BLOCK.findall(page.read_text(encoding="utf-8"))):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            exec(compile(block, f"{page.name}:{i}", "exec"), scope)
        assert not shown or alike(shown, out.getvalue()), f"block {i} shows\n{shown}\nand prints\n{out.getvalue()}"


def test_every_method_has_a_page_that_shows_its_step():
    pages = "".join(page.read_text(encoding="utf-8") for page in LESSONS)
    files = {
        path.name for path in (ROOT / "src" / "altmin" / "methods").glob("*.py") if "\n@method(" in path.read_text()
    }
    assert len(files) > 10
    variants = {"offline.py", "straight_through.py"}  # their step is another method's
    assert {name for name in files if f"methods/{name}\n" not in pages} == variants


def test_texts_with_other_numbers_or_words_are_not_alike():
    assert alike("accuracy 0.95, ...\n", "accuracy 0.94, and more\n")
    assert not alike("accuracy 0.95\n", "accuracy 0.75\n")
    assert not alike("falls 3\n", "rises 3\n")
