"""Numbers as people write them: separated thousands, decimal commas, percent and currency signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

CODES = "USD|EUR|GBP|JPY|CHF|CNY|INR|AUD|CAD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|KRW"
SIGN = rf"%|(?:US|R|C|A)?\$|[€£¥₹₽₩₺₪₫฿₴₦¢]|{CODES}"
SIGNED = re.compile(
    rf"(?P<open>\()?(?P<minus>[+-]?)\s*(?P<before>{SIGN})?\s*(?P<body>[+-]?[\d.,][^%$()]*?)\s*(?P<after>{SIGN})?\)?"
)
BLANKS, APOSTROPHES = "[ \u00a0\u2009\u202f]", "['\u2019]"
NAMED = {",": "comma", r"\.": "point", BLANKS: "blank", APOSTROPHES: "apostrophe"}
LEADING_ZERO = re.compile(r"[+-]?0\d+")


@dataclass(frozen=True)
class Numerals:
    """How a column writes its numbers.

    Attributes:
        thousands: What may separate groups of digits, as a regular expression; empty for nothing.
        decimal: What stands before the fraction.
        sign: The percent or currency sign that they have; empty for none. Zeros, and sums of money, may lack it.
    """

    native: ClassVar[str] = "number"
    noun: ClassVar[str] = "numbers"
    thousands: str = ""
    decimal: str = "."
    sign: str = ""

    def about(self, texts: Sequence[str]) -> str:
        """What a column of such texts was taken for."""
        grouped = self.thousands and any(re.search(self.thousands, text) for text in texts)
        ways = [
            f"{NAMED[self.thousands]} between thousands" if grouped else "",
            "decimal comma" if self.decimal == "," and any("," in text for text in texts) else "",
            f"in {self.sign}" if self.sign else "",
            "minus as parentheses" if any("(" in text for text in texts) else "",
        ]
        return ", ".join(["number", *filter(None, ways)])

    def check(self) -> None:
        """A `ValueError` about a way of writing that is none of `STYLES`."""
        if (self.thousands, self.decimal) not in STYLES or (self.sign and not re.fullmatch(SIGN, self.sign)):
            raise ValueError(f"no way of writing numbers: {self}")

    def parse(self, texts: Sequence[str]) -> np.ndarray:
        """The value of each text as float64, nan for what is no such number."""
        if self == PLAIN:
            return np.asarray(pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce"), dtype=np.float64)
        pattern = self._pattern()
        return np.array([self._value(text, pattern) for text in texts], dtype=np.float64)

    def _pattern(self) -> re.Pattern[str]:
        groups = rf"|[1-9]\d{{0,2}}(?:{self.thousands}\d{{2,3}})*{self.thousands}\d{{3}}" if self.thousands else ""
        point = re.escape(self.decimal)
        return re.compile(rf"[+-]?(?:(?:\d+{groups})(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?")

    def _value(self, text: str, pattern: re.Pattern[str]) -> float:
        if self.sign != "%" and pattern.fullmatch(text):
            return self._float(text)
        parts = SIGNED.fullmatch(text.replace("\u2212", "-"))
        if parts is None or not pattern.fullmatch(parts["body"]):
            return np.nan
        value = self._float(parts["body"])
        sign = parts["before"] or parts["after"] or ""
        if sign != self.sign and not (sign == "" and (self.sign != "%" or value == 0.0)):
            return np.nan
        return -value if (parts["minus"] == "-") != bool(parts["open"]) else value

    def _float(self, digits: str) -> float:
        return float((re.sub(self.thousands, "", digits) if self.thousands else digits).replace(self.decimal, "."))


PLAIN = Numerals()
COMMAS = (r"\.", ",")
STYLES = ("", "."), (",", "."), COMMAS, (BLANKS, "."), (BLANKS, ","), (APOSTROPHES, "."), (APOSTROPHES, ",")
SAMPLE = 1000  # distinct texts that say whether others are worth a look


def numerals_of(texts: Sequence[str], counts: np.ndarray, decimal_commas: bool) -> Numerals:
    """The way of writing by which most rows are numbers.

    Args:
        texts: Distinct texts.
        counts: How many rows hold each.
        decimal_commas: Whether the table writes decimal commas: a comma or a point that could mean either is then that
            of ``1.234,5``.
    """
    either = decimal_commas and any("." in text or "," in text for text in texts)
    if not either and not np.isnan(PLAIN.parse(texts)).any():
        return PLAIN
    styles = sorted(STYLES, key=lambda style: style != COMMAS) if either else STYLES
    sign, first = sign_of(texts, counts), texts[:SAMPLE]
    likely = [way for style in styles if _fits(way := Numerals(*style, sign), first)]
    return max(likely, key=lambda way: counts[~np.isnan(way.parse(texts))].sum(), default=PLAIN)


def _fits(way: Numerals, texts: Sequence[str]) -> bool:
    """Whether at least half of some texts are such numbers."""
    return bool(2 * np.isnan(way.parse(texts)).sum() <= len(texts))


def sign_of(texts: Sequence[str], counts: np.ndarray | None = None) -> str:
    """The sign of most rows that have one; empty where none has."""
    rows: dict[str, int] = {}
    for i, text in enumerate(texts):
        parts = SIGNED.fullmatch(text)
        sign = (parts["before"] or parts["after"] or "") if parts else ""
        if sign:
            rows[sign] = rows.get(sign, 0) + (1 if counts is None else int(counts[i]))
    return max(rows, key=lambda sign: rows[sign], default="")


COMMA_FRACTION = re.compile(r",(?:\d{1,2}|\d{4,})(?!\d)")  # digits that are no group of thousands


def has_decimal_commas(texts: Sequence[str], certain: bool) -> bool:
    """Whether texts are numbers with decimal commas.

    Args:
        texts: Distinct texts.
        certain: Whether a comma before three digits is a decimal one, too.
    """
    if (
        not any("," in text for text in texts[:SAMPLE])
        or np.isnan(Numerals(*COMMAS, sign_of(texts)).parse(texts)).any()
    ):
        return False
    return certain or any(map(COMMA_FRACTION.search, texts))


def are_codes(texts: Sequence[str]) -> bool:
    """Whether texts are whole numbers with leading zeros, such as zip codes: names, not quantities."""
    return any(map(LEADING_ZERO.fullmatch, texts)) and all(text.isdecimal() for text in texts)


def merge(texts: Sequence[str]) -> bool:
    """Whether different whole numbers are one as float64."""
    if not any(len(text) > 15 for text in texts) or not all(text.lstrip("+-").isdecimal() for text in texts):
        return False
    numbers = {int(text) for text in texts}
    return len({float(number) for number in numbers}) < len(numbers)


@dataclass(frozen=True)
class Flags:
    """A column of true and false, in any case."""

    native: ClassVar[str] = "number"
    noun: ClassVar[str] = "true or false"

    def about(self, texts: Sequence[str]) -> str:
        """What a column of such texts was taken for."""
        return self.noun

    def check(self) -> None:
        """There is nothing that could be wrong."""

    def parse(self, texts: Sequence[str]) -> np.ndarray:
        """1 for true, 0 for false, nan for anything else."""
        known = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0}
        return np.array([known.get(text.lower(), np.nan) for text in texts], dtype=np.float64)
