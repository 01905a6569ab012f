"""Exported networks tell what the library's own do, and cards say what results say."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch

from altmin.cli import main
from altmin.errors import DataError, UnknownNameError
from altmin.export import export
from altmin.export.answering import Answering
from altmin.export.onnx_file import onnx_model
from altmin.files import write_json
from altmin.losses import make_loss
from altmin.study.description import DTYPES, NetworkDescription
from altmin.study.prediction import predict_table
from altmin.study.saved_network import load

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"inputs": (6,), "options": {"hidden": (5,), "batch_norm": True}},
    "lenet5": {"inputs": (1, 28, 28)},
    "binary": {"inputs": (6,), "options": {"hidden": (8, 8)}},
    "residual": {"inputs": (6,), "options": {"hidden": (8,), "depth": 4}},
    "elman": {"inputs": (6,), "options": {"hidden": (4,), "step_width": 2}},
}
onnx = pytest.mark.slow  # PyTorch's exporter takes seconds to import


def described(name: str, **more: Any) -> NetworkDescription:
    return NetworkDescription(**{"model": name, "outputs": 3, "classes": ("a", "b", "c"), **NETWORKS[name], **more})


def runtime(model: Any) -> Any:
    """ONNX Runtime's session for a model, whose results may be of many kinds and here are arrays."""
    return onnxruntime.InferenceSession(model)


@onnx
@pytest.mark.parametrize(("name", "dtype"), [*((name, "float32") for name in NETWORKS), ("mlp", "float64")])
def test_onnx_computes_what_the_network_does(name: str, dtype: str):
    network = described(name, dtype=dtype)
    model = network.build(seed=1).eval()
    made = runtime(onnx_model(Answering(model, network), network).SerializeToString())
    for n in (1, 7):
        x = torch.randn(n, int(np.prod(network.inputs)), dtype=DTYPES[dtype])
        outputs, shares = made.run(None, {"x": x.numpy()})
        want = model(x).detach()
        np.testing.assert_allclose(outputs, want.numpy(), atol=1e-5)
        np.testing.assert_allclose(shares, make_loss(network.loss).probabilities(want).numpy(), atol=1e-5)


@onnx
def test_a_recurrence_is_a_loop():
    sizes = []
    for inputs in (6, 40):
        network = described("elman", inputs=(inputs,))
        graph = onnx_model(Answering(network.build(), network), network).graph
        assert [node.op_type for node in graph.node].count("RNN") == 1
        sizes.append(len(graph.node))
    assert sizes[0] == sizes[1]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, on a table of classes and on one of numbers, whose features are centred, with cells that are empty."""
    folder, r, n = tmp_path_factory.mktemp("tables"), np.random.default_rng(0), 240
    frame = pd.DataFrame({"age": r.integers(18, 80, n).astype(float), "city": r.choice(["Rome", "Oslo", ""], n)})
    frame["member"], frame["x"] = r.choice(["true", "false"], n), 1000 * r.normal(size=n)
    frame["kind"] = np.where((frame.age > 45) ^ (frame.city == "Rome"), "old", "new")
    frame["price"] = 3 * frame.age + frame.x / 300 + 700
    frame.loc[::9, "age"] = np.nan
    for target, task, other in (("kind", "classification", "price"), ("price", "regression", "kind")):
        path = folder / f"{target}.csv"
        frame.drop(columns=other).to_csv(path, index=False)
        line = ["train", "am-newton", "--csv.train", path, "--csv.target", target, "--task", task, "--epochs", "3"]
        line += ["--center"] if target == "price" else []
        assert main([*map(str, line), "--quiet", "--out", str(folder / target)]) == 0
    return folder


def feed(made: Any, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """A table's columns as the inputs of an ONNX model."""
    texts = {i.name: i.type == "tensor(string)" for i in made.get_inputs()}
    columns = {
        name: frame[name].fillna("").astype(str).to_numpy(object) if text else frame[name].to_numpy(np.float64)
        for name, text in texts.items()
    }
    return {name: column[:, None] for name, column in columns.items()}


@onnx
@pytest.mark.parametrize("target", ["kind", "price"])
def test_onnx_encodes_the_columns_of_a_table(target: str, tables: Path):
    file = export(tables / target, out=tables / f"{target}-onnx")[0]
    made, rows = runtime(file), pd.read_csv(tables / f"{target}.csv")
    rows.loc[5, "city"] = "Lima"  # which training did not have
    said = made.run(None, feed(made, rows))[1]
    want = predict_table(tables / target, rows)
    want = want[["predicted"]] if target == "price" else want.filter(like="probability_")
    np.testing.assert_allclose(said, want.to_numpy(), rtol=1e-5, atol=1e-5)


@onnx
def test_onnx_has_no_operators_for_dates(tmp_path: Path):
    day = pd.date_range("2020-01-01", periods=90).strftime("%Y-%m-%d")
    pd.DataFrame({"day": day, "y": ["a", "b", "b"] * 30}).to_csv(tmp_path / "t.csv", index=False)
    line = ["train", "am-adam", "--csv.train", tmp_path / "t.csv", "--csv.target", "y", "--epochs", "1", "--quiet"]
    assert main([*map(str, line), "--out", str(tmp_path / "run")]) == 0
    with pytest.raises(DataError, match="column 'day' is a date"):
        export(tmp_path / "run")
    assert not (tmp_path / "run/export/model.onnx").exists()


