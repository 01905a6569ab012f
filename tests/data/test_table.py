"""Tables of the user's own: encoding, splits, and errors that name file and line."""

from __future__ import annotations

import gzip
import math
from typing import Literal

import pytest
import torch

from altmin.data import TableOptions, load
from altmin.errors import DataError


@pytest.fixture
def write(tmp_path):
    """Writes lines to a table and returns its path."""

    def writer(*lines: str, name: str = "train.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return writer


def rows(count: int) -> list[str]:
    """Rows of an index, a colour, and a label that alternates."""
    return [f"{i},{'red' if i % 4 < 2 else 'green'},{'yes' if i % 2 else 'no'}" for i in range(count)]


Task = Literal["classification", "regression"]
Missing = Literal["impute", "error"]


def load_csv(train, test=None, target="label", task: Task = "classification", missing: Missing = "impute", **settings):
    return load("csv", csv=TableOptions(train=train, test=test, target=target, task=task, missing=missing), **settings)


def test_values_of_a_small_table(write):
    """Five rows: 3 to train on; a test table of known rows is encoded by those three alone."""
    train = write("size,label", "1,1.5", "2,2.5", "3,3.5", "4,4.5", "5,5.5")
    test = write("label,size", "0.5,10", name="test.csv")
    data = load_csv(train, test, task="regression", dtype=torch.float64, seed=3)
    assert data.classes is None
    assert (data.features, data.outputs) == (1, 1)
    sizes = data.train.y[:, 0] - 0.5  # the target is the size plus a half
    assert sizes.shape == (4,)
    mean = sizes.mean()
    deviation = math.sqrt(((sizes - mean) ** 2).mean())
    torch.testing.assert_close(data.train.x[:, 0], (sizes - mean) / deviation)
    torch.testing.assert_close(data.test.x[:, 0], (torch.tensor([10.0], dtype=torch.float64) - mean) / deviation)
    assert data.test.y.tolist() == [[0.5]]
    assert data.validation.y[0, 0] not in data.train.y[:, 0]


def test_splits_are_stratified_and_share_no_row(write):
    path = write("number,colour,label", *rows(40))
    data = load_csv(path, dtype=torch.float64)
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [24, 8, 8]
    assert [torch.bincount(split.y).tolist() for split in splits] == [[12, 12], [4, 4], [4, 4]]
    numbers = torch.cat([split.x[:, 0] for split in splits])
    assert len(numbers.unique()) == 40
    assert data.classes == ("no", "yes")
    assert data.features == 3
    torch.testing.assert_close(data.train.x[:, 0].mean(), torch.tensor(0.0, dtype=torch.float64))
    assert data.train.x[:, 1:].sum(1).unique().tolist() == [1], "one of the two colours is set in each row"
    again = load_csv(path, dtype=torch.float64)
    assert torch.equal(again.train.x, data.train.x)
    assert not torch.equal(load_csv(path, seed=1).train.x.double(), data.train.x)


def test_text_becomes_one_hot_and_unknown_text_zeros(write):
    train = write("colour,label", *[f"{'red' if i % 4 < 2 else 'green'},{i % 2}" for i in range(20)])
    test = write("colour,label", "red,0", "green,1", "blue,1", name="test.csv")
    data = load_csv(train, test)
    assert data.test.x.tolist() == [[0, 1], [1, 0], [0, 0]], "columns are in the order of the words: green, red"
    assert (len(data.train), len(data.validation)) == (16, 4)
    assert torch.bincount(data.validation.y).tolist() == [2, 2]


def test_gzip_reads_the_same(write, tmp_path):
    path = write("number,colour,label", *rows(40))
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert torch.equal(load_csv(packed).test.x, load_csv(path).test.x)


def test_number_labels_are_sorted_by_value_and_match_however_written(write):
    train = write("x,label", *[f"{i},{(1, 2, 10)[i % 3]}" for i in range(30)])
    test = write("x,label", "0,10.0", "0,1", "0,2.0", name="test.csv")
    data = load_csv(train, test)
    assert data.classes == ("1", "2", "10")
    assert data.test.y.tolist() == [2, 0, 1]


def test_a_constant_column_becomes_zero(write):
    path = write("x,constant,label", *[f"{i},0.1,{i % 2}" for i in range(20)])
    assert load_csv(path).test.x[:, 1].abs().max() < 1e-12


def test_fewer_training_samples_are_from_the_front_and_alone_make_the_statistics(write):
    path = write("number,colour,label", *rows(40))
    data, few = load_csv(path), load_csv(path, train_samples=6)
    assert torch.equal(few.train.y, data.train.y[:6])
    assert few.train.x[:, 0].mean().abs() < 1e-6
    assert torch.equal(few.test.y, data.test.y)
    with pytest.raises(ValueError, match=r"25, .* 24 available"):
        load_csv(path, train_samples=25)


def test_no_target_column_names_the_nearest(write):
    path = write("number,colour,label", *rows(40))
    with pytest.raises(DataError, match=r"train.csv: no target column 'lable'; did you mean 'label'"):
        load_csv(path, target="lable")


def test_a_missing_value_names_column_and_line(write):
    lines = rows(40)
    lines[5], lines[9] = "5,,no", "9,,no"
    path = write("number,colour,label", *lines)
    with pytest.raises(DataError, match=r"train.csv, line 7: column 'colour' has no value \(2 missing in all\)"):
        load_csv(path, missing="error")


@pytest.mark.parametrize("text", ["1o", "inf", "seven"])
@pytest.mark.parametrize("count", [10, 40])
def test_stray_text_among_numbers_names_column_line_and_text(write, text, count):
    lines = rows(count)
    lines[7] = f"{text},red,yes"
    path = write("number,colour,label", *lines)
    with pytest.raises(DataError) as caught:
        load_csv(path)
    assert "train.csv, line 9: column 'number'" in str(caught.value)
    assert repr(text) in str(caught.value)


def test_infinite_values_are_no_text_however_many(write):
    path = write("x,label", *[f"{'-inf' if i % 3 else i},{i % 2}" for i in range(20)])
    with pytest.raises(DataError, match=r"line 3: column 'x' .*'-inf'"):
        load_csv(path)


def test_lines_are_counted_in_the_file(write):
    """Empty lines are no rows, and a quoted field may span lines."""
    lines = rows(40)
    lines[2] = '2,"red\nand green",no'
    lines[3] = "\n" + lines[3]
    lines[7] = "seven,red,yes"
    path = write("number,colour,label", *lines)
    with pytest.raises(DataError, match="line 11: column 'number'"):
        load_csv(path)


def test_text_with_some_numbers_stays_text(write):
    path = write("code,label", *[f"{i % 4 or 'none'},{i % 2}" for i in range(40)])
    assert load_csv(path).features == 4


def test_stray_text_in_the_test_table(write):
    train = write("number,colour,label", *rows(40))
    test = write("number,colour,label", "1,red,yes", "one,red,yes", "two,red,no", name="test.csv")
    with pytest.raises(DataError, match=r"test\.csv, line 3: column 'number' .*'one'"):
        load_csv(train, test)


@pytest.mark.parametrize("lines", [[], ["number,colour,label"], [""]])
def test_an_empty_table_is_an_error(write, lines):
    with pytest.raises(DataError, match=r"train\.csv: (no rows|not a table)"):
        load_csv(write(*lines))


def test_more_fields_than_the_header_in_every_row_is_an_error(write):
    with pytest.raises(DataError, match=r"train\.csv, line 2: more fields than the header line names"):
        load_csv(write("a,b,label", *["1,2,3,4"] * 5))


def test_more_fields_than_the_header_in_one_row_is_an_error(write):
    with pytest.raises(DataError, match=r"train\.csv: not a table .* line 3"):
        load_csv(write("a,b,label", "1,2,3", "1,2,3,4"))


def test_one_class_only_is_an_error(write):
    path = write("x,label", *[f"{i},same" for i in range(20)])
    with pytest.raises(DataError, match=r"train\.csv: target 'label' has one class only, 'same'"):
        load_csv(path)


def test_a_class_too_small_to_stratify_is_named(write):
    path = write("x,label", *[f"{i},{'rare' if i < 2 else i % 2}" for i in range(30)])
    with pytest.raises(DataError, match="class 'rare' has 2 sample"):
        load_csv(path)


def test_a_quantity_taken_for_a_class_gets_a_hint(write):
    path = write("x,label", *[f"{i},{i * 1.1}" for i in range(30)])
    with pytest.raises(DataError, match="--task regression"):
        load_csv(path)


def test_a_class_that_training_lacks_is_named(write):
    train = write("number,colour,label", *rows(40))
    test = write("number,colour,label", "1,red,yes", "1,red,perhaps", name="test.csv")
    with pytest.raises(DataError, match=r"test.csv, line 3: class 'perhaps' is not in .*train.csv"):
        load_csv(train, test)


def test_other_columns_in_the_test_table_are_named(write):
    train = write("number,colour,label", *rows(40))
    test = write("number,size,label", "1,2,yes", name="test.csv")
    with pytest.raises(DataError, match=r"test.csv: other columns .* lacks \['colour'\], has also \['size'\]"):
        load_csv(train, test)


def test_regression_on_text_is_an_error(write):
    path = write("number,colour,label", *rows(40))
    with pytest.raises(DataError, match="line 2: target 'label' is text: 'no'"):
        load_csv(path, task="regression")


def test_regression_keeps_the_target_as_it_is(write):
    path = write("x,label", *[f"{i},{100 + i}" for i in range(20)])
    data = load_csv(path, task="regression")
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 4]
    targets = torch.cat([data.train.y, data.validation.y, data.test.y])
    assert targets.dtype == torch.float32
    assert sorted(targets[:, 0].tolist()) == list(range(100, 120))


def test_a_table_of_the_target_alone_is_an_error(write):
    with pytest.raises(DataError, match="no column but the target"):
        load_csv(write("label", "a", "b"))


def test_too_few_rows_are_an_error(write):
    with pytest.raises(DataError, match="too few samples"):
        load_csv(write("x,label", "1,2", "2,3"), task="regression")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.csv: there is no such file"):
        load_csv(tmp_path / "nothing.csv")


def test_files_that_are_no_text_are_named(tmp_path):
    path = tmp_path / "binary.csv"
    path.write_bytes(b"a,label\n\xff\xfe,1\n")
    with pytest.raises(DataError, match=r"binary\.csv: not a table"):
        load_csv(path)
    path.write_bytes(gzip.compress(b"a,label\n" + b"1,2\n" * 1000)[:-12])
    with pytest.raises(DataError, match=r"binary\.csv: gzip data breaks off"):
        load_csv(path)


def test_an_unknown_task_is_an_error(write):
    with pytest.raises(ValueError, match="did you mean 'regression'"):
        load_csv(write("x,label", "1,2"), task="regresion")  # type: ignore[arg-type]
