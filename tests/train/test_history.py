"""What training recorded: access by name, the best iteration, and files."""

import csv
import json
import math
from typing import Literal

import pytest

from altmin import History


def record(iteration, accuracy=None, loss=None, **more):
    return {"iteration": iteration, "validation_loss": loss, "validation_accuracy": accuracy} | more


def history_of(*figures, keep: Literal["last", "best"] = "best"):
    """A history of records with these pairs of validation accuracy and loss."""
    history = History(keep=keep)
    for i, (accuracy, loss) in enumerate(figures, 1):
        history.add(record(i, accuracy, loss))
    return history


def test_a_name_gives_one_quantity_over_the_iterations():
    history = history_of((0.5, 1.0), (0.75, 0.5))
    assert history["validation_accuracy"] == [0.5, 0.75]
    assert len(history) == 2


@pytest.mark.parametrize(
    ("figures", "best"),
    [
        ([(0.5, 3.0), (0.9, 9.0), (0.7, 1.0)], 2),  # classes: the highest accuracy, whatever the loss
        ([(0.5, 1.0), (0.9, 1.0), (0.9, 0.1)], 2),  # of equals the first
        ([(None, 3.0), (None, 1.0), (None, 2.0)], 2),  # regression: the lowest loss
        ([(None, 1.0), (None, 1.0)], 1),
        ([(None, math.inf), (None, 5.0)], 2),
        ([(None, math.nan), (None, 5.0), (None, 7.0)], 2),  # nan is never better than a number
        ([(None, None), (None, None)], None),  # no validation set
    ],
)
def test_the_best_iteration(figures, best):
    assert history_of(*figures).best == best


def test_add_says_whether_the_record_is_the_best_so_far():
    history = History()
    assert [history.add(record(i, a, 1.0)) for i, a in enumerate((0.5, 0.4, 0.6, 0.6), 1)] == [True, False, True, False]


@pytest.mark.parametrize(("keep", "kept"), [("best", 2), ("last", 3)])
def test_kept_is_the_record_of_the_weights_that_the_model_holds(keep, kept):
    found = history_of((0.5, 1.0), (0.9, 1.0), (0.7, 1.0), keep=keep).kept
    assert found is not None
    assert found["iteration"] == kept


def test_it_prints_few_lines():
    history = history_of(*[(0.5, 1.0)] * 300, keep="last")
    history.records[-1] |= {"train_loss": 0.25, "train_accuracy": 0.9375, "objective": math.nan, "test_accuracy": None}
    assert str(history).splitlines() == [
        "History: 300 iterations, ok",
        "  last: objective nan, train loss 0.25, train accuracy 0.9375, validation loss 1, validation accuracy 0.5",
        "  weights: of iteration 300; best on validation: 1",
    ]
    history.records[-1] = record(300)
    assert str(history).splitlines()[1:] == [
        "  last: not recorded",
        "  weights: of iteration 300; best on validation: 1",
    ]
    assert str(History(status="diverged")) == "History: 0 iterations, diverged"
    history.restored = 1000  # a start that no record has
    assert len(str(history).splitlines()) == 2


def test_an_empty_history_has_no_kept_record_and_can_be_written(tmp_path):
    history = History()
    assert (history.kept, history.best, len(history)) == (None, None, 0)
    history.to_json(tmp_path / "h.json")
    history.to_csv(tmp_path / "h.csv")
    assert json.loads((tmp_path / "h.json").read_text())["records"] == []


def test_json_holds_everything_and_null_for_what_is_not_finite(tmp_path):
    history = History(status="diverged", keep="best")
    terms = {"loss": math.nan, "dual": -math.inf}
    history.add(record(1, 0.5, 1.5, terms=terms, residuals={"E_1": 0.25}, objective=math.inf))
    history.to_json(str(tmp_path / "h.json"))

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads((tmp_path / "h.json").read_text(), parse_constant=refuse) == {
        "status": "diverged",
        "keep": "best",
        "best": 1,
        "records": [
            record(1, 0.5, 1.5, terms={"loss": None, "dual": None}, residuals={"E_1": 0.25}, objective=None),
        ],
    }
    assert math.isnan(history.records[0]["terms"]["loss"])


def test_csv_has_a_row_for_each_iteration_and_a_column_for_each_nested_quantity(tmp_path):
    history = History()
    history.add(record(1, 0.5, 1.5, residuals={"E_1": 0.25, "D_1": 2.0}))
    history.add(record(2, 0.75, 1.25, residuals={"E_1": 0.125}, rho=3.0))
    history.to_csv(tmp_path / "h.csv")
    with (tmp_path / "h.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = ["iteration", "validation_loss", "validation_accuracy", "residuals.E_1", "residuals.D_1", "rho"]
    assert list(rows[0]) == columns
    assert [list(row.values()) for row in rows] == [
        ["1", "1.5", "0.5", "0.25", "2.0", ""],
        ["2", "1.25", "0.75", "0.125", "", "3.0"],
    ]
