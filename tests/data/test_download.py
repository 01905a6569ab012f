"""Downloads, against a web server on this machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import multiprocessing
import random
import tarfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess

import pytest

from altmin.data.download import obtain
from altmin.data.files import DataSource, File
from altmin.errors import DataError

CONTENT = random.Random(0).randbytes(50_000)
PACKED = gzip.compress(CONTENT, mtime=0)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def source(mirror, *paths: str, size: int | None = None) -> DataSource:
    """One file that lies at several mirrors, by their paths."""
    mirrors = tuple(mirror.url + path for path in paths)
    return DataSource("thing", (File("numbers", md5(CONTENT), size),), ("thing",), mirrors)


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


OK = b"HTTP/1.0 200 OK\r\n"
PAGE = b"page" * 2**16
HOSTILE = {
    "length that is no number": (
        OK + b"Content-Length: abc\r\n\r\n" + PACKED,
        b"",
        0,
        "length 'abc', which is no number",
    ),
    "negative length": (OK + b"Content-Length: -5\r\n\r\n" + PACKED, b"", 0, "length '-5', which is no number"),
    "length of Unicode digits": (OK + "Content-Length: \u00b2\r\n\r\n".encode("latin1"), b"", 0, "is no number"),
    "length of many digits": (OK + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n", b"", 0, "is no number"),
    "length beyond the file": (
        OK + b"Content-Length: 9999999\r\n\r\n",
        b"",
        0,
        "offers 9,999,999 bytes, but .* 1,098,576",
    ),
    "no end": (OK + b"\r\n", PAGE, 0, "sends more than 1,098,576 bytes"),
    "chunks without an end": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"40000\r\n" + PAGE + b"\r\n",
        0,
        "sends more than 1,098,576 bytes",
    ),
    "drops": (OK + b"\r\n", b"?", 0.02, r"the server sent \d+ bytes in"),
    "drops of headers": (OK, b"X", 0.02, "no whole headers in 0.2 seconds"),
    "headers without an end": (OK, b"X: y\r\n", 0, "more than 100 headers"),
    "statuses without an end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0, "no whole headers in 0.2 seconds"),
    "no HTTP": (b"SSH-2.0\r\n", b"", 0, "SSH-2.0"),
    "redirection to a file": (b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n", b"", 0, "not allowed"),
    "redirection to FTP": (
        b"HTTP/1.0 302 Found\r\nLocation: ftp://127.0.0.1/a\r\n\r\n",
        b"",
        0,
        "unknown url type: ftp",
    ),
    "redirection without an end": (b"HTTP/1.0 302 Found\r\nLocation: /c\r\n\r\n", PAGE, 0, "404"),
    "redirection in a circle": (b"HTTP/1.0 302 Found\r\nLocation: /a/numbers.gz\r\n\r\n", b"", 0, "infinite loop"),
    "error without an end": (b"HTTP/1.0 500 Oh\r\n\r\n", PAGE, 0, "500"),
    "other range": (b"HTTP/1.0 206 OK\r\nContent-Range: bytes 5-9/10\r\n\r\n12345", b"", 0, "another range"),
    "bomb": (OK + b"\r\n" + gzip.compress(bytes(2**22)), b"", 0, "more than the 50,000 unpacked bytes"),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_next_mirror_is_asked_whatever_the_first_one_sends(mirror, tmp_path, hostile):
    head, again, pause, message = HOSTILE[hostile]
    mirror.raw["/a/numbers.gz"] = (head, again, pause)
    thing = source(mirror, "/a/", size=len(CONTENT))
    with pytest.raises(DataError, match=message):
        obtain(thing, tmp_path, timeout=0.2)
    assert not set(files_in(tmp_path)) - {"numbers.gz.part"}
    assert mirror.sent < 2**23, "what is sent beyond the file's size is not waited for"
    mirror.files["/b/numbers.gz"] = PACKED
    path = obtain(source(mirror, "/a/", "/b/", size=len(CONTENT)), tmp_path, timeout=0.2)["numbers"]
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert files_in(tmp_path) == ["numbers.gz"]


def test_a_server_that_breaks_off_after_every_byte_is_given_up(mirror, tmp_path, monkeypatch):
    monkeypatch.setattr("altmin.data.transfer.TRIES", 10)
    mirror.files["/a/numbers.gz"] = PACKED
    mirror.breaks = list(range(1, 100))
    with pytest.raises(DataError, match="broke off at 10 of"):
        obtain(source(mirror, "/a/"), tmp_path)
    assert len(mirror.requests) == 10


def test_a_planted_link_is_not_written_through(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    (mine := tmp_path / "mine").write_text("mine")
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "numbers.gz.part").symlink_to(mine)
    with pytest.raises(DataError, match=r"numbers.gz.part is a link"):
        obtain(source(mirror, "/a/"), tmp_path)
    (tmp_path / "thing" / "numbers.gz.part").unlink()
    (tmp_path / "thing" / "numbers.gz").symlink_to(tmp_path / "nowhere")
    assert not obtain(source(mirror, "/a/"), tmp_path)["numbers"].is_symlink()
    assert mine.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_who_asks_at_once_gets_the_file_of_one_download(mirror, tmp_path):
    mirror.files["/a/numbers.gz"] = PACKED
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: obtain(source(mirror, "/a/"), tmp_path)["numbers"].read_bytes(), range(4)))
    assert found == [PACKED] * 4
    assert len(mirror.requests) == 1
    assert files_in(tmp_path) == ["numbers.gz"]


def started(function, *arguments) -> BaseProcess:
    """A process that needs no imports of its own."""
    process = multiprocessing.get_context("fork").Process(target=function, args=arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the mirror's thread is not the child's
        process.start()
    return process


def test_processes_fetch_the_same_file_and_one_that_dies_blocks_nobody(mirror, tmp_path):
    mirror.files["/b/numbers.gz"] = PACKED
    mirror.raw["/a/numbers.gz"] = (OK + b"\r\n" + PACKED[:20_000], b"?", 0.01)  # goes on until its reader is killed
    first = started(obtain, source(mirror, "/a/"), tmp_path)
    while not mirror.sent:
        time.sleep(0.01)
    waiting = [started(obtain, source(mirror, "/b/"), tmp_path) for _ in range(2)]
    waiting[0].join(0.1)
    assert all(process.is_alive() for process in waiting)
    first.kill()
    for process in (first, *waiting):
        process.join()
    assert [process.exitcode for process in waiting] == [0, 0]
    assert gzip.decompress((tmp_path / "thing" / "numbers.gz").read_bytes()) == CONTENT
    assert files_in(tmp_path) == ["numbers.gz"]


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
