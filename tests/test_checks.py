"""Fields that check themselves: what is let through, what is refused, and what the message says."""

import math
import re
from dataclasses import dataclass, fields

import pytest

from altmin.checks import Checked, number


@dataclass(frozen=True)
class Numbers(Checked):
    rho: float = number(1.0, "greater than 0", above=0.0)
    share: float = number(0.5, "from 0 to 1", least=0.0, most=1.0)
    steps: int = number(5, "an integer of at least 1", least=1)
    lr: float | None = number(None, "greater than 0, or none", above=0.0, optional=True)
    nu: float | None = number(1e-6, "greater than 0, or none, by default a number", above=0.0, optional=True)
    rule: str = number("mean", "a choice", choices=("mean", "sum"))
    fast: bool = number(False, "yes or no")
    free: float = number(0.0, "any number")
    note: object = None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rho", 1e-300),
        ("rho", 3),
        ("share", 0),
        ("share", 0.0),
        ("share", 1),
        ("steps", 1),
        ("lr", None),
        ("lr", 0.1),
        ("nu", None),
        ("rule", "sum"),
        ("fast", True),
        ("free", -5.0),
        ("note", "anything"),
    ],
)
def test_allowed_values_are_kept_as_they_are(name, value):
    assert getattr(Numbers(**{name: value}), name) is value


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("rho", 0.0, "must be > 0, got 0.0"),
        ("rho", -0.5, "must be > 0, got -0.5"),
        ("rho", 0, "must be > 0, got 0"),
        ("rho", -1, "must be > 0, got -1"),
        ("rho", math.nan, "must be > 0, got nan"),
        ("share", -1, "must be >= 0 and <= 1, got -1"),
        ("share", 2, "must be >= 0 and <= 1, got 2"),
        ("share", 1.01, "must be >= 0 and <= 1, got 1.01"),
        ("steps", 0, "must be >= 1, got 0"),
        ("lr", -1, "must be > 0, got -1"),
        ("nu", 0.0, "must be > 0, got 0.0"),
        ("free", math.nan, "must be a number, got nan"),
        ("rule", "median", "must be one of 'mean', 'sum', got 'median'"),
        ("rule", None, "must be one of 'mean', 'sum', got None"),
    ],
)
def test_values_out_of_range_are_a_value_error_with_name_range_and_value(name, value, wanted):
    with pytest.raises(ValueError, match="^" + re.escape(f"`{name}` {wanted}") + "$"):
        Numbers(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rho", "1"),
        ("rho", None),
        ("rho", True),
        ("rho", [1.0]),
        ("steps", 2.0),
        ("steps", True),
        ("lr", "none"),
        ("lr", False),
        ("fast", "no"),
        ("fast", 1),
        ("fast", None),
    ],
)
def test_values_of_another_kind_are_a_type_error_with_name_and_value(name, value):
    with pytest.raises(TypeError) as caught:
        Numbers(**{name: value})
    assert str(caught.value).startswith(f"`{name}` must be ")
    assert repr(value) in str(caught.value)


def test_a_field_knows_its_meaning_and_the_papers_value():
    @dataclass(frozen=True)
    class Documented(Checked):
        rho: float = number(1.0, "the penalty", above=0.0, paper="2")

    (field,) = fields(Documented)
    assert (field.metadata["help"], field.metadata["paper"]) == ("the penalty", "2")
