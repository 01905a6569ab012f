"""A table's file as text: its encoding, its delimiter, its lines."""

from __future__ import annotations

import codecs
import csv
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TextIO

from altmin.data.table.options import separator
from altmin.data.table.packing import PIECE, unpacked
from altmin.errors import DataError

MARKS = {  # the longer ones first: UTF-16's mark begins that of UTF-32
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DELIMITERS = ",;\t|"
SAMPLE = 20  # rows that the delimiter is told by


@dataclass(frozen=True)
class TextFile:
    """A file and how it is read as text.

    Attributes:
        path: The file, packed or not.
        encoding: How its characters are written.
        delimiter: What separates its fields.
    """

    path: Path
    encoding: str
    delimiter: str

    @contextmanager
    def open(self) -> Iterator[TextIO]:
        """The file as text, line ends as they are."""
        with unpacked(self.path) as file:
            yield io.TextIOWrapper(file, encoding=self.encoding, newline="")  # type: ignore[arg-type]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Every row's first line and its fields, the header line first; empty lines are no rows."""
        with self.open() as file:
            reader, start = csv.reader(file, delimiter=self.delimiter, skipinitialspace=True), 1
            for fields in reader:
                if len(fields) > 1 or any(field.strip() for field in fields):
                    yield start, fields
                start = reader.line_num + 1

    def line(self, row: int) -> int:
        """The line that a row below the header starts on."""
        return next(islice(self.rows(), row + 1, None), (0, []))[0]


def text_file(path: Path, delimiter: str | None = None, encoding: str | None = None) -> TextFile:
    """A file's encoding and delimiter, found by reading it once where they are not given.

    Raises:
        DataError: A file that is not there or is no text in that encoding.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    encoding = encoding or encoding_of(path)
    require_text(path, encoding)
    file = TextFile(path, encoding, separator(delimiter) if delimiter else ",")
    return file if delimiter else TextFile(path, encoding, delimiter_of(file))


def encoding_of(path: Path) -> str:
    """UTF-8 unless the file begins with another encoding's mark."""
    with unpacked(path) as file:
        first = file.read(4)
    return next((name for mark, name in MARKS.items() if first.startswith(mark)), "utf-8")


def require_text(path: Path, encoding: str) -> None:
    """A `DataError` about the first line that is no text in an encoding; the whole file is read for that."""
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    with unpacked(path) as file:
        while True:
            piece = file.read(PIECE)
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeError as error:
                held = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
                raise _foreign(path, encoding, line + held.count(b"\n")) from error
            if "\0" in text:
                raise DataError(
                    f"{path}: not a table: binary data, or UTF-16 without its mark (name it: {_CURE} utf-16-le)"
                )
            line += text.count("\n")
            if not piece:
                return


_CURE = "--csv.encoding"


def _foreign(path: Path, encoding: str, line: int) -> DataError:
    advice = f"name its encoding, such as {_CURE} latin-1, cp1252 or utf-16, or convert it to UTF-8"
    return DataError(f"{path}: not a table in {encoding.upper()}, as its line {line} shows; if it is text, {advice}")


def delimiter_of(file: TextFile) -> str:
    """The delimiter by which the first rows have equally many fields, at least two and as many as can be."""
    widths = {}
    for delimiter in DELIMITERS:
        try:
            widths[delimiter] = [
                len(row) for _, row in islice(TextFile(file.path, file.encoding, delimiter).rows(), SAMPLE)
            ]
        except csv.Error:
            continue
    several = {delimiter: found for delimiter, found in widths.items() if found and found[0] > 1}
    return max(several, key=lambda d: (len(set(several[d])) == 1, several[d][0]), default=",")
