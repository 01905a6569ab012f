"""The fitted encoder: other rows by the same numbers, and a way through JSON that keeps every bit."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from altmin.data import Dataset, TableEncoder, TableOptions, load
from altmin.data.table import read_table, table_of
from altmin.errors import DataError

N = 200


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    price = [f"${v:,.2f}" if v > 20 else "?" for v in rng.uniform(0, 2000, N)]
    city = np.where(rng.uniform(size=N) < 0.1, "", rng.choice(["Ulm", "Bonn", "NA"], N))
    when = pd.date_range("2019-03-01", periods=N, freq="31h").strftime("%d.%m.%Y %H:%M")
    columns = {"x": rng.normal(size=N), "price": price, "city": city, "when": when, "on": rng.uniform(size=N) > 0.5}
    return pd.DataFrame({**columns, "id": [f"id {i}" for i in range(N)], "y": rng.choice(["a", "b"], N)})


@pytest.fixture
def data(frame, tmp_path) -> Dataset:
    frame.to_csv(tmp_path / "t.csv", index=False)
    return load("csv", csv=TableOptions(train=tmp_path / "t.csv", target="y"), center=True)


def encoded(data: Dataset, table) -> torch.Tensor:
    assert data.encoder is not None
    return data.encoder.features(table, torch.float32)[0]


def test_a_way_through_json_keeps_every_bit(data, tmp_path):
    again = TableEncoder.from_json(json.loads(json.dumps(data.encoder.to_json(), allow_nan=False)))
    assert again == data.encoder
    table = read_table(tmp_path / "t.csv")
    rows = {tuple(row) for row in again.features(table, torch.float32)[0].tolist()}
    for split in (data.train, data.validation, data.test):
        assert {tuple(row) for row in split.x.tolist()} <= rows


def test_a_row_is_the_same_in_any_table(data, frame, tmp_path):
    """Alone, without target and identifier, its columns in another order."""
    whole = encoded(data, read_table(tmp_path / "t.csv"))
    for row in (0, 7, N - 1):
        frame.iloc[[row]][["when", "on", "city", "x", "price"]].to_csv(tmp_path / "one.csv", index=False, sep=";")
        assert torch.equal(encoded(data, read_table(tmp_path / "one.csv"))[0], whole[row])


def test_a_frame_with_values_is_the_same_as_its_text(data, frame, tmp_path):
    values = frame.assign(
        price=pd.to_numeric(frame.price.str.replace(r"[$,?]", "", regex=True)),
        when=pd.to_datetime(frame.when, format="%d.%m.%Y %H:%M"),
        city=frame.city.replace("", None),
    )
    assert torch.equal(encoded(data, table_of(values)), encoded(data, read_table(tmp_path / "t.csv")))


def test_columns_that_are_missing_or_too_many_are_named(data, frame):
    with pytest.raises(DataError, match=r"the table: other columns than the training table: lacks \['city', 'on'\]"):
        encoded(data, table_of(frame.drop(columns=["city", "on"])))
    _, remarks = data.encoder.features(table_of(frame.assign(more=1)), torch.float32)
    assert remarks == ["columns that the training table did not have are ignored: more"]


def test_values_that_training_did_not_have_are_counted(data, frame):
    new = frame.assign(city="Köln", x=[None, *frame.x[1:]])
    x, remarks = data.encoder.features(table_of(new), torch.float32)
    assert remarks == ["x: 1 without a value, as no training row", f"city: {N} with a value that no training row had"]
    assert bool(torch.isfinite(x).all())


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("x", "two", r"row 0: column 'x' holds numbers, but here 'two'"),
        ("x", "inf", r"row 0: column 'x' holds numbers, but here 'inf'"),
        ("when", "2019-03-01", r"row 0: column 'when' holds dates \(%d.%m.%Y %H:%M\), but here '2019-03-01'"),
        ("when", 7, r"column 'when' holds dates .* but here '7'"),
        ("on", "yes", r"column 'on' holds true or false, but here 'yes'"),
    ],
)
def test_cells_that_do_not_fit_into_their_column_are_named(data, frame, column, value, words):
    with pytest.raises(DataError, match=words):
        encoded(data, table_of(frame.head(1).assign(**{column: [value]})))


DAMAGE = [
    lambda v: v | {"version": 2},
    lambda v: v | {"columns": 3},
    lambda v: v | {"columns": [*v["columns"], v["target"]]},
    lambda v: v | {"target": v["columns"][0]},
    lambda v: v | {"shift": [1.0]},
    lambda v: v | {"columns": [v["columns"][0] | {"kind": "magic"}]},
    lambda v: v | {"columns": [v["columns"][0] | {"scales": [0.0]}]},
    lambda v: v | {"columns": [v["columns"][0] | {"scales": [float("nan")]}]},
    lambda v: v | {"columns": [v["columns"][0] | {"means": ["1"]}]},
    lambda v: v | {"columns": [v["columns"][0] | {"parts": ["year"]}]},
    lambda v: v | {"columns": [v["columns"][0] | {"more": 1}]},
    lambda v: v | {"columns": [v["columns"][0] | {"name": None}]},
    lambda v: v | {"target": v["target"] | {"classes": "ab"}},
    lambda v: v | {"columns": [v["columns"][1] | {"reading": v["columns"][1]["reading"] | {"thousands": "(a+)+"}}]},
    lambda v: v | {"columns": [v["columns"][3] | {"reading": v["columns"][3]["reading"] | {"format": "%s"}}]},
    lambda v: [],
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_encoders_are_refused(data, damage):
    with pytest.raises(ValueError, match=r"\w"):
        TableEncoder.from_json(damage(data.encoder.to_json()))
