"""Fitted columns and targets as what JSON can say, and back, with the same bits."""

from __future__ import annotations

from dataclasses import asdict, fields
from math import isfinite
from typing import Any

from altmin.data.table.columns import CategoryColumn, DroppedColumn, NumberColumn
from altmin.data.table.dates import PARTS, Dates
from altmin.data.table.kinds import Reading
from altmin.data.table.numerals import Flags, Numerals
from altmin.data.table.targets import ClassTarget, NumberTarget

_KINDS: dict[type, str] = {
    NumberColumn: "number",
    CategoryColumn: "category",
    DroppedColumn: "dropped",
    ClassTarget: "classes",
    NumberTarget: "number target",
    Numerals: "numerals",
    Dates: "dates",
    Flags: "flags",
}
_TYPES = {name: kind for kind, name in _KINDS.items()}


def plain(fitted: Any) -> dict[str, Any]:
    """A fitted object's kind and fields as JSON has them."""
    values = {"kind": _KINDS[type(fitted)], **asdict(fitted)}
    if hasattr(fitted, "reading"):
        measure = fitted.reading.measure
        values["reading"] = {"kind": _KINDS[type(measure)], **asdict(measure), "missing": list(fitted.reading.missing)}
    return values


def restored(value: dict[str, Any]) -> Any:
    """The object that `plain` gave, its fields checked.

    Raises:
        ValueError: Fields of another type, or that do not fit together.
        KeyError: A field or a kind that is missing or unknown.
    """
    values = dict(value)
    kind = _TYPES[values.pop("kind")]
    if "reading" in values:
        reading = dict(values["reading"])
        missing = _texts(reading.pop("missing"))
        values["reading"] = Reading(restored(reading), missing)
    if set(values) != {f.name for f in fields(kind)}:
        raise ValueError(f"fields {sorted(values)} of {value['kind']!r}")
    found = kind(**{name: _checked(name, each) for name, each in values.items()})
    if isinstance(found, Numerals | Dates | Flags):
        found.check()
    if isinstance(found, NumberColumn):
        _check_parts(found)
    return found


def _check_parts(column: NumberColumn) -> None:
    if not len(column.parts) == len(column.means) == len(column.scales) or 0.0 in column.scales:
        raise ValueError(f"column {column.name!r}: parts, means and scales do not fit together")
    if unknown := set(column.parts) - set(PARTS):
        raise ValueError(f"column {column.name!r}: unknown parts {sorted(unknown)}")


def _checked(name: str, value: Any) -> Any:
    """A field's value of the type that its name has."""
    if name in ("means", "scales"):
        return tuple(map(finite, value))
    if name in ("categories", "classes", "parts"):
        return _texts(value)
    if name in ("mean", "scale", "fill"):
        return finite(value)
    if name in ("empty", "others", "indicator", "numeric"):
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, not true or false")
        return value
    return value if name == "reading" else _text(value)


def finite(value: Any) -> float:
    """A number of a file; a `ValueError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError(f"{values!r} is no list")
    return tuple(map(_text, values))
