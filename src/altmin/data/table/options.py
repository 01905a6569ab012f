"""What can be asked of tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from altmin.errors import nearest

Task = Literal["classification", "regression"]
Missing = Literal["impute", "error"]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Which tables to read, how, and what to learn from them.

    Attributes:
        train: The table to train and validate on, with a header line; without `test` also to test on.
        test: A table with the same columns to test on.
        target: The column to predict.
        task: Whether the target is a class or a number.
        missing: Whether missing values are filled in, numbers by their median and an indicator column, text by a
            category of its own; or refused.
        delimiter: What separates fields, a character or ``"tab"``; `None`: a comma, semicolon, tab or ``|``, by the
            first rows.
        encoding: How characters are written, such as ``"latin-1"``; `None`: UTF-8, or UTF-16 and UTF-32 with their
            mark.

    Raises:
        ValueError: An unknown task or way with missing values, a delimiter that is no character, an unknown encoding.
    """

    train: Path
    test: Path | None = None
    target: str
    task: Task = "classification"
    missing: Missing = "impute"
    delimiter: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        for name, kind, given in (("task", Task, self.task), ("missing", Missing, self.missing)):
            if given not in (known := list(get_args(kind))):
                raise ValueError(f"unknown `{name}` {given!r}; {nearest(str(given), known)}")
        check_format(self.delimiter, self.encoding)


def check_format(delimiter: str | None, encoding: str | None) -> None:
    """A `ValueError` about a delimiter or an encoding that there is not."""
    if delimiter is not None and len(separator(delimiter)) != 1:
        raise ValueError(f"the delimiter must be one character or 'tab', got {delimiter!r}")
    if encoding is not None:
        try:
            "".encode(encoding)
        except LookupError as error:
            raise ValueError(f"unknown encoding {encoding!r}; for instance utf-8, latin-1, cp1252, utf-16") from error


def separator(delimiter: str) -> str:
    """The character that a delimiter names: ``tab`` and a backslash with t stand for a tab."""
    return "\t" if delimiter in ("tab", "\\t") else delimiter
