"""Numbers, dates and flags as people write them."""

from __future__ import annotations

import numpy as np
import pytest

from altmin.data.table.dates import PARTS, Dates, dates_of
from altmin.data.table.numerals import PLAIN, Flags, has_decimal_commas, merge, numerals_of


def read(*texts: str, commas: bool = False) -> list[float]:
    counts = np.ones(len(texts), dtype=np.int64)
    return numerals_of(texts, counts, commas).parse(texts).tolist()


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (("1", "-2.5", "1e3", ".5"), [1, -2.5, 1000, 0.5]),
        (("1,234", "12", "-1,234,567.5"), [1234, 12, -1234567.5]),
        (("12,34,567", "1,234"), [1234567, 1234]),
        (("1,5", "-0,25", "12"), [1.5, -0.25, 12]),
        (("1.234,5", "1.234.567", "7"), [1234.5, 1234567, 7]),
        (("1 234,5", "12\u00a0345", "1\u202f234 567"), [1234.5, 12345, 1234567]),
        (("1'234.5", "12\u2019345"), [1234.5, 12345]),
        (("$12.3", "-$1,000", "$0.5", "0"), [12.3, -1000, 0.5, 0]),
        (("12 \u20ac", "1.234,50 \u20ac"), [12, 1234.5]),
        (("USD 5", "USD 1,200"), [5, 1200]),
        (("12%", "3.5 %", "0"), [12, 3.5, 0]),
        (("(1,234.50)", "2,000", "3"), [-1234.5, 2000, 3]),
        (("\u22125,000", "4,000"), [-5000, 4000]),
    ],
)
def test_numbers_as_they_are_written(texts, values):
    assert read(*texts) == values


def test_a_leading_zero_is_no_group_of_thousands():
    assert read("0,123", "12,345") == [0.123, 12.345]


def test_what_could_be_either_follows_the_table():
    assert read("1,234", "5,678") == [1234, 5678]
    assert read("1,234", "5,678", commas=True) == [1.234, 5.678]
    assert read("1.234", "5.678") == [1.234, 5.678]
    assert read("1.234", "5.678", commas=True) == [1234, 5678]
    assert read("1.5", "2.25", commas=True) == [1.5, 2.25]
    assert has_decimal_commas(["1,5", "2"], certain=False)
    assert not has_decimal_commas(["1,500", "2"], certain=False)
    assert has_decimal_commas(["1,500", "2"], certain=True)
    assert not has_decimal_commas(["Smith, John", "2"], certain=True)


def test_mixed_units_are_no_numbers():
    """A sum without its sign may be one; a share without the percent sign is another number."""
    assert np.isnan(read("$5", "$6", "\u20ac7")[2])
    assert np.isnan(read("12%", "13%", "0.14")[2])


def test_a_number_is_read_with_the_nearest_float():
    assert PLAIN.parse(["0.1", "123456.789e3"]).tolist() == [0.1, 123456789.0]


def test_flags_in_any_case():
    assert Flags().parse(["True", "FALSE", "true", "1", "0"]).tolist() == [1, 0, 1, 1, 0]
    assert np.isnan(Flags().parse(["yes"]))


def test_integers_that_float64_cannot_tell_apart():
    assert merge([str(2**53), str(2**53 + 1)])
    assert not merge([str(2**53), str(2**53 + 2)])
    assert not merge(["a" * 20, "1"])


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2020-01-31", 18292),
        ("2020/01/31", 18292),
        ("31.01.2020", 18292),
        ("01/31/2020", 18292),
        ("31/01/2020", 18292),
        ("31 Jan 2020", 18292),
        ("January 31, 2020", 18292),
        ("2020-01-31 12:00", 18292.5),
        ("2020-01-31T18:00:00Z", 18292.75),
        ("2020-01-31T18:00:00+06:00", 18292.5),
        ("31.01.2020 06:00:00", 18292.25),
    ],
)
def test_dates_are_days_since_1970(text, day):
    dates = dates_of([text], np.ones(1))
    assert dates is not None
    assert dates.parse([text]).tolist() == [day]


def test_the_format_is_the_one_that_fits_most_rows():
    assert dates_of(["01/02/2020", "31/01/2020"], np.ones(2)) == Dates("%d/%m/%Y")
    assert dates_of(["A-17", "B-18"], np.ones(2)) is None


def test_an_order_of_day_and_month_that_cannot_be_told_is_said():
    assert "day may come first" in Dates("%m/%d/%Y").about(["01/02/2020", "03/04/2020"])
    assert Dates("%m/%d/%Y").about(["01/02/2020", "03/31/2020"]) == "date, %m/%d/%Y"


def test_where_a_day_stands_in_the_year_the_week_and_the_day():
    days = np.array([18292.25])  # Friday, 31 January 2020, six in the morning
    angles = {name: np.arctan2(PARTS[f"{name} sin"](days), PARTS[f"{name} cos"](days)) for name in ("month", "hour")}
    assert angles["month"] == 0
    assert angles["hour"] == pytest.approx(np.pi / 2)
    assert PARTS["weekday sin"](days) == pytest.approx(np.sin(2 * np.pi * 4 / 7))
