"""A folder's report: one page that needs no other file, with a picture and a table for each exhibit."""

from __future__ import annotations

import base64
import csv
import io
import json
from dataclasses import replace
from math import nan
from pathlib import Path

import matplotlib.image
import pytest
from matplotlib.figure import Figure

from altmin import exhibits
from altmin.exhibits import Exhibit, Outcome, Outcomes
from altmin.exhibits.exhibit import title
from altmin.exhibits.report import write_exhibit, write_report
from altmin.exhibits.result import NOT_JUDGED, verdict
from exhibits.making import alike, made_up, outcome
from html_page import Page

NAMES = "ipdlam-figure2", "mdlam-table2", "online-lenet5-time"


def some(exhibit: Exhibit, **of: Outcome) -> Outcomes:
    usual = alike(exhibit, [0.5, 0.25, 0.125])
    return made_up(exhibit, lambda panel, arm: of.get(title(arm), usual))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a title and a claim that HTML would take for its own."""
    out = tmp_path_factory.mktemp("report")
    chosen = [exhibits.load(name) for name in NAMES]
    chosen[0] = replace(chosen[0], title="a <b> & c", claim="0 < 1 & </p>.")
    results = {e.name: write_exhibit(e, some(e), "desk", 1, out / e.name) for e in chosen}
    write_report([*chosen, exhibits.load("online-binary")], results, out)
    return out


def test_the_page_is_well_formed_and_needs_no_other_file(folder: Path):
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert text.startswith("<!doctype html>")
    page.require_alone()
    assert page.all("script") == []
    assert "a &lt;b&gt; &amp; c" in text


def test_each_exhibit_has_its_picture_and_its_table(folder: Path):
    page = Page((folder / "report.html").read_text())
    pictures = page.all("img")
    assert len(pictures) == len(NAMES)
    assert len(page.all("table")) == 1 + len(NAMES)
    assert [attrs["id"] for attrs in page.all("h2")] == list(NAMES)
    assert {attrs["href"] for attrs in page.all("a")} == {f"#{name}" for name in NAMES}
    for attrs, name in zip(pictures, NAMES, strict=True):
        assert attrs["alt"]
        drawn = base64.b64decode(str(attrs["src"]).removeprefix("data:image/png;base64,"))
        assert drawn == (folder / name / "figure.png").read_bytes()
        height, width, _ = matplotlib.image.imread(io.BytesIO(drawn), format="png").shape
        assert min(height, width) > 200


@pytest.mark.parametrize("name", NAMES)
def test_its_files_say_the_same(name: str, folder: Path):
    exhibit = exhibits.load(name)
    result = json.loads((folder / name / "result.json").read_text(), parse_constant=pytest.fail)
    rows = list(csv.DictReader((folder / name / "table.csv").read_text().splitlines()))
    assert rows == result["table"]
    assert len(rows) == len(exhibit.panels) * len(exhibit.arms) * len(exhibit.columns)
    assert [check["statement"] for check in result["checks"]] == list(exhibit.checks)
    assert result["verdict"] == verdict(result["checks"])
    curves = list(csv.DictReader((folder / name / "curves.csv").read_text().splitlines()))
    assert len(curves) == 3 * len(exhibit.panels) * len(exhibit.arms)
    assert curves[0]["iteration"] == "1.0"


def test_a_row_has_the_papers_number_ours_and_the_difference(folder: Path):
    rows = json.loads((folder / "mdlam-table2" / "result.json").read_text())["table"]
    own = next(row for row in rows if row["arm"] == "0.0001, 1/5" and row["panel"] == "MNIST")
    assert (own["paper"], own["ours"], own["difference"]) == ("0.1692", "0.2500", "0.0808")
    assert next(row for row in rows if row["arm"] == "1, exact, all")["paper"] == ""


@pytest.mark.parametrize(
    ("held", "word"),
    [([True, True], "yes"), ([True, False], "partly"), ([False, False], "no"), ([], NOT_JUDGED)],
)
def test_the_verdict(held: list[bool], word: str):
    assert verdict([{"holds": holds} for holds in held]) == word


def test_a_smoke_run_is_not_judged(tmp_path: Path):
    exhibit = exhibits.load("ipdlam-figure2")
    result = write_exhibit(exhibit, some(exhibit), "smoke", 1, tmp_path / exhibit.name)
    assert (result["verdict"], result["checks"]) == (NOT_JUDGED, [])
    write_report([exhibit], {exhibit.name: result}, tmp_path)
    assert "not judged" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "broken",
    [
        outcome(),
        outcome(diverged=True, train_accuracy=[nan], test_accuracy=[nan]),
        outcome(diverged=True, train_accuracy=[0.5], test_accuracy=[0.1]),
    ],
    ids=["without records", "nan", "ended early"],
)
def test_a_training_that_diverged_is_drawn_and_written(broken: Outcome, tmp_path: Path):
    exhibit = exhibits.load("ipdlam-figure2")
    result = write_exhibit(exhibit, some(exhibit, **{"delta 0.1": broken}), "desk", 1, tmp_path / exhibit.name)
    text = (tmp_path / exhibit.name / "result.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == result
    assert next(row for row in result["table"] if row["arm"] == "delta 0.1")["ours"] == "nan"
    assert not any(check["holds"] for check in result["checks"])


def test_seeds_of_unequal_lengths_are_drawn(tmp_path: Path):
    exhibit = exhibits.load("ipdlam-figure1")
    each = [alike(exhibit, [0.5] * length, seed=seed) for seed, length in enumerate((3, 2))]
    found = {(panel, arm): each for panel in exhibit.panels for arm in exhibit.arms}
    write_exhibit(exhibit, Outcomes(exhibit.columns, found), "desk", 2, tmp_path / "it")
    assert (tmp_path / "it" / "figure.png").stat().st_size > 1_000


@pytest.mark.parametrize(("curve", "scale"), [([0.25, 0.24], "linear"), ([10.0, 0.5], "log"), ([nan, 0.5], "linear")])
def test_an_axis_is_logarithmic_where_curves_span_a_factor_of_ten(
    curve: list[float], scale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    figures: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, to, **how: (figures.append(figure), Path(to).touch()))
    exhibit = exhibits.load("ipdlam-figure1")
    found = {(panel, arm): [alike(exhibit, curve)] for panel in exhibit.panels for arm in exhibit.arms}
    write_exhibit(exhibit, Outcomes(exhibit.columns, found), "desk", 1, tmp_path / "it")
    scales = {axes.get_ylabel(): axes.get_yscale() for axes in figures[0].axes}
    assert {name: s for name, s in scales.items() if "objective" in name} == {"objective a sample": scale}
