"""From a table to predictions for new rows elsewhere: the folder that train wrote is all that is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from altmin import DataError
from altmin.cli import main
from altmin.study.prediction import predict_table

SMALL = ["--hidden", "16", "--threads", "1", "--quiet", "--epochs", "15"]


def census(count: int, seed: int) -> pd.DataFrame:
    """People as in the Adult data: ages, jobs with '?', gains with separators, and whether they earn much."""
    rng = np.random.default_rng(seed)
    age, hours = rng.integers(17, 90, count), rng.integers(10, 80, count)
    school = rng.choice(["HS-grad", "Bachelors", "Masters", "None"], count)
    score = 0.04 * (age - 40) + 0.08 * (hours - 40) + 2.0 * np.isin(school, ["Bachelors", "Masters"]) - 1.0
    return pd.DataFrame(
        {
            "age": age,
            "workclass": rng.choice(["Private", "State-gov", "?"], count),
            "fnlwgt": [f"{v:,}" for v in rng.integers(10_000, 900_000, count)],
            "education": school,
            "zip": [f"{v:05d}" for v in rng.integers(0, 40, count)],
            "hours-per-week": np.where(rng.uniform(size=count) < 0.05, "", hours.astype(str)),
            "ssn": [f"{seed}-{i:06d}" for i in range(count)],
            "income": np.where(score + 0.3 * rng.normal(size=count) > 0, ">50K", "<=50K"),
        }
    )


def bikes(count: int, seed: int) -> pd.DataFrame:
    """Rented bikes by the hour: dates, weather, decimal commas, and how many were rented."""
    rng = np.random.default_rng(seed)
    when = pd.date_range("2011-01-01", periods=count, freq="5h") + pd.Timedelta(days=seed)
    warm = rng.uniform(0, 35, count)
    rented = 4000 + 90 * warm + 1500 * np.sin(2 * np.pi * when.hour.to_numpy() / 24) + 100 * rng.normal(size=count)
    return pd.DataFrame(
        {
            "dteday": when.strftime("%d.%m.%Y %H:%M"),
            "weather": rng.choice(["clear", "mist", "rain", ""], count),
            "temp": [f"{v:.1f}".replace(".", ",") for v in warm],
            "holiday": rng.uniform(size=count) < 0.1,
            "cnt": rented.round().astype(int),
        }
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two networks in their folders; the tables that they were trained on are gone."""
    home = tmp_path_factory.mktemp("home")
    census(400, 1).to_csv(home / "adult.csv", index=False)
    bikes(600, 1).to_csv(home / "bikes.csv", index=False, sep=";")
    adult = ["--csv.train", str(home / "adult.csv"), "--csv.target", "income"]
    rented = ["--csv.train", str(home / "bikes.csv"), "--csv.target", "cnt", "--task", "regression"]
    assert main(["train", "am-adam", *adult, *SMALL, "--batch-size", "20", "--out", str(home / "adult")]) == 0
    assert main(["train", "am-newton", *rented, *SMALL, "--batch-size", "20", "--out", str(home / "bikes")]) == 0
    for name in ("adult.csv", "bikes.csv"):
        (home / name).unlink()
    return home


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Another folder, which the test runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_classes_of_rows_without_labels(trained, elsewhere, capsys):
    new = census(100, 2)
    new.drop(columns="income").iloc[:, ::-1].to_csv("new.csv", index=False)
    assert main(["predict", str(trained / "adult"), "--csv.test", "new.csv", "--out", "p.csv"]) == 0
    text = capsys.readouterr().out
    assert "csv, 100 rows without labels: no score" in text
    assert "accuracy" not in text
    found = pd.read_csv("p.csv")
    assert list(found) == ["index", "predicted", "probability_<=50K", "probability_>50K"]
    assert (found.predicted == new.income).mean() > 0.75
    shares = found[["probability_<=50K", "probability_>50K"]].to_numpy()
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-6)
    assert (found.predicted == np.where(shares[:, 1] > shares[:, 0], ">50K", "<=50K")).all()
    same = predict_table(trained / "adult", "new.csv")
    pd.testing.assert_frame_equal(same, found.drop(columns="index"), check_dtype=False)
    frame = new.drop(columns=["income", "ssn"]).set_index(pd.Index(range(500, 600)))
    of_frame = predict_table(trained / "adult", frame)
    assert of_frame.index.tolist() == frame.index.tolist()
    pd.testing.assert_frame_equal(of_frame.reset_index(drop=True), same)


def test_numbers_of_rows_without_labels_are_in_the_targets_units(trained, elsewhere):
    new = bikes(100, 3)
    new.drop(columns="cnt").to_csv("new.csv.gz", index=False, sep="|")
    assert main(["predict", str(trained / "bikes"), "--csv.test", "new.csv.gz", "--out", "p.csv", "--quiet"]) == 0
    found = pd.read_csv("p.csv", dtype={"predicted": str}).astype({"predicted": float})  # to the last bit
    assert list(found) == ["index", "predicted"]
    assert 1 - ((found.predicted - new.cnt) ** 2).sum() / ((new.cnt - new.cnt.mean()) ** 2).sum() > 0.8
    assert predict_table(trained / "bikes", new).predicted.tolist() == found.predicted.tolist()


