"""The HIGGS table: streaming, splitting, and broken files."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch

from altmin.data import higgs, load, stream
from altmin.data.higgs import HIGGS, moments, split_rows, stream_split
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
    files = HIGGS.find(real_data)
    if files is None:
        pytest.skip(f"no HIGGS in {real_data}")
    if next(iter(files.values())).stat().st_size > 100_000_000:
        pytest.skip("the whole HIGGS takes minutes; this test is for a sample")
    data = load("higgs", data_dir=real_data)
    assert data.train.x.mean(0).abs().max() < 1e-4
    assert (data.train.x.std(0) - 1).abs().max() < 1e-3
    assert 0.5 < data.train.y.double().mean() < 0.56, "53% of HIGGS is signal"


# Training from the file, without the file in memory

SPLITS = {"test": [i for i in range(40) if i % 10 < 2], "validation": [2, 12, 22, 32]}
SPLITS["train"] = [i for i in range(40) if i % 10 > 2]


@pytest.fixture
def small_reads(monkeypatch):
    """Reads whose size no split, batch or pass divides."""
    monkeypatch.setattr(higgs, "READ", 7)


def gathered(path, split, size=6, **options):
    """The sizes of a split's batches, its features and its labels."""
    batches = list(stream_split(path, split, size, dtype=torch.float64, **options))
    x, y = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert [len(x) for x, _ in batches] == [len(y) for _, y in batches]
    return [len(x) for x, _ in batches], x.numpy(), y.numpy()


@pytest.mark.parametrize("header", ["", HEADER])
@pytest.mark.parametrize("split", SPLITS)
def test_the_last_digit_of_its_number_decides_where_a_row_goes(table, small_reads, split, header):
    table.write_text(header + "".join(LINES))
    _, x, y = gathered(table, split)
    np.testing.assert_array_equal(x, ROWS[SPLITS[split], 1:])
    np.testing.assert_array_equal(y, ROWS[SPLITS[split], 0])


@pytest.mark.parametrize("read", [1, 7, 1000])
@pytest.mark.parametrize("size", [1, 6, 28, 50, 100])
def test_passes_follow_each_other_without_a_small_batch_between_them(table, monkeypatch, read, size):
    monkeypatch.setattr(higgs, "READ", read)
    sizes, x, _ = gathered(table, "train", size, repeat=3)
    assert sizes == [size] * (84 // size) + ([84 % size] if 84 % size else [])
    np.testing.assert_array_equal(x, np.tile(ROWS[SPLITS["train"], 1:], (3, 1)))


def test_a_stream_of_one_split_does_not_read_ahead(table, monkeypatch):
    monkeypatch.setattr(higgs, "READ", 20)
    with table.open("a") as file:
        file.write("this line is reached only by those who ask for it\n")
    batches = stream_split(table, "train", 7)
    assert [len(next(batches)[0]) for _ in range(2)] == [7, 7]
    with pytest.raises(DataError):
        list(batches)


def test_moments_are_those_of_the_training_rows(table, small_reads):
    mean, scale = moments(table)
    train = ROWS[SPLITS["train"], 1:]
    np.testing.assert_allclose(mean, train.mean(0), rtol=1e-13)
    np.testing.assert_allclose(scale, train.std(0), rtol=1e-13)
    _, x, _ = gathered(table, "test", standardise=moments(table))
    np.testing.assert_allclose(x, (ROWS[SPLITS["test"], 1:] - train.mean(0)) / train.std(0), rtol=1e-12)


def test_moments_lose_nothing_beside_a_large_mean(table, small_reads):
    rows = ROWS.copy()
    rows[:, 1:] = 1e8 + np.round(ROWS[:, 1:] * 1024) / 1024  # exact in float64; squares of it are not
    table.write_text("\n".join(",".join(map(repr, row.tolist())) for row in rows))
    np.testing.assert_allclose(moments(table).scale, (rows - 1e8)[SPLITS["train"], 1:].std(0), rtol=1e-7)


def test_constant_features_of_a_stream_become_zero(table, small_reads):
    rows = ROWS.copy()
    rows[:, 1:] = ROWS[0, 1:] / 7
    table.write_text("\n".join(",".join(map(repr, row.tolist())) for row in rows))
    assert np.abs(gathered(table, "test", standardise=moments(table))[1]).max() < 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("training", 5, 1), "`split` must be one of test, validation, train, got 'training'"),
        (("train", 0, 1), "`batch_size` must be a positive integer, got 0"),
        (("train", 5, 0), "`repeat` must be a positive integer, got 0"),
    ],
)
def test_what_a_stream_cannot_give_is_an_error(table, arguments, message):
    split, size, repeat = arguments
    with pytest.raises(ValueError, match=message):
        next(stream_split(table, split, size, repeat=repeat))


def test_a_table_without_training_rows_is_an_error(table):
    table.write_text("".join(LINES[:3]))
    assert gathered(table, "validation")[0] == [1]
    with pytest.raises(DataError, match=r"HIGGS.csv: no train rows"):
        moments(table)


# Files that are no HIGGS at all


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"0" * 2**22, "a line of more than 2,048 bytes"),
        ("".join(LINES).encode() + b"0" * 2**22, "a line of more than 2,048 bytes"),
        (b"0," * 900 + b"\n" + b"0\n" * 1_000, "901 columns, expected a label and 28 features"),
        (HEADER.encode() + b"0," * 900 + b"\n" + b"0\n" * 1_000, "901 columns, expected"),
        (b"\n" * 2**16, "no rows"),
    ],
    ids=["one line", "last line", "wide first line", "wide first row", "blank lines"],
)
def test_no_line_makes_room_for_more_than_it_needs(table, content, message):
    table.write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=f"HIGGS.csv: {message}"):
        list(stream(table, 4))


def test_a_file_has_no_more_rows_and_bytes_than_the_data_set(table, tmp_path, monkeypatch):
    monkeypatch.setattr(higgs, "ROWS", 39)
    with pytest.raises(DataError, match="more than the 39 rows of HIGGS"):
        load("higgs", data_dir=tmp_path)
    with pytest.raises(DataError, match="more than the 100 unpacked bytes"):
        higgs.whole(table, 100, torch.float32)
