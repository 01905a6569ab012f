"""The options `diagnose` and `tol`: what they record and when they end, and that they change nothing else."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import altmin
from altmin import BCD, DLADMM, DLAM, IPDLAM, MDLAM, LemmaWarning, Method, OnlineAM, TaylorADMM
from altmin.cli import main
from altmin.sweep.sweep import Sweep
from methods.table import digits, network

QUIET = pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
METHODS = [IPDLAM(), DLAM(), MDLAM(), MDLAM(accelerated=False), DLADMM(), BCD(), TaylorADMM()]
ADDED = {"c_k", "change", "step_sizes", "stationarity", "relative_stationarity", "lyapunov", "descent", "holds"}


def fit(method: Method, epochs: int = 4, dtype: torch.dtype = torch.float64, **more: Any) -> Any:
    model = network(20, 15, dtype=dtype)
    generator = torch.Generator().manual_seed(0)
    history = altmin.fit(model, method, digits(100, dtype), epochs=epochs, generator=generator, **more)
    return history, model


@QUIET
@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m).__name__}")
def test_weights_end_with_the_same_bits(method: Method):
    batches: dict[str, Any] = {"batch_size": 32} if method.batched else {}
    plain, model = fit(method, **batches)
    watched, other = fit(method, diagnose=True, tol=1e-300, **batches)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
    assert plain["objective"] == watched["objective"]
    assert not ADDED & plain.records[0].keys()
    assert watched.records[0].keys() >= ADDED


def test_nothing_is_watched_without_the_option(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("altmin.train.record.stationarity", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr("altmin.diagnostics.observed.ObservedSweep.__init__", lambda *_: pytest.fail("watched"))
    fit(IPDLAM())


@QUIET
@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m).__name__}")
def test_rounding_in_float32_breaks_no_inequality(method: Method):
    with warnings.catch_warnings():
        warnings.simplefilter("error", LemmaWarning)
        fit(method, epochs=15, dtype=torch.float32, diagnose=True)


@pytest.mark.parametrize("option", [{"diagnose": True}, {"tol": 1e-3}])
def test_a_method_without_a_penalty_objective_is_refused(option: dict[str, Any]):
    with pytest.raises(TypeError, match=f"`{next(iter(option))}` needs a method that minimises a penalty objective"):
        fit(OnlineAM(), **option)


@pytest.mark.parametrize("tol", [0.0, -1.0, float("nan"), float("inf"), True, "small"])
def test_a_tolerance_is_a_number_above_zero(tol: Any):
    with pytest.raises(ValueError, match="`tol` must be a number above 0"):
        fit(DLAM(), tol=tol)


def test_training_ends_where_it_is_stationary():
    whole, _ = fit(DLAM(), epochs=30, diagnose=True)
    tol = 1.0001 * whole["relative_stationarity"][9]
    history, model = fit(DLAM(), epochs=30, tol=tol)
    assert history.status == "converged"
    first = next(i for i, value in enumerate(whole["relative_stationarity"], 1) if value < tol)
    assert history.iterations == first <= 10
    assert "c_k" not in history.records[-1]
    assert history.records[-1]["relative_stationarity"] < tol <= history.records[-2]["relative_stationarity"]
    _, other = fit(DLAM(), epochs=first)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert fit(DLAM(), epochs=5, tol=1e-12)[0].status == "ok"


def test_a_run_that_has_converged_stays_so_where_it_is_resumed(tmp_path: Path):
    folder = {"checkpoint": tmp_path / "c", "resume": True}
    tol = 1.0001 * fit(DLAM(), epochs=10, diagnose=True)[0]["relative_stationarity"][-1]
    history, _ = fit(DLAM(), epochs=30, tol=tol, **folder)
    again, _ = fit(DLAM(), epochs=30, tol=tol, **folder)
    assert history.status == again.status == "converged"
    assert again.iterations == history.iterations < 30
    later, _ = fit(DLAM(), epochs=30, tol=1e-9, **folder)
    assert (later.status, later.iterations) == ("ok", 30)


def test_c_k_goes_on_from_a_checkpoint(tmp_path: Path):
    whole, _ = fit(IPDLAM(), epochs=8, diagnose=True)
    folder = {"checkpoint": tmp_path / "c", "resume": True, "every": 1}

    def stop(history: altmin.History, _: Any) -> bool:
        return history.iterations == 3

    fit(IPDLAM(), epochs=8, diagnose=True, callbacks=[stop], **folder)
    again, _ = fit(IPDLAM(), epochs=8, diagnose=True, **folder)
    assert again["c_k"] == whole["c_k"]
    assert again["xi"] == whole["xi"]


def test_holds_is_of_all_iterations_since_the_last_record(monkeypatch: pytest.MonkeyPatch):
    original = IPDLAM.step

    def spoiled(self: IPDLAM, sweep: Sweep[Any]) -> None:
        original(self, sweep)
        if sweep.state.k == 3:
            sweep.state.W[0].add_(1.0)

    monkeypatch.setattr(IPDLAM, "step", spoiled)
    with pytest.warns(LemmaWarning):
        history, _ = fit(IPDLAM(), epochs=6, diagnose=True, record_every=2)
    assert [list(record["holds"].values()) for record in history.records] == [[True], [False], [True]]


@pytest.mark.filterwarnings("ignore::altmin.PrecisionWarning")  # not every machine has them
def test_products_in_bfloat16_are_measured_and_not_checked():
    history, _ = fit(DLAM(), dtype=torch.float32, diagnose=True, precision="bf16")
    assert all(record["holds"] == {"descent with inertia (Lemma 1)": None} for record in history.records)


@pytest.mark.usefixtures("training_alone")
def test_the_command_line_has_both(tmp_path: Path):
    folder = tmp_path / "run"
    words = f"train dlam --hidden 10 --epochs 40 --tol 0.1 --diagnose --train-samples 200 --quiet --out {folder}"
    assert main(words.split()) == 0
    (run,) = json.loads((folder / "results.json").read_text())["runs"]
    assert run["status"] == "converged"
    assert run["tol"] == 0.1
    written = (folder / "config.yaml").read_text()
    assert "tol: 0.1" in written
    assert "diagnose: true" in written
    with (folder / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == run["iterations"] < 40
    assert float(rows[-1]["relative_stationarity"]) < 0.1 <= float(rows[-2]["relative_stationarity"])
    assert rows[0].keys() >= {
        "stationarity.W_1",
        "stationarity.A_1",
        "c_k",
        "xi",
        "holds.descent with inertia (Lemma 1)",
    }


@pytest.mark.usefixtures("training_alone")
def test_the_command_line_names_a_method_that_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(f"train am-adam --diagnose --epochs 1 --out {tmp_path / 'run'}".split()) != 0
    assert "--diagnose needs a method that minimises a penalty objective" in capsys.readouterr().err


@pytest.mark.usefixtures("training_alone")
def test_a_methods_own_number_of_that_name_stays_its_own(tmp_path: Path):
    folder = tmp_path / "run"
    assert main(f"train mac --tol 0.25 --epochs 1 --hidden 4 --train-samples 60 --quiet --out {folder}".split()) == 0
    (run,) = json.loads((folder / "results.json").read_text())["runs"]
    assert run["parameters"]["tol"] == 0.25
    assert run["tol"] is None
    assert "tol: 0.25" in (folder / "config.yaml").read_text()
