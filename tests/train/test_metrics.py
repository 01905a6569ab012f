"""Metrics of the user's or scikit-learn's in every record, and the lines that `verbose` prints."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, mean_absolute_error, r2_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import altmin
from altmin import fit, fit_stream
from altmin.train.metrics import named_metrics

N = 60
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
Y = (X[:, 0] > 0.4).long() + (X[:, 1] > 0.6).long()
MACRO: Any = partial(f1_score, average="macro")


def network(outputs: int = 3) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, outputs)).double()


def run(*metrics: Any, model: nn.Sequential | None = None, data: Any = (X, Y), **options: Any) -> altmin.History:
    chosen: dict[str, Any] = {"epochs": 3, "seed": 0, "metrics": metrics, **options}
    return fit(network() if model is None else model, "am-newton", data, **chosen)


def test_metrics_are_scikit_learns_on_the_validation_samples():
    model = network()
    history = run(
        "balanced_accuracy", "accuracy", MACRO, model=model, validation=(X[:30], Y[:30]), test=(X[30:], Y[30:])
    )
    last, predicted = history["metrics"][-1], model(X).argmax(1)
    for part, rows in (("validation", slice(30)), ("test", slice(30, None))):
        pair = Y[rows].numpy(), predicted[rows].numpy()
        assert last[f"{part}_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(*pair))
        assert last[f"{part}_accuracy"] == pytest.approx(history[f"{part}_accuracy"][-1])
        assert last[f"{part}_f1_score"] == pytest.approx(f1_score(*pair, average="macro"))
    assert len(history["metrics"]) == 3
    assert len(last) == 6


def test_without_other_samples_they_are_of_the_training_samples():
    model = network()
    history = run("balanced_accuracy", model=model)
    expected = balanced_accuracy_score(Y.numpy(), model(X).argmax(1).numpy())
    assert history["metrics"][-1] == {"train_balanced_accuracy": pytest.approx(expected)}


@pytest.mark.parametrize("outputs", [1, 2])
def test_in_regression_they_see_numbers(outputs: int):
    y, model = X[:, :outputs].abs(), network(outputs)
    history = run("r2", mean_absolute_error, model=model, data=(X, y), loss="squared", validation=(X, y))
    predicted = model(X).detach()
    assert history["metrics"][-1]["validation_r2"] == pytest.approx(r2_score(y, predicted))
    assert history["metrics"][-1]["validation_mean_absolute_error"] == pytest.approx(mean_absolute_error(y, predicted))


def test_one_output_of_a_classifier_names_labels():
    y, model = (Y > 0).long(), network(1)
    history = run("f1", model=model, data=(X, y), loss="bce")
    assert history["metrics"][-1]["train_f1"] == pytest.approx(f1_score(y, model(X)[:, 0].detach() > 0))


def test_a_dict_gives_names():
    history = run(
        metrics={"macro": MACRO, "share": lambda y_true, y_pred: (y_pred == 2).mean(), "own": "balanced_accuracy"}
    )
    assert list(history["metrics"][-1]) == ["train_macro", "train_share", "train_own"]


def test_the_table_and_the_picture_have_them(tmp_path: Path):
    history = run("balanced_accuracy", validation=(X, Y))
    assert "metrics.validation_balanced_accuracy" in history.frame().columns
    assert "metrics" in [axes.get_title() for axes in history.plot().axes]
    history.to_csv(tmp_path / "curves.csv")
    assert "metrics.validation_balanced_accuracy" in pd.read_csv(tmp_path / "curves.csv").columns
    assert "metrics" not in run().records[-1]


def test_streams_and_loaders_have_them():
    loader = DataLoader(TensorDataset(X, Y), 20)
    assert len(run("accuracy", data=loader, validation=(X, Y))["metrics"]) == 3
    history = fit_stream(network(), "am-newton", loader, steps=3, every=1, metrics=["accuracy"], validation=(X, Y))
    assert [record["validation_accuracy"] for record in history["metrics"]] == history["validation_accuracy"]


@pytest.mark.parametrize(
    ("metrics", "kind", "text"),
    [
        ("accuracy", TypeError, "`metrics` must be a list of names and functions, or a dict"),
        (
            ["balanced_acuracy"],
            ValueError,
            "sklearn.metrics has no 'balanced_acuracy'; did you mean 'balanced_accuracy'",
        ),
        ([3], TypeError, "`metrics` must hold names and functions"),
        ([MACRO, f1_score], ValueError, "two metrics of one name"),
        (["f1"], ValueError, "`metrics`: f1 cannot be computed: .*multiclass"),
        ([lambda y_true, y_pred: y_pred], ValueError, "must give a number, got"),
    ],
)
def test_what_is_no_metric_is_refused_before_training(metrics: Any, kind: type[Exception], text: str):
    model = network()
    with pytest.raises(kind, match=text):
        run(model=model, metrics=metrics)
    assert all(map(torch.equal, model.parameters(), network().parameters()))


def test_every_name_of_a_score_is_found():
    found = named_metrics("metrics", ["accuracy", "r2", "r2_score", "mean_squared_error", "log_loss"])
    assert found["r2"] is found["r2_score"] is r2_score


def test_verbose_prints_a_line_for_every_record(capsys: pytest.CaptureFixture[str]):
    history = run("accuracy", validation=(X, Y), verbose=True, record_every=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["iteration 2", "iteration 3"]
    assert f"validation loss {history['validation_loss'][-1]:.6g}" in lines[-1]
    assert f"train loss {history['train_loss'][-1]:.6g}" in lines[-1]
    run()
    assert capsys.readouterr().out == ""
    run(verbose=True, record=[], epochs=1)
    assert capsys.readouterr().out == "iteration 1: nothing recorded\n"
