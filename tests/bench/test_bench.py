"""Costs side by side: what is counted, what is timed, and the command."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace

import matplotlib.image
import pytest
import torch
from torch import nn

from altmin.bench import ADAM, BenchRow, Ledger, Report, bench, cells, markdown
from altmin.bench.measure import cost_of
from altmin.cli import main

SMALL = ["--hidden", "16", "8", "--train-samples", "120", "--rounds", "2", "--batch-size", "50"]


def test_flops_of_products_in_every_form():
    a, b, c = torch.randn(7, 5), torch.randn(5, 3), torch.randn(7, 3)
    with Ledger() as ledger:
        _ = a @ b
        torch.addmm(c, a, b)
        c.addmm_(a, b)
        torch.mm(a, b, out=c)
        nn.functional.linear(a, b.T.contiguous())
        _ = a + 1
    assert ledger.flops == 5 * 2 * 7 * 5 * 3


def test_flops_of_a_network_and_its_gradients():
    model, x = nn.Sequential(nn.Linear(20, 9), nn.ReLU(), nn.Linear(9, 4)), torch.randn(30, 20)
    with Ledger() as ledger:
        model(x).sum().backward()
    first, second = 2 * 30 * 20 * 9, 2 * 30 * 9 * 4
    assert ledger.flops == 2 * first + 3 * second  # nobody asks for the gradient in x


def test_flops_of_a_convolution():
    model, x = nn.Conv2d(2, 3, 3), torch.randn(5, 2, 8, 8)
    with torch.no_grad(), Ledger() as ledger:
        model(x)
    assert ledger.flops == 2 * 5 * 3 * 6 * 6 * 2 * 3 * 3


def test_equal_products_are_one_entry_and_can_be_run_again():
    a, b = torch.randn(6, 6), torch.randn(6, 6, dtype=torch.float64)
    with Ledger() as ledger:
        for _ in range(3):
            _ = a @ a
        _ = a.T @ a
        _ = b @ b
    assert sorted(ledger.products.values()) == [1, 1, 3]
    for product in ledger.products:
        with product.again() as run:
            assert run().shape == (6, 6)  # type: ignore[attr-defined]
        assert 0 < cost_of(product, "cpu") < 1e-2


def test_products_are_run_again_with_the_precision_that_they_had():
    a, seen, before = torch.randn(6, 6), [], torch.get_float32_matmul_precision()
    with Ledger() as ledger:
        _ = a @ a
        torch.set_float32_matmul_precision("medium")
        _ = a @ a
        torch.set_float32_matmul_precision(before)
    for product in ledger.products:
        with product.again():
            seen.append(torch.get_float32_matmul_precision())
    assert seen == [before, "medium"]
    assert torch.get_float32_matmul_precision() == before


def kib(count: int) -> torch.Tensor:
    return torch.zeros(count, 256)


def test_peak_is_what_lives_at_once():
    x = kib(10)
    with Ledger() as ledger:
        y = None
        for _ in range(5):
            y = x + 1  # the last one lives until the next is there
        del y
        z = x * 2
        view = z[3:]
        del z
        view.add_(1)
        total = view + x[3:]
    assert ledger.existing == 10 * 1024
    assert ledger.peak == (10 + 20) * 1024
    assert len(total) == 7


def test_what_is_freed_within_makes_room():
    kept = [kib(8)]
    with Ledger() as ledger:
        y = kept[0] + 1
        kept.clear()
        y = y * 2
        del y
        kib(2)
    assert (ledger.existing, ledger.peak) == (8 * 1024, 16 * 1024)


def test_no_interrupt_is_swallowed_where_tensors_are_freed():
    """Python ignores what a signal's handler raises within the callback of a weak reference: there is none."""
    with Ledger():
        kept = kib(1)
        references = weakref.getweakrefs(kept.untyped_storage())
    assert [reference.__callback__ for reference in references] == [None]


def test_what_autograd_holds_lives():
    x = kib(4).requires_grad_()
    with Ledger() as ledger:
        loss = (x * x).exp().sum()  # exp holds its value for the derivative; the square is not held
        loss.backward()
    gradient = 4
    assert ledger.peak >= (4 + 4 + gradient) * 1024


def test_nothing_is_booked_afterwards():
    ledger = Ledger()
    with ledger:
        x = kib(1) + 1
    peak = ledger.peak
    del x
    _ = kib(100) @ torch.zeros(256, 3)
    assert (ledger.peak, ledger.flops) == (peak, 0)


class Sleeper:
    """Works so many times as long as its neighbour."""

    def __init__(self, name: str, work: int, log: list[str]):
        self.name, self.batch_size, self._work, self._log = name, 4, work, log
        self._a = torch.randn(128, 128)

    def epoch(self) -> None:
        self._log.append(self.name)
        for _ in range(self._work):
            _ = self._a @ self._a