def test_a_score_where_there_are_labels(trained, elsewhere, capsys):
    new = bikes(100, 3)
    new.to_csv("new.csv", index=False)
    assert main(["predict", str(trained / "bikes"), "--csv.test", "new.csv", "--out", "p.csv", "--quiet"]) == 0
    found = pd.read_csv("p.csv")
    off = (found.predicted - found.label).to_numpy()
    r2 = 1 - (off**2).sum() / ((new.cnt - new.cnt.mean()) ** 2).sum()
    scores = f"loss {(off**2).mean() / 2:.4g}, R^2 {r2:.4g}, RMSE {(off**2).mean() ** 0.5:.4g}"
    assert capsys.readouterr().out == f"csv, 100 test samples: {scores}\n"
    census(100, 2).assign(income=lambda f: f.income.where(f.index < 40, "")).to_csv("some.csv", index=False)
    assert main(["predict", str(trained / "adult"), "--csv.test", "some.csv", "--quiet"]) == 0
    assert "csv, 40 test samples: accuracy" in (text := capsys.readouterr().out)
    assert "60 more without labels" in text


def test_what_is_said_about_new_rows(trained, elsewhere, capsys):
    new = census(50, 2).drop(columns="income").assign(education="PhD", shoe=43)
    new.to_csv("new.csv", index=False)
    assert main(["predict", str(trained / "adult"), "--csv.test", "new.csv"]) == 0
    text = capsys.readouterr().out
    assert "new.csv: columns that the training table did not have are ignored: shoe" in text
    assert "new.csv: education: 50 with a value that no training row had" in text
    assert "--out FILE writes predictions" in text


def refused(capsys, *argv: str) -> str:
    capsys.readouterr()
    assert main(["predict", *argv]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_what_is_refused_is_named(trained, elsewhere, capsys):
    run, new = str(trained / "adult"), census(50, 2)
    new.drop(columns=["age", "zip"]).to_csv("new.csv", index=False)
    assert "new.csv: other columns than the training table: lacks ['age', 'zip']" in refused(
        capsys, run, "--csv.test", "new.csv"
    )
    new.assign(age=["old", *new.age[1:]]).to_csv("new.csv", index=False)
    assert "new.csv, line 2: column 'age' holds numbers, but here 'old'" in refused(
        capsys, run, "--csv.test", "new.csv"
    )
    new.assign(income="much").to_csv("new.csv", index=False)
    assert "new.csv, line 2: class 'much' is not in" in refused(capsys, run, "--csv.test", "new.csv")
    assert "name the table with the rows to predict: --csv.test" in refused(capsys, run)
    assert "no such file" in refused(capsys, run, "--csv.test", "nowhere.csv")
    assert "not --task regression" in refused(capsys, run, "--csv.test", "new.csv", "--task", "regression")


def test_folders_without_an_encoder_or_with_anothers_are_refused(trained, elsewhere, capsys):
    census(50, 2).to_csv("new.csv", index=False)
    old = Path(shutil.copytree(trained / "adult", "old"))
    (old / "encoder.json").unlink()
    assert "old/encoder.json: there is no such file" in refused(capsys, "old", "--csv.test", "new.csv")
    with pytest.raises(DataError, match="there is no such file"):
        predict_table(old, "new.csv")
    shutil.copy(trained / "bikes" / "encoder.json", old)
    assert "not the encoder of the network" in refused(capsys, "old", "--csv.test", "new.csv")
    (old / "encoder.json").write_text("{}")
    assert "encoder.json: not the encoder of a table" in refused(capsys, "old", "--csv.test", "new.csv")
    assert main(["train", "adam", *SMALL, "--out", "digits"]) == 0
    assert "was trained on digits, not on a table" in refused(capsys, "digits", "--csv.test", "new.csv")


def test_what_the_columns_were_taken_for_is_printed(elsewhere, capsys):
    census(200, 1).to_csv("adult.csv", index=False)
    argv = ["train", "adam", "--csv.train", "adult.csv", "--csv.target", "income", "--epochs", "1", "--hidden", "4"]
    assert main([*argv, "--threads", "1"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("columns: "))
    for part in (
        "age: number; workclass: 3 categories (?, Private, State-gov); fnlwgt: number, comma between thousands",
        "categories, codes with leading zeros",
        "missing (empty): the median",
        "ssn: text, 200 values, dropped as an identifier; income: target, 2 classes",
    ):
        assert part in line
    assert main([*argv, "--csv.missing", "error"]) == 2
    assert "column 'hours-per-week' has no value" in capsys.readouterr().err


def test_results_of_a_regression(trained):
    (run,) = json.loads((trained / "bikes" / "results.json").read_text())["runs"]
    assert 0.8 < run["test_r2"] < 1
    assert run["test_loss"] == pytest.approx(run["test_rmse"] ** 2 / 2)
    (run,) = json.loads((trained / "adult" / "results.json").read_text())["runs"]
    assert (run["test_r2"], run["test_rmse"]) == (None, None)


def test_many_columns_alike_are_one_line(elsewhere, capsys):
    pixels = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 9)), columns=[f"p{i}" for i in range(9)])
    pixels.assign(label=np.arange(60) % 2).to_csv("t.csv", index=False)
    argv = ["train", "adam", "--csv.train", "t.csv", "--csv.target", "label", "--epochs", "1", "--hidden", "4"]
    assert main([*argv, "--threads", "1"]) == 0
    assert "columns: p0 to p8 (9 columns): number; label: target, 2 classes\n" in capsys.readouterr().out
