"""The command line on comma-separated tables."""

import json

import numpy as np
import pandas as pd
import pytest

from altmin.cli import main

SMALL = ["--hidden", "8", "--threads", "1", "--quiet", "--seeds", "1"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("tables"), np.random.default_rng(0)
    for name, count in (("train", 200), ("test", 50)):
        x, kind = rng.normal(size=(count, 2)), rng.choice(["red", "blue"], count)
        frame = pd.DataFrame({"u": x[:, 0], "v": x[:, 1], "kind": kind})
        frame["height"] = 2 * x[:, 0] + x[:, 1] + (kind == "red")
        frame["answer"] = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
        frame.to_csv(folder / f"{name}.csv", index=False)
    return folder


def options(tables, target, *more):
    return [
        "--csv.train",
        str(tables / "train.csv"),
        "--csv.test",
        str(tables / "test.csv"),
        "--csv.target",
        target,
        *more,
    ]


def results(out):
    return json.loads((out / "results.json").read_text())["runs"]


def test_classification(tables, tmp_path, capsys):
    csv_options = options(tables, "answer")
    assert main(["train", "adam", *csv_options, *SMALL, "--lr", "0.01", "--epochs", "20", "--out", str(tmp_path)]) == 0
    (run,) = results(tmp_path)
    assert run["data"] == "csv"
    assert run["test_accuracy"] > 0.8
    for more in ([], csv_options, ["--data", "csv", *csv_options]):
        capsys.readouterr()
        assert main(["predict", str(tmp_path), *more, "--out", str(tmp_path / "p.csv")]) == 0
        assert f"csv, 50 test samples: accuracy {run['test_accuracy']:.2%}" in capsys.readouterr().out
    labels = pd.read_csv(tmp_path / "p.csv")["label"].tolist()
    assert labels == pd.read_csv(tables / "test.csv")["answer"].tolist()


def test_regression(tables, tmp_path, capsys):
    task = options(tables, "height", "--task", "regression")
    assert main(["compare", "dladmm", "adam", *task, *SMALL, "--epochs", "10", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert text.startswith("csv, 6-8-1, loss;")
    runs = list(results(tmp_path))
    for run in runs:
        assert (run["loss"], run["test_accuracy"]) == ("squared", None)
        assert f"{run['test_loss']:.4g}" in text
        assert main(["predict", str(tmp_path / run["method"]), "--out", str(tmp_path / "p.csv")]) == 0
        assert f"loss {run['test_loss']:.4g}" in capsys.readouterr().out
    frame = pd.read_csv(tmp_path / "p.csv")
    assert ((frame.predicted - frame.label) ** 2).mean() / 2 == pytest.approx(runs[-1]["test_loss"], rel=1e-4)
    assert (tmp_path / "compare.png").stat().st_size > 0


def test_predict_refuses_other_data(tables, tmp_path, capsys):
    main(["train", "adam", *options(tables, "answer"), *SMALL, "--epochs", "1", "--out", str(tmp_path)])
    for more, part in (
        (["--data", "digits"], "features, but digits has 64; it was trained on csv"),
        (options(tables, "kind"), "predicts 2 classes"),
    ):
        capsys.readouterr()
        assert main(["predict", str(tmp_path), *more]) == 2
        text = capsys.readouterr().err
        assert text.count("\n") == 1
        assert part in text
