"""Downloads, against a web server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import tarfile
import time

import pytest

from altmin.data.download import obtain
from altmin.data.files import DataSource, File
from altmin.errors import DataError

CONTENT = random.Random(0).randbytes(50_000)
PACKED = gzip.compress(CONTENT, mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def source(mirror, *paths: str) -> DataSource:
    """One file that lies at several mirrors, by their paths."""
    mirrors = tuple(mirror.url + path for path in paths)
    return DataSource("thing", (File("numbers", md5(CONTENT)),), ("thing",), mirrors)


def files_in(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_what_lies_there_is_not_downloaded(mirror, tmp_path):
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "numbers").write_bytes(b"mine")
    assert obtain(source(mirror, "/a/"), tmp_path)["numbers"].read_bytes() == b"mine"
    assert mirror.requests == []


def test_next_mirror_after_404(mirror, tmp_path):
    mirror.files["/b/numbers.gz"] = PACKED
    path = obtain(source(mirror, "/a/", "/b/"), tmp_path)["numbers"]
    assert path == tmp_path / "thing" / "numbers.gz"
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert mirror.requests == [("/a/numbers.gz", None), ("/b/numbers.gz", None)]


def test_a_transfer_that_breaks_off_is_resumed(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    mirror.breaks = [20_000, 30_000]
    path = obtain(source(mirror, "/a/"), tmp_path)["numbers"]
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert [asked for _, asked in mirror.requests] == [None, "bytes=20000-", "bytes=30000-"]
    assert files_in(tmp_path) == ["numbers.gz"]


def test_an_earlier_run_is_resumed(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    mirror.breaks = [20_000, 20_000]  # the second reply is empty: no gain, so the run gives up
    with pytest.raises(DataError, match=r"broke off at 20,000 of 50,\d+ bytes"):
        obtain(source(mirror, "/a/"), tmp_path)
    assert files_in(tmp_path) == ["numbers.gz.part"]
    obtain(source(mirror, "/a/"), tmp_path)
    assert mirror.requests[-1] == ("/a/numbers.gz", "bytes=20000-")
    assert files_in(tmp_path) == ["numbers.gz"]


@pytest.mark.parametrize("start", [100, 60_000])
def test_a_server_that_ignores_ranges_sends_all_anew(mirror, tmp_path, start):
    mirror.files["/a/numbers.gz"] = PACKED
    mirror.ranges = False
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "numbers.gz.part").write_bytes(b"?" * start)
    path = obtain(source(mirror, "/a/"), tmp_path)["numbers"]
    assert path.read_bytes() == PACKED


def test_a_corrupt_file_is_refused_and_the_next_mirror_asked(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = gzip.compress(CONTENT[:-1] + b"!")
    mirror.files["/b/numbers.gz"] = PACKED
    path = obtain(source(mirror, "/a/", "/b/"), tmp_path)["numbers"]
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert mirror.requests[-1] == ("/b/numbers.gz", None), "nothing of the corrupt file may be kept"


@pytest.mark.parametrize("body", [b"<html>sign in first</html>", PACKED[:-9] + b"?" * 9, PACKED[:-3], b""])
def test_nothing_corrupt_is_left_under_the_final_name(mirror, tmp_path, body):
    mirror.files["/a/numbers.gz"] = body
    with pytest.raises(DataError):
        obtain(source(mirror, "/a/"), tmp_path)
    assert "numbers.gz" not in files_in(tmp_path)


@pytest.mark.parametrize("left", [b"?" * 20_000, b"?" * 90_000], ids=["shorter", "longer"])
def test_a_wrong_beginning_is_thrown_away(mirror, tmp_path, left):
    mirror.files["/a/numbers.gz"] = PACKED
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "numbers.gz.part").write_bytes(left)
    assert obtain(source(mirror, "/a/"), tmp_path)["numbers"].read_bytes() == PACKED
    assert [asked for _, asked in mirror.requests] == [f"bytes={len(left)}-", None]


def test_a_complete_part_is_taken_as_it_is(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "numbers.gz.part").write_bytes(PACKED)
    assert obtain(source(mirror, "/a/"), tmp_path)["numbers"].read_bytes() == PACKED
    assert len(mirror.requests) == 1


def test_a_silent_mirror_is_given_up(mirror, tmp_path):
    mirror.silent = ["/a/"]
    mirror.files["/b/numbers.gz"] = PACKED
    start = time.monotonic()
    path = obtain(source(mirror, "/a/", "/b/"), tmp_path, timeout=0.1)["numbers"]
    assert path.read_bytes() == PACKED
    assert time.monotonic() - start < 10


def test_without_a_network_the_error_says_what_to_put_where(tmp_path):
    thing = DataSource("thing", (File("numbers"), File("names")), ("thing",), ("http://127.0.0.1:9/",))
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "names").touch()
    with pytest.raises(DataError) as caught:
        obtain(thing, tmp_path)
    message = str(caught.value)
    assert str(tmp_path / "thing") in message
    assert message.count("numbers") == 2, "in the address that failed, and among the files to put there"
    assert "names" not in message, "that file is there"
    assert "ALTMIN_DATA" in message
    assert "--data-dir" in message


def test_a_folder_that_cannot_be_made_is_an_error_about_data(mirror, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=str(tmp_path / "file")):
        obtain(source(mirror, "/a/"), tmp_path / "file")


def test_progress_ends_at_the_size(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    mirror.breaks = [20_000]
    calls = []
    obtain(source(mirror, "/a/"), tmp_path, progress=lambda *call: calls.append(call))
    assert {name for name, _, _ in calls} == {"numbers.gz"}
    assert {total for _, _, total in calls} == {len(PACKED)}
    counts = [count for _, count, _ in calls]
    assert counts == sorted(counts)
    assert counts[-1] == len(PACKED)


def packed_tar(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archived(mirror) -> DataSource:
    files = (File("one", md5(b"first")), File("two", None, size=6))
    mirrors = (mirror.url + "/a/", mirror.url + "/b/")
    return DataSource("pair", files, ("pair",), mirrors, archive="pair.tar.gz")


def test_an_archive_is_unpacked(mirror, tmp_path):
    mirror.files["/a/pair.tar.gz"] = packed_tar(one=b"first", readme=b"not asked for", two=b"second")
    paths = obtain(archived(mirror), tmp_path)
    assert {name: path.read_bytes() for name, path in paths.items()} == {"one": b"first", "two": b"second"}
    assert files_in(tmp_path) == ["one", "two"]


@pytest.mark.parametrize(
    "body",
    [
        packed_tar(one=b"first", two=b"longer than 6"),
        packed_tar(one=b"wrong", two=b"second"),
        packed_tar(one=b"first"),
        packed_tar(one=b"first", two=b"second")[:-10],
        packed_tar(one=b"first", two=b"second")[:-8] + bytes(8),
        b"<html></html>",
    ],
    ids=["size", "checksum", "lacks one", "cut short", "gzip checksum", "page"],
)
def test_a_wrong_archive_leaves_nothing_and_the_next_mirror_is_asked(mirror, tmp_path, body):
    mirror.files["/a/pair.tar.gz"] = body
    with pytest.raises(DataError):
        obtain(archived(mirror), tmp_path)
    assert files_in(tmp_path) == []
    mirror.files["/b/pair.tar.gz"] = packed_tar(one=b"first", two=b"second")
    obtain(archived(mirror), tmp_path)
    assert files_in(tmp_path) == ["one", "two"]
