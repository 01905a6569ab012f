"""The scripts of `benchmarks/` run, on tasks so small that their figures mean nothing."""

from __future__ import annotations

import inspect
import json
import sys
from typing import Any

import matplotlib.image
import pytest

import compare
import page
import scaling
import test_kernels
from altmin.bench import BenchRow, Report
from altmin.methods.registry import METHODS
from common import METHODS_OF_THE_PAPERS

pytestmark = pytest.mark.usefixtures("short_timings", "same_threads")

KERNELS = {name: f for name, f in vars(test_kernels).items() if name.startswith("test_")}
TINY = ["--rounds", "1", "--methods", "dladmm", "ipdlam"]
quiet = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")


def run(script: Any, monkeypatch: pytest.MonkeyPatch, *argv: str) -> None:
    monkeypatch.setattr(sys, "argv", [script.__name__, *argv])
    script.main()


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_runs(name: str, monkeypatch: pytest.MonkeyPatch):
    for size in ("N", "WIDTH", "BATCH"):
        monkeypatch.setattr(test_kernels, size, 40)
    given = {"benchmark": lambda f, *args: f(*args), "solve": test_kernels.softmax_prox_newton}
    KERNELS[name](**{key: given[key] for key in inspect.signature(KERNELS[name]).parameters})


@quiet
def test_library_and_printed_loops_are_rows_of_one_run(monkeypatch, tmp_path, capsys):
    options = ["--samples", "60", "--hidden", "8", "8", "--out", str(tmp_path), "--rounds", "1"]
    run(compare, monkeypatch, *options)
    names = [row.name for row in Report.read(tmp_path / "literal.json").rows]
    text = capsys.readouterr().out
    for name in METHODS_OF_THE_PAPERS:
        assert {name, f"{name}, literal"} < set(names)
        assert f"{name}: printed loops cost " in text


@pytest.mark.slow
@quiet
def test_scaling_writes_its_table_and_picture(monkeypatch, tmp_path, capsys):
    sizes = ["--samples", "40", "80", "--widths", "4", "8", "--width", "4"]
    run(scaling, monkeypatch, *sizes, *TINY, "--out", str(tmp_path))
    points = json.loads((tmp_path / "scaling.json").read_text())
    assert [(p["samples"], p["width"]) for p in points[::2]] == [(40, 4), (80, 4), (40, 4), (40, 8)]
    assert matplotlib.image.imread(tmp_path / "scaling.png").ndim == 3
    text = capsys.readouterr().out
    assert "samples^" in text
    assert "width^" in text


def test_exponent_of_a_power():
    assert scaling.exponent([1, 2, 5], [3, 12, 75]) == pytest.approx(2.0)


ROW = BenchRow("dladmm", 50, 2.0, 2.5, 2.0, 4.0, 10**10, 1.0, 0.5, 2**20, 3 * 2**19, [2.0])
SETTING = {"model": "mlp", "widths": [4, 3, 3, 2], "samples": 50, "data": "digits", "dtype": "float32", "rounds": 3}
MACHINE = {"device": "AVX2", "threads": 1, "gflops": 70.2}
REPORT = Report(SETTING, MACHINE, {"altmin": "1", "torch": "2.9", "python": "3.11"}, [ROW])


def test_what_is_measured_fills_the_page_between_its_markers(tmp_path):
    text = page.section([["2-2", "50", "dladmm", "all", "1.5", "2.00", "0.50", "0.10", "1.02"]], REPORT, "1234567")
    whole = f"# Title\n{page.BEGIN}\nold\n{page.END}\nrest\n"
    for _ in range(2):
        whole = page.filled(whole, text)
    assert whole.startswith("# Title\n")
    assert whole.endswith("\nrest\n")
    assert "old" not in whole
    assert whole.count("| 2-2 | 50 | dladmm | all | 1.5 | 2.00 | 0.50 | 0.10 | 1.02 |") == 1
    machine = "1 thread(s), AVX2, 70 GFLOP/s, PyTorch 2.9"
    assert f"Commit `1234567`, {machine}: `python benchmarks/page.py --data-dir DIR --rounds 3`." in whole


@quiet
def test_records_take_a_part_of_the_time():
    task = page.RUNS[0].setup(None, smoke=True)
    assert 0 < page.share_of_records(task, "dladmm", METHODS["dladmm"].method) < 1


@pytest.mark.parametrize("text", ["", page.BEGIN, page.END + page.BEGIN, 2 * (page.BEGIN + page.END)])
def test_a_page_without_its_markers_is_refused(text: str):
    with pytest.raises(ValueError, match="once, in this order"):
        page.filled(text, "")


def test_the_documentation_has_the_markers():
    whole = (page.ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert "\nnew" in page.filled(whole, "new")
