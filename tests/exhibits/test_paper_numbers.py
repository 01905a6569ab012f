"""What the help of a number calls the paper's is what the paper's exhibit has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from altmin import exhibits
from altmin.exhibits.exhibit import Exhibit

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?:e-?\d+)?")
ABOUT = {
    "ipdlam-table1": 3,
    "mdlam-figure1": 2,
    "dladmm-figure4": 2,
    "online-lenet5": 6,
    "online-rnn-15": 6,
}
"""Exhibits whose leading method has the paper's numbers, and the least number of figures that can be compared."""
BASELINES = {"epoch_decay"}  # the paper's number is that of SGD


def numbers(method: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Each number whose help has the paper's value: its name, value, and that text without the authors' code's."""
    for f in fields(method):
        value = getattr(method, f.name)
        if is_dataclass(value):
            yield from numbers(value, f"{prefix}{f.name}.")
        elif f.metadata.get("paper"):
            yield prefix + f.name, value, f.metadata["paper"].partition("the authors' code")[0]


def compared(exhibit: Exhibit) -> dict[str, tuple[float, list[float]]]:
    """What the exhibit has and what the help says, where both are numbers."""
    found = numbers(exhibit.setting().method)
    said = {name: (value, [float(text) for text in NUMBER.findall(paper)]) for name, value, paper in found}
    return {
        name: (value, paper)
        for name, (value, paper) in said.items()
        if paper and name not in BASELINES and isinstance(value, int | float) and not isinstance(value, bool)
    }


@pytest.mark.parametrize("name", ABOUT)
def test_the_papers_number_in_the_help_is_the_exhibits(name: str):
    found = compared(exhibits.load(name))
    assert len(found) >= ABOUT[name], found
    assert {key: pair for key, pair in found.items() if pair[0] not in pair[1]} == {}
