"""A page over runs: every value where it belongs, nothing from elsewhere, and small enough to be sent."""

from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from math import nan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from altmin.cli import main
from altmin.cli.results import read_results
from altmin.study import report
from altmin.study.chart import LINE, ChartCurve, ChartScale, _apart, chart
from altmin.study.report import write_report
from altmin.study.run import Run
from html_page import Page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OUT = Path("page.html")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two seeds and a training."""
    folder = tmp_path_factory.mktemp("runs")
    small = ["--hidden", "4", "--epochs", "6", "--quiet", "--no-plot"]
    assert main(["compare", "bcd", "mac", "adam", *small, "--seeds", "2", "--out", str(folder / "several")]) == 0
    assert main(["train", "dladmm", *small, "--diagnose", "--out", str(folder / "one")]) == 0
    return folder


@pytest.fixture
def several(trained: Path, here: Path) -> list[Run]:
    return read_results(trained / "several")


def lines(page: Page, section: str) -> dict[str, dict[str, dict[str, str | None]]]:
    """The lines of a section by method and name."""
    found: dict[str, dict[str, dict[str, str | None]]] = {}
    own: dict[str, dict[str, str | None]] = {}
    for tag, attrs in page.found:
        if tag == "svg" and str(attrs["aria-label"]).startswith(f"{section}, "):
            found[str(attrs["aria-label"]).removeprefix(f"{section}, ")] = own = {}
        elif tag == "svg":
            own = {}
        elif attrs.get("class") == "line":
            own[str(attrs["data-name"])] = attrs
    return found


def test_a_page_is_whole_alone_and_small(trained: Path, here: Path, capsys: pytest.CaptureFixture[str]):
    folders = [str(trained / name) for name in ("several", "one")]
    assert main(["report", *folders, "--out", str(OUT)]) == 0
    assert capsys.readouterr().out == "wrote page.html, over 7 runs\n"
    page = Page(OUT.read_text())
    page.require_alone()
    assert OUT.stat().st_size < 3_000_000
    assert {"viewport"} == {attrs["name"] for attrs in page.all("meta") if "name" in attrs}
    assert len(page.all("table")) == 4  # for each folder what was reached, and what it cost
    assert len(page.all("details")) == 4  # of each method's settings
    methods = {f"{folders[0]}: {name}" for name in ("bcd", "mac", "adam")} | {f"{folders[1]}: dladmm"}
    assert set(lines(page, "Accuracy (%)")) == set(lines(page, "Norms of weights")) == methods
    assert list(lines(page, "Step sizes")) == [f"{folders[1]}: dladmm"]


@pytest.mark.parametrize(
    ("section", "name", "column", "factor"),
    [
        ("Accuracy (%)", "validation", "validation_accuracy", 100),
        ("Loss, mean over samples", "train", "train_loss", 1),
        ("Objective and its terms", "linear", "terms.linear", 1),
        ("Residuals of every layer", "E_2", "residuals.E_2", 1),
        ("Gap: how far the variables are from a forward pass", "gap", "gap", 1),
        ("Norms of weights", "W_1", "norms.W_1", 1),
    ],
)
def test_values_are_means_over_the_seeds(
    section: str, name: str, column: str, factor: float, trained: Path, several: list[Run]
):
    write_report({"several": several}, OUT)
    line = lines(Page(OUT.read_text()), section)["bcd"][name]
    rows = list(csv.DictReader((trained / "several" / "curves.csv").read_text().splitlines()))
    own = [row for row in rows if row["method"] == "bcd"]
    each = [[factor * float(r[column]) for r in own if r["iteration"] == str(i + 1)] for i in range(6)]
    assert str(line["data-x"]) == "1,2,3,4,5,6"
    assert [float(y) for y in str(line["data-y"]).split(",")] == pytest.approx([fmean(v) for v in each], rel=1e-3)
    assert [float(s) for s in str(line["data-spread"]).split(",")] == pytest.approx([stdev(v) for v in each], rel=1e-3)


def altered(runs: list[Run], change: Callable[[Any, int], dict[str, Any]]) -> list[Run]:
    return [replace(run, curve=[row | change(row, i) for i, row in enumerate(run.curve)]) for run in runs]


def test_test_figures_have_axes_of_their_own(several: list[Run]):
    """Even where they lie elsewhere, no other axis knows of them."""
    write_report({"several": several}, OUT)
    without = lines(Page(OUT.read_text()), "Accuracy (%)")
    write_report({"several": altered(several, lambda *_: {"test_accuracy": "0.001", "test_loss": "99"})}, OUT)
    page = Page(OUT.read_text())
    assert lines(page, "Accuracy (%)") == without
    assert {name for own in lines(page, "Accuracy (%)").values() for name in own} == {"train", "validation"}
    assert set(lines(page, "Test accuracy (%)")["bcd"]) == {"test"}
    assert set(lines(page, "Test loss, mean over samples")["bcd"]) == {"test"}


def test_a_line_that_lies_on_another_is_left_out_and_what_is_steady_is_said(several: list[Run]):
    write_report({"several": several}, OUT)
    assert set(lines(Page(OUT.read_text()), "Objective and its terms")["adam"]) == {"objective"}
    write_report({"several": altered(several, lambda _, i: {"rho": str(i), "mu": "2"})}, OUT)
    assert set(lines(Page(OUT.read_text()), "Penalties")["bcd"]) == {"rho", "mu"}
    write_report({"several": altered(several, lambda *_: {"rho": "0.5", "mu": ""})}, OUT)
    assert lines(Page(OUT.read_text()), "Penalties") == {}
    assert "Throughout: bcd rho 0.5; mac rho 0.5; adam rho 0.5." in OUT.read_text()


def test_a_training_without_records_is_in_the_tables_alone(several: list[Run]):
    lost = [replace(run, curve=[], result=run.result | {"status": "diverged"}) for run in several]
    write_report({"several": lost}, OUT)
    page = Page(OUT.read_text())
    assert page.all("svg") == []
    assert OUT.read_text().count("<td>diverged</td>") == 3


def test_names_are_texts(several: list[Run]):
    write_report({"<b>&": several}, OUT)
    assert "&lt;b&gt;&amp;" in OUT.read_text()
    assert Page(OUT.read_text()).all("script") == [{}]


def test_long_curves_are_thinned_to_their_ends_and_a_page_stays_small(several: list[Run]):
    long = [
        replace(run, curve=[run.curve[0] | {"iteration": i + 1, "gap": i + 1} for i in range(5_000)]) for run in several
    ]
    write_report({"several": long}, OUT)
    line = lines(Page(OUT.read_text()), "Gap: how far the variables are from a forward pass")["bcd"]["gap"]
    xs = [int(x) for x in str(line["data-x"]).split(",")]
    assert (xs[0], xs[-1], len(xs)) == (1, 5_000, report.MOST)
    assert str(line["data-y"]).split(",")[-1] == "5000"
    many = {f"{i}": [run for run in several if run.name == "bcd"] for i in range(90)}
    write_report(many, OUT)
    assert 1_000_000 < OUT.stat().st_size < 3_000_000


def test_more_than_a_page_holds_is_refused(several: list[Run], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report, "LARGEST", 5_000)
    with pytest.raises(ValueError, match="curves are too many for one page; name fewer folders"):
        write_report({"several": several}, OUT)
    assert not OUT.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "nowhere holds no results.json; name the folder that train or compare wrote"),
        (["run", "--out", "no/page.html"], "--out no/page.html: there is no folder "),
        ([], "altmin: error: report needs DIR, the folder of a run"),
    ],
)
def test_what_does_not_fit_is_one_line(
    words: list[str], message: str, trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
):
    Path("run").symlink_to(trained / "one")
    assert main(["report", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_places_of_values():
    log = ChartScale.of([0.01, 1.0, -3.0], 100.0, 0.0)
    assert (log.kind, log(0.1), log(0.01), log(0.0), log(nan)) == ("log", pytest.approx(50.0), 100.0, None, None)
    linear = ChartScale.of([1.0, 3.0], 0.0, 108.0)
    assert (linear.kind, linear(2.0), linear(1.0)) == ("linear", pytest.approx(54.0), pytest.approx(4.0))
    percent = ChartScale(1.0, 100.0, "percent", 0.0, 2.0)
    assert percent(91.0) == pytest.approx(1.0)  # 100, 10 and 1 lack to 101
    assert all(scale.low <= tick <= scale.high for scale in (log, linear, percent) for tick in scale.ticks(5))


def test_names_stand_apart_and_above_the_axis():
    places = _apart([5.0, 90.0, 91.0, 99.0], 100.0)
    assert places[0] == 5.0
    assert all(b - a >= LINE for a, b in pairwise(places))
    assert places[-1] == 100.0


def test_one_value_is_a_dot_and_what_is_nan_a_gap():
    drawing = chart("it", [ChartCurve("a", [1, 2, 3, 4], [1.0, nan, 2.0, 3.0])])
    path = Page(drawing).all("path")
    line = next(attrs for attrs in path if attrs.get("class") == "line")
    assert str(line["d"]).count("M") == 2
    assert "h.1M" in str(line["d"])
    assert line["data-y"] == "1,,2,3"


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is there to look at the page")
def test_a_browser_finds_nothing_wrong(trained: Path, here: Path):
    assert main(["report", str(trained / "several"), "--out", str(OUT)]) == 0
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={here}/own"]
    line = [str(BROWSER), *options, "--dump-dom", OUT.resolve().as_uri()]
    seen = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    assert "CONSOLE" not in seen.stderr
    assert seen.stdout.count('class="axis" d=') == seen.stdout.count("<svg")  # the axes that were written
    assert seen.stdout.count('<path class="axis"></path>') == seen.stdout.count("<svg")  # and the script's marks
