"""Columns that tables of several exhibits have."""

from __future__ import annotations

from typing import Any

from altmin.exhibits.outcomes import Measure


def percent(part: str, how: Any = "last", at: float = 0) -> Measure:
    """The accuracy on the samples of ``train`` or ``test`` in per cent; see `Measure`."""
    return Measure(f"{part}_accuracy", how, factor=100, digits=1, at=at)


ACCURACY = {
    "train %": percent("train"),
    "train % at 10": percent("train", "at", at=10),
    "test %": percent("test"),
    "test % at 10": percent("test", "at", at=10),
    "best test %": percent("test", "best"),
}
