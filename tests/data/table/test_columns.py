"""What each column is taken for, and what the network gets of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from altmin.data import Dataset, TableOptions, load
from altmin.errors import DataError, LeakWarning

N = 300
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N)
LABELS = np.where(NUMBERS + RNG.normal(size=N) > 0, "yes", "no")


@pytest.fixture
def loaded(tmp_path):
    """Loads a table of the columns that are given, a number ``n`` and a label that depends on it."""

    def load_columns(
        dtype=torch.float64, task="classification", target="label", missing="impute", **columns
    ) -> Dataset:
        frame = pd.DataFrame({**columns, "n": NUMBERS})
        if "label" not in frame:
            frame["label"] = LABELS
        frame.to_csv(tmp_path / "t.csv", index=False)
        options = TableOptions(train=tmp_path / "t.csv", target=target, task=task, missing=missing)  # type: ignore[arg-type]
        return load("csv", csv=options, dtype=dtype)

    return load_columns


def about(data: Dataset, name: str = "a") -> str:
    assert data.encoder is not None
    return next(line for line in data.encoder.about if line.startswith(f"{name}: "))


def all_x(data: Dataset) -> torch.Tensor:
    return torch.cat([split.x for split in (data.train, data.validation, data.test)])


WORDS = np.arange(N) % 3
KINDS = {
    "plain": (NUMBERS, "number", 1, False),
    "thousands": ([f"{v:,.0f}" for v in NUMBERS * 1e5], "number, comma between thousands", 1, True),
    "currency": ([f"${v:.1f}" for v in NUMBERS + 9], "number, in $", 1, True),
    "percent": ([f"{v:.1f}%" for v in NUMBERS], "number, in %", 1, True),
    "decimal commas": ([f"{v:.1f}".replace(".", ",") for v in NUMBERS], "number, decimal comma", 1, True),
    "dates": (pd.date_range("2020", periods=N).astype(str), "date, ISO8601", 5, True),
    "days first": (pd.date_range("2020", periods=N).strftime("%d/%m/%Y"), "date, %d/%m/%Y", 5, True),
    "hours": (pd.date_range("2020", periods=N, freq="h").astype(str), "date, ISO8601", 5, True),
    "an identifier": ([f"n{i}" for i in range(N)], "text, 300 values, dropped as an identifier", 0, True),
    "no values": ([""] * N, "no values, dropped", 0, True),
    "zip codes": ([f"{i % 7:05d}" for i in range(N)], "7 categories, codes with leading zeros", 7, False),
    "flags": (NUMBERS > 0.5, "true or false", 1, True),
    "ids that float64 merges": ([2**60 + i for i in range(N)], "text, 300 values, dropped as an identifier", 0, True),
    "categories that float64 merges": ([2**60 + i % 3 for i in range(N)], "3 categories", 3, False),
    "NA as a word": (np.array(["NA", "EU", "None"])[WORDS], "3 categories (EU, NA, None)", 3, False),
    "one word": (["x"] * N, "1 category (x)", 1, False),
    "blanks": (np.array([" x", "x ", "y"])[WORDS], "2 categories (x, y)", 2, False),
    "words and numbers": (np.array(["none", "1", "2", "3"])[np.arange(N) % 4], "4 categories", 4, False),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_column_is_taken_for(loaded, kind):
    column, words, width, remarkable = KINDS[kind]
    data = loaded(a=column)
    assert about(data) == f"a: {words}"
    assert data.features == width + 1
    assert ("a" in data.note.split()) == remarkable
    assert bool(torch.isfinite(all_x(data)).all())


@pytest.mark.parametrize("form", ["{:,.2f}", "${:.2f}", "{:.2f}%", "{:.2f} EUR"])
def test_a_number_is_the_same_however_it_is_written(loaded, form):
    values = (1e4 * NUMBERS).round(2)
    assert torch.equal(loaded(a=[form.format(v) for v in values]).train.x, loaded(a=values).train.x)


@pytest.mark.parametrize("word", ["?", "NA", "nan", "N/A", "", "-", "refused"])
def test_missing_numbers_are_the_median_and_an_indicator(loaded, word):
    gaps = np.arange(N) % 10 == 3
    column = np.where(gaps, word, (100 * NUMBERS).round(2).astype(str))
    data = loaded(a=column)
    x = all_x(data)
    assert data.features == 3
    assert x[:, 1].sum() == 30
    assert len(x[x[:, 1] == 1, 0].unique()) == 1
    shown = repr(word) if word else "empty"
    assert f"number, 30 missing ({shown}): the median " in about(data)
    with pytest.raises(DataError, match=r"t\.csv, line 5: column 'a' has no value .*--csv.missing impute"):
        loaded(a=column, missing="error")


def test_the_median_and_the_scale_are_those_of_the_training_rows(loaded):
    column = np.where(np.arange(N) % 10 == 3, "", (100 * NUMBERS).round(2).astype(str))
    data = loaded(a=column)
    (fitted, _) = data.encoder.columns
    values = data.train.x[:, 0] * fitted.scales[0] + fitted.means[0]
    seen = values[data.train.x[:, 1] == 0]
    assert float(np.median(seen.numpy())) == pytest.approx(fitted.fill)
    assert float(seen.mean()) == pytest.approx(fitted.means[0])
    assert float(seen.std(correction=0)) == pytest.approx(fitted.scales[0])


def test_missing_text_is_a_category_of_its_own(loaded):
    data = loaded(a=np.where(np.arange(N) % 10 == 3, "", "x"))
    assert "1 category (x), 30 missing: a category of their own" in about(data)
    assert all_x(data)[:, :2].sum(0).tolist() == [270, 30]
    with pytest.raises(DataError, match=r"line 5: column 'a' has no value \(30 missing in all\)"):
        loaded(a=np.where(np.arange(N) % 10 == 3, "", "x"), missing="error")


def test_rare_categories_share_one_column(loaded):
    column = [f"k{i % 140}" for i in range(N)]
    data = loaded(a=column)
    assert data.features == 101
    assert "the 99 most frequent by themselves, the others together" in about(data)
    assert all_x(data)[:, :100].sum(1).unique().tolist() == [1]


def test_a_mistake_among_numbers_is_named_and_a_word_again_and_again_is_missing(loaded):
    column = NUMBERS.astype(str).astype(object)
    column[[5, 9]] = "9O"
    with pytest.raises(DataError, match=r"line 7: column 'a' holds numbers, but here '9O'"):
        loaded(a=column)


def test_a_copy_of_the_target_is_a_warning(loaded):
    label = np.where(NUMBERS > 0, "yes", "no")
    with pytest.warns(LeakWarning, match="column 'a' tells the target 'label' in every row"):
        loaded(a=np.where(NUMBERS > 0, 1, 0), label=label)
    with pytest.warns(LeakWarning, match="column 'a' tells the target 'n'"):
        loaded(a=NUMBERS, task="regression", target="n")


@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", "N/A"])
def test_words_for_nothing_can_be_classes(loaded, word):
    data = loaded(label=np.where(NUMBERS > 0, word, "yes"))
    assert set(data.classes) == {word, "yes"}


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("word", ["", "NA", "?"])
def test_rows_without_a_label_are_named(loaded, task, word):
    labels = (np.arange(N) % 3).astype(str).astype(object)
    labels[[7, 8]] = word
    with pytest.raises(DataError, match=r"t\.csv, line 9: target 'label' has no value \(2 missing in all\)"):
        loaded(label=labels, task=task)


def test_integers_beyond_float64_stay_classes(loaded):
    data = loaded(label=[2**53 + i % 3 for i in range(N)])
    assert data.classes == tuple(str(2**53 + i) for i in range(3))


def test_classes_with_leading_zeros_are_names(loaded):
    assert loaded(label=np.array(["01", "1", "10"])[WORDS]).classes == ("01", "1", "10")


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_numbers_beyond_the_type_are_named(loaded, task):
    a = NUMBERS.copy()
    a[4] = 1e300
    with pytest.raises(DataError, match=r"t\.csv, line 6: column 'a' holds 1e\+300, beyond"):
        loaded(a=a, task=task, target="label" if task == "classification" else "n")
    with pytest.raises(DataError, match=r"t\.csv, line 6: column 'a' holds 1e\+300, beyond what float32 holds"):
        loaded(a=a, task="regression", target="a", dtype=torch.float32)


def test_large_numbers_are_standardised_without_overflow(loaded):
    torch.testing.assert_close(loaded(a=NUMBERS * 2.0**200).train.x, loaded(a=NUMBERS).train.x)


def test_a_row_far_from_training_is_named_where_the_type_overflows(loaded, tmp_path):
    loaded(a=NUMBERS)
    frame = pd.read_csv(tmp_path / "t.csv").head(20)
    frame.loc[3, "n"] = 1e60
    frame.to_csv(tmp_path / "test.csv", index=False)
    options = TableOptions(train=tmp_path / "t.csv", test=tmp_path / "test.csv", target="label")
    with pytest.raises(
        DataError, match=r"test\.csv, line 5: column 'n' holds 1e\+?60, so far from training that float32"
    ):
        load("csv", csv=options)


def test_a_nameless_column_that_counts_the_rows_is_dropped(loaded, tmp_path):
    loaded()
    pd.read_csv(tmp_path / "t.csv").to_csv(tmp_path / "t.csv")
    data = load("csv", csv=TableOptions(train=tmp_path / "t.csv", target="label"))
    assert data.features == 1
    assert "counts the rows and has no name, dropped" in about(data, "Unnamed")


def test_nothing_to_learn_from(tmp_path):
    rows = "\n".join(f"id {i},{i % 2}" for i in range(50))
    (tmp_path / "t.csv").write_text(f"a,label\n{rows}\n")
    with pytest.raises(DataError, match=r"no column to learn from \(a: text, 50 values, dropped as an identifier\)"):
        load("csv", csv=TableOptions(train=tmp_path / "t.csv", target="label"))


def test_a_regression_target_is_standardised_and_brought_back(loaded):
    data = loaded(task="regression", target="label", label=2e5 + 8e4 * NUMBERS)
    scaled = data.standardised()
    assert float(scaled.train.y.mean()) == pytest.approx(0, abs=1e-9)
    assert float(scaled.train.y.std(correction=0)) == pytest.approx(1)
    assert scaled.units is not None
    torch.testing.assert_close(scaled.units.units(scaled.test.y), data.test.y)
    assert scaled.standardised() is scaled
    assert loaded().standardised().units is None


def test_a_target_keeps_the_digits_that_float32_would_lose(loaded):
    data = loaded(task="regression", target="label", label=1e9 + NUMBERS.round(6), dtype=torch.float32)
    assert data.standardised().train.y.dtype == torch.float32
    assert float(data.standardised().train.y.std(correction=0)) == pytest.approx(1, rel=1e-5)
    assert len(data.standardised().train.y.unique()) > 150


@pytest.mark.parametrize(
    "options", [{"missing": "drop"}, {"delimiter": "::"}, {"encoding": "utf-99"}, {"task": "rank"}]
)
def test_options_that_there_are_not(options):
    with pytest.raises(ValueError, match=r"unknown|one character"):
        TableOptions(train="t.csv", target="y", **options)  # type: ignore[arg-type]
