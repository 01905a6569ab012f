"""The HIGGS table: streaming, splitting, and broken files."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch

from altmin.data import load, stream
from altmin.data.higgs import HIGGS, split_rows
from altmin.errors import DataError

ROWS = np.concatenate([np.arange(40)[:, None] % 2, np.random.default_rng(0).normal(3, 2, (40, 28)).round(3)], axis=1)
LINES = [",".join(map(str, row)) + "\n" for row in ROWS]
HEADER = ",".join(["label", *(f"f{j}" for j in range(28))]) + "\n"


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "higgs" / "HIGGS.csv"
    path.parent.mkdir()
    path.write_text("".join(LINES))
    return path


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("packed", [False, True])
def test_stream_gives_every_row_in_order(tmp_path, header, packed):
    path = tmp_path / "any name"
    content = (header + "".join(LINES)).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    batches = list(stream(path, 16, torch.float64))
    assert [len(x) for x, _ in batches] == [16, 16, 8]
    np.testing.assert_array_equal(torch.cat([x for x, _ in batches]), ROWS[:, 1:])
    assert torch.cat([y for _, y in batches]).tolist() == ROWS[:, 0].tolist()


def test_stream_does_not_read_ahead(table):
    with table.open("a") as file:
        file.write("this line is reached only by those who ask for it\n")
    batches = stream(table, 20)
    x, _ = next(batches)
    assert len(x) == 20
    with pytest.raises(DataError):
        list(batches)


def test_a_sample_is_split_and_standardised_by_its_training_rows(table, tmp_path):
    data = load("higgs", data_dir=tmp_path, dtype=torch.float64)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [24, 8, 8]
    assert torch.bincount(data.test.y).tolist() == [4, 4]
    torch.testing.assert_close(data.train.x.mean(0), torch.zeros(28, dtype=torch.float64))
    torch.testing.assert_close(data.train.x.var(0, correction=0), torch.ones(28, dtype=torch.float64))
    everything = torch.cat([data.train.x, data.validation.x, data.test.x])[:, 0].sort().values
    original = torch.from_numpy(ROWS[:, 1]).sort().values
    ratio = (everything[1:] - everything[:1]) / (original[1:] - original[:1])
    torch.testing.assert_close(ratio, ratio[:1].expand(39), msg="one shift and scale for all three splits")
    assert data.test.x.mean(0).abs().max() > 0.1, "the test rows have no part in the statistics"


def test_fewer_training_samples(table, tmp_path):
    whole, few = (load("higgs", data_dir=tmp_path, train_samples=n) for n in (None, 5))
    assert torch.equal(few.train.y, whole.train.y[:5])
    torch.testing.assert_close(few.train.x.mean(0), torch.zeros(28), atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match=r"25, .* 24 available"):
        load("higgs", data_dir=tmp_path, train_samples=25)


def test_a_constant_feature_becomes_zero(tmp_path):
    rows = ROWS.copy()
    rows[:, 7] = 0.1
    (tmp_path / "higgs").mkdir()
    (tmp_path / "higgs" / "higgs.csv").write_text("\n".join(",".join(map(str, row)) for row in rows))
    assert load("higgs", data_dir=tmp_path).test.x[:, 6].abs().max() < 1e-6


def test_the_whole_file_is_split_by_its_convention():
    labels = np.arange(20) % 2
    train, validation, test = split_rows(labels, seed=0, full=20, held_out=3)
    assert train.tolist() == list(range(14))
    assert validation.tolist() == [14, 15, 16]
    assert test.tolist() == [17, 18, 19]
    assert sorted(split_rows(labels, seed=0, full=21, held_out=3).test.tolist()) != [17, 18, 19]


def line(index: int, column: int, value: str) -> list[str]:
    """The table's lines with one field replaced."""
    lines = LINES.copy()
    fields = lines[index].split(",")
    fields[column] = value
    lines[index] = ",".join(fields).rstrip("\n") + "\n"
    return lines


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (line(6, 4, "abc"), r"line 7, column 5: abc is not a finite number"),
        (line(20, 28, ""), r"line 21, column 29: nan is not a finite number"),
        (line(20, 1, "inf"), r"line 21, column 2: inf is not a finite number"),
        (line(3, 0, "2"), r"line 4, column 1: 2.* is not a label, 0 or 1"),
        ([HEADER, *line(6, 4, "abc")], r"line 8, column 5"),
        ([LINES[0], LINES[1][:30] + "\n"], r"line 2, column \d"),
        ([LINES[0], LINES[1].rstrip() + ",1\n"], "not a table of 29 columns"),
        (["1,2,3\n", "0,2,3\n"], "3 columns, expected a label and 28 features"),
        ([HEADER], "no rows"),
        ([], "no rows"),
    ],
)
def test_a_broken_table_names_file_and_line(table, lines, message):
    table.write_text("".join(lines))
    with pytest.raises(DataError, match=f"{table.name}.*{message}"):
        list(stream(table, 4))


@pytest.mark.parametrize("kept", [40, -3])
def test_gzip_data_cut_short_is_an_error(table, kept):
    content = gzip.compress("".join(LINES).encode())[:kept]
    table.write_bytes(content)
    with pytest.raises(DataError, match=f"HIGGS.csv: gzip data breaks off within its {len(content):,} bytes"):
        list(stream(table, 4))


def test_real_higgs(real_data):
    if HIGGS.find(real_data) is None:
        pytest.skip(f"no HIGGS in {real_data}")
    if next(iter(HIGGS.find(real_data).values())).stat().st_size > 100_000_000:
        pytest.skip("the whole HIGGS takes minutes; this test is for a sample")
    data = load("higgs", data_dir=real_data)
    assert data.train.x.mean(0).abs().max() < 1e-4
    assert (data.train.x.std(0) - 1).abs().max() < 1e-3
    assert 0.5 < data.train.y.double().mean() < 0.56, "53% of HIGGS is signal"