def test_contenders_take_turns_and_are_compared_round_by_round():
    log: list[str] = []
    names = (f"{ADAM}, fused", f"{ADAM}, foreach", "other")
    rows = bench([Sleeper(n, w, log) for n, w in zip(names, (100, 1000, 400), strict=True)], 3, "cpu")
    assert log == [n for n in names for _ in range(2)] + list(names) * 3
    assert [row.name for row in rows] == list(names)
    assert rows[0].ratio == 1.0
    assert 2 < rows[2].ratio < 8
    assert 5 < rows[1].ratio < 20
    for row in rows:
        assert 0.3 < row.share < 2.5
        assert len(row.rounds) == 3
    assert rows[2].flops == 400 * 2 * 128**3


ROW = BenchRow("dladmm", 50, 2.0, 2.5, 2.0, 4.0, 10**10, 1.0, 0.5, 2**20, 3 * 2**19, [2.0])


def test_cells():
    assert cells(ROW, 50) == ["dladmm", "all", "2", "2.5", "4.00", "10", "5", "0.50", "2", "1.50"]
    assert cells(replace(ROW, batch_size=20), 50)[1] == "20"
    head, rule, line = markdown([ROW], 50).splitlines()
    assert head.count("|") == rule.count("|") == line.count("|")


@pytest.mark.usefixtures("short_timings")
def test_command_writes_report_table_and_picture(tmp_path, capsys):
    out, threads = tmp_path / "out", torch.get_num_threads()
    options = ["--am-adam.codes.steps", "2", "--out", str(out)]
    assert main(["bench", "dladmm", "am-adam", "adam", *SMALL, *options]) == 0
    report = Report.read(out / "bench.json")
    assert [(row.name, row.batch_size) for row in report.rows] == [
        *((f"{ADAM}, {form}", size) for size in (120, 50) for form in ("fused", "foreach")),
        ("dladmm", 120),
        ("am-adam codes.steps=2", 50),
        ("adam", 50),
    ]
    assert report.setting["widths"] == [784, 16, 8, 10]
    assert (report.setting["data"], report.setting["samples"]) == ("synthetic", 120)
    for row in report.rows:
        assert min(row.cpu_seconds, row.ratio, row.flops, row.share) > 0
        assert row.peak_bytes > row.existing_bytes > 120 * 784 * 4
    assert min(row.ratio for row in report.rows if row.batch_size == 50 and row.name.startswith(ADAM)) == 1.0
    assert matplotlib.image.imread(out / "bench.png").ndim == 3
    text = capsys.readouterr().out
    assert "mlp 784-16-8-10, 120 samples of synthetic, float32" in text
    assert text.count("dladmm") >= 2
    assert torch.get_num_threads() == threads


@pytest.mark.slow
@pytest.mark.usefixtures("short_timings")
def test_command_without_methods_takes_those_that_support_the_network(tmp_path, capsys):
    options = [
        "--model",
        "binary",
        "--hidden",
        "6",
        "5",
        "--train-samples",
        "60",
        "--batch-size",
        "30",
        "--rounds",
        "1",
    ]
    assert main(["bench", *options, "--out", str(tmp_path)]) == 0
    names = [row["name"] for row in json.loads((tmp_path / "bench.json").read_text())["rows"]]
    assert {"am-adam", "adam"} < set(names)
    assert "dladmm" not in names
    assert "dladmm is left out" in capsys.readouterr().out


WRONG = {
    "bench dladm": "did you mean 'dladmm'",
    "bench adam --rounds 0": "--rounds must be",
    "bench adam --train-samples 100 --batch-size 200": "--batch-size is 200, but there are 100 samples",
    "bench dladmm --model binary": "does not support dropout",
    "bench adam --am-adam.codes.steps 2": "--am-adam.codes.steps is given, but am-adam takes no part; add am-adam",
    "bench adam --am-adam.codes.steps 1": "--am-adam.codes.steps is given, but am-adam takes no part",
    "compare bcd --sgd.lr null": "--sgd.lr is given, but sgd takes no part",
    "compare --sgd.lr 1": "--sgd.lr is given, but sgd takes no part; name all methods, sgd among them",
    "bench adam --epochs 3": "--epochs",
    "bench adam --threads 0": "--threads must be",
}


@pytest.mark.parametrize("line", WRONG)
def test_errors_are_one_line(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) == 2
    text = capsys.readouterr()
    assert text.err.startswith("altmin: error: ")
    assert text.err.count("\n") == 1
    assert WRONG[line] in text.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore::altmin.InertiaWarning")
def test_divergence_is_an_error(tmp_path, capsys):
    options = ["--ipdlam.alpha", "1e30", "--ipdlam.beta", "1e30", "--out", str(tmp_path)]
    assert main(["bench", "ipdlam", *SMALL, *options]) == 1
    assert "training diverged" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "{}", '{"setting": {}, "machine": {}, "versions": {}, "rows": [1]}'])
def test_another_file_is_no_report(text, tmp_path):
    (tmp_path / "bench.json").write_text(text)
    with pytest.raises(ValueError, match="is no report of altmin bench"):
        Report.read(tmp_path / "bench.json")