@onnx
def test_the_command_line(tables: Path, capsys: pytest.CaptureFixture[str]):
    run = tables / "kind"
    assert main(["export", str(run)]) == 0
    assert capsys.readouterr().out == f"wrote model.onnx, model_card.json, model_card.md to {run / 'export'}\n"
    assert {file.name for file in (run / "export").iterdir()} == {"model.onnx", "model_card.json", "model_card.md"}
    assert main(["export", str(tables)]) == 2
    assert "holds no model.json; its folders" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "onxx"]) == 2
    assert main(["export", str(run), "--out", str(run / "model.json")]) == 2
    assert capsys.readouterr().err.endswith("this is a file; name a folder\n")


LOAD = """
import sys, torch
x = torch.load(sys.argv[2])
torch.save(torch.export.load(sys.argv[1]).module()(x), sys.argv[2])
assert not any(name.startswith("altmin") for name in sys.modules)
"""


@pytest.mark.slow
def test_a_program_of_pytorchs_needs_no_altmin(tables: Path, tmp_path: Path):
    file, *_ = export(tables / "kind", to="torch", out=tmp_path)
    model, network = load(tables / "kind")
    x, kept = torch.randn(5, int(np.prod(network.inputs))), tmp_path / "x.pt"
    torch.save(x, kept)
    subprocess.run([sys.executable, "-c", LOAD, str(file), str(kept)], check=True, capture_output=True)
    outputs, shares = torch.load(kept)
    torch.testing.assert_close(outputs, model(x), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(shares, torch.softmax(model(x), 1), atol=1e-6, rtol=1e-5)


def test_safetensors_have_the_weights_by_name(tables: Path, tmp_path: Path):
    from safetensors.torch import load_file

    file, *_ = export(tables / "kind", to="safetensors", out=tmp_path)
    assert file == tmp_path / "model.safetensors"
    model, _ = load(tables / "kind")
    model.load_state_dict(load_file(file))


def test_the_card_says_what_the_results_say(tables: Path, tmp_path: Path):
    _, card, text = export(tables / "kind", to="safetensors", out=tmp_path)
    said, run = json.loads(card.read_text()), json.loads((tables / "kind/results.json").read_text())["runs"][0]
    assert said["measures"]["test_accuracy"] == {"value": run["test_accuracy"]}
    assert said["method"]["name"] == "am-newton"
    assert said["method"]["gradients"] == "gradients within a layer"
    assert said["method"]["numbers"] == run["parameters"]
    assert said["versions"]["torch"] == run["versions"]["torch"]
    words = text.read_text()
    assert f"| accuracy | test | {run['test_accuracy']:.4g} |" in words
    for part in (
        "Classes, in the order of the probabilities: new, old.",
        "- city: ",
        "In training: gradients within a layer.",
    ):
        assert part in words


@pytest.mark.slow
def test_the_card_of_one_of_several_seeds_has_their_spread(tmp_path: Path):
    line = ["train", "am-newton", "--seeds", "2", "--epochs", "2", "--train-samples", "300", "--quiet"]
    assert main([*line, "--out", str(tmp_path / "run")]) == 0
    card = export(tmp_path / "run/seed-1", to="safetensors")[1]
    said, runs = json.loads(card.read_text()), json.loads((tmp_path / "run/results.json").read_text())["runs"]
    accuracies = [run["test_accuracy"] for run in runs]
    assert said["measures"]["test_accuracy"]["value"] == accuracies[1]
    assert said["measures"]["test_accuracy"]["mean"] == pytest.approx(fmean(accuracies))
    assert said["measures"]["test_accuracy"]["runs"] == 2


def test_what_cannot_be_exported_is_said(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(UnknownNameError, match=r"unknown `to` 'onxx'.*onnx"):
        export(tables / "kind", to="onxx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"needs onnx and onnxscript: pip install 'altmin\[onnx\]'"):
        export(tables / "kind", out=tmp_path)


def test_results_of_an_earlier_version_are_refused(tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for file in ("model.json", "model.safetensors", "encoder.json", "results.json", "curves.csv"):
        (tmp_path / file).write_bytes((tables / "kind" / file).read_bytes())
    results = json.loads((tmp_path / "results.json").read_text())
    del results["runs"][0]["gradients"]
    write_json(tmp_path / "results.json", results)
    with pytest.raises(DataError, match="was written by an earlier version"):
        export(tmp_path, to="safetensors")
    assert main(["report", str(tmp_path), "--out", str(tmp_path / "page.html")]) == 2
    assert "was written by an earlier version" in capsys.readouterr().err


def test_results_of_another_run_are_no_results(tables: Path, tmp_path: Path):
    for name in ("model.json", "model.safetensors", "encoder.json"):
        (tmp_path / name).write_bytes((tables / "kind" / name).read_bytes())
    write_json(tmp_path / "results.json", {"runs": [{"run": "another"}]})
    with pytest.raises(DataError, match="tells of the run that trained this network"):
        export(tmp_path, to="safetensors")
