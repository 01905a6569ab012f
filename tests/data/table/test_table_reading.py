"""Files as tables: packing, encodings, delimiters, headers."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from altmin.data.table import packing
from altmin.data.table.cells import Cells
from altmin.data.table.reading import read_table, table_of
from altmin.errors import DataError

TEXT = "a,label\n" + "\n".join(f"{i},{i % 2}" for i in range(90))


def zipped(*names: str, data: bytes = TEXT.encode()) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return file.getvalue()


PACKED = {
    "plain": TEXT.encode(),
    "gzip": gzip.compress(TEXT.encode()),
    "bzip2": bz2.compress(TEXT.encode()),
    "xz": lzma.compress(TEXT.encode()),
    "zip": zipped("t.csv"),
    "utf-8 with its mark": TEXT.encode("utf-8-sig"),
    "utf-16": TEXT.encode("utf-16"),
    "utf-32": TEXT.encode("utf-32"),
    "gzip of utf-16": gzip.compress(TEXT.encode("utf-16")),
    "semicolons": TEXT.replace(",", ";").encode(),
    "tabs": TEXT.replace(",", "\t").encode(),
    "bars": TEXT.replace(",", "|").encode(),
    "line ends of Windows": TEXT.replace("\n", "\r\n").encode(),
    "blanks": TEXT.replace(",", " , ").encode(),
}


@pytest.mark.parametrize("data", PACKED.values(), ids=list(PACKED))
def test_a_table_is_the_same_however_it_is_written(tmp_path, data):
    """The name says nothing, the bytes do."""
    (tmp_path / "t.csv").write_bytes(data)
    table = read_table(tmp_path / "t.csv")
    assert table.names == ["a", "label"]
    cells = table.cells("a")
    assert cells.texts[cells.codes].tolist() == [str(i) for i in range(90)]
    assert table.where(3).endswith("t.csv, line 5")


NO_TABLES = [
    ("é,label\n1,2\n".encode("latin-1"), "not a table in UTF-8, as its line 1 shows; .* --csv.encoding latin-1"),
    ("a,b\n1,2\nü,3\n".encode("cp1252"), "its line 3 shows"),
    (TEXT.encode("utf-16-le"), "UTF-16 without its mark"),
    (zipped("a.csv", "b.csv"), "a zip archive of 2 files"),
    (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    (b"PAR1\x15\x04" + bytes(50), "a Parquet file"),
    (b"\x28\xb5\x2f\xfd" + bytes(50), "Zstandard"),
    (gzip.compress(TEXT.encode())[:-12], "gzip data breaks off"),
    (bz2.compress(TEXT.encode())[:-12], "bzip2 data breaks off"),
    (lzma.compress(TEXT.encode())[:-12], "xz data breaks off"),
    (zipped("t.csv")[:60], "zip data breaks off"),
    (b"\x1f\x8b" + bytes(50), "gzip data"),
    (b"a,b\n\0\0,\0\n", "binary data"),
    (b"a,a\n1,2\n", "line 1: two columns are named 'a'"),
    (b"a, a \n1,2\n", "line 1: two columns are named 'a'"),
    (b"\n\na,b\n1,2\n3\n", r"line 5: 1 fields, but the header line names 2; the row may be cut off"),
    (b'a,b\n1,"2\n', "not a table of fields"),
]


@pytest.mark.parametrize(("data", "words"), NO_TABLES, ids=[words for _, words in NO_TABLES])
def test_what_is_no_table_is_named(tmp_path, data, words):
    (tmp_path / "t.csv").write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_table(tmp_path / "t.csv")


def test_an_encoding_and_a_delimiter_that_are_named(tmp_path):
    (tmp_path / "t.csv").write_bytes("é;b:c\n1;2:3\n".encode("latin-1"))
    assert read_table(tmp_path / "t.csv", encoding="latin-1").names == ["é", "b:c"]
    assert read_table(tmp_path / "t.csv", ":", "latin-1").names == ["é;b", "c"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, lambda d: zipped("t", data=d)])
def test_an_archive_that_outgrows_its_size_is_refused(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(packing, "ROOMY", 2**16)
    (tmp_path / "t.csv").write_bytes(pack(b"a,b\n" + b"0,0\n" * 2**18))
    with pytest.raises(DataError, match=r"unpacks to more than [0-9,]+ bytes"):
        read_table(tmp_path / "t.csv")


def test_a_field_that_looks_like_another_delimiter(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n"x;y|z",1\n"u;v|w",2\n')
    assert read_table(tmp_path / "t.csv").names == ["a", "b"]


def test_cells_are_stripped_counted_and_know_their_first_row():
    cells = Cells.of(pd.Series([" red", "blue", "", "red ", " "]))
    assert cells.texts.tolist() == ["red", "blue"]
    assert cells.codes.tolist() == [0, 1, -1, 0, -1]
    assert cells.counts.tolist() == [2, 1]
    assert cells.first(cells.texts == "blue") == 1
    assert cells.spread(np.array([5.0, 6.0]))[[0, 1, 3]].tolist() == [5, 6, 5]


def test_cells_of_a_frame_keep_their_values():
    assert Cells.of(pd.Series([1.5, np.nan, 2.0])).values.tolist() == [1.5, 2.0]  # type: ignore[union-attr]
    assert Cells.of(pd.Series([1.5, np.nan, 2.0])).texts.tolist() == ["1.5", "2"]
    days = Cells.of(pd.Series(pd.to_datetime(["1970-01-02", None])))
    assert (days.native, days.values.tolist(), days.codes.tolist()) == ("date", [1.0], [0, -1])  # type: ignore[union-attr]


def test_frames_of_ones_own():
    assert table_of(pd.DataFrame({" a ": [1]})).names == ["a"]
    with pytest.raises(DataError, match="two columns are named 'a'"):
        table_of(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match="no rows"):
        table_of(pd.DataFrame({"a": []}))
