"""Files that are opened within bounds."""

from __future__ import annotations

import gzip
import io

import pandas as pd
import pytest

from altmin.data.files import opened, unpack
from altmin.errors import DataError

TEXT = b"ab\ncd\n" * 5_000


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def path(request, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(TEXT) if request.param else TEXT)
    return path


def test_all_that_a_file_may_have_is_read(path):
    with opened(path, most=len(TEXT), line=3) as file:
        assert file.read() == TEXT
    with opened(path) as file:
        assert file.read() == TEXT


def test_one_byte_more_is_an_error(path):
    with (
        opened(path, most=len(TEXT) - 1) as file,
        pytest.raises(DataError, match="more than the 29,999 unpacked bytes"),
    ):
        file.read()


def test_a_table_reader_passes_the_error_on(path):
    with opened(path, most=20_000) as file, pytest.raises(DataError, match="more than the 20,000"):
        pd.read_csv(file)


@pytest.mark.parametrize("content", [b"a\n" + b"b" * 50_000, b"b" * 50_000 + b"\na\n"], ids=["last", "first"])
def test_a_line_without_an_end_is_an_error(tmp_path, content):
    (path := tmp_path / "a").write_bytes(content)
    with opened(path, line=10_000) as file, pytest.raises(DataError, match="a line of more than 10,000 bytes"):
        file.read(io.DEFAULT_BUFFER_SIZE * 10)


def test_no_more_is_unpacked_than_shows_that_it_is_too_much(path):
    assert unpack(path, 10) == (TEXT[:11], True)
    assert unpack(path, len(TEXT)) == (TEXT, True)
