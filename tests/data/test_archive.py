"""Archives of data sets: what is asked for comes out, and nothing else happens."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc

import pytest

from altmin.data.archive import extract
from altmin.data.files import File
from altmin.errors import DataError

FILES = [File("one", hashlib.md5(b"first", usedforsecurity=False).hexdigest()), File("two", None, size=6)]
MOST = 2**20


def member(name: str, content: bytes = b"", **about) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in about.items():
        setattr(info, key, value)
    return info, content


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """A tar.gz of members as they come, sizes that lie included."""
    text = b"".join(info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512) for info, content in members)
    return gzip.compress(text + bytes(1024), mtime=0)


GOOD = member("folder/one", b"first"), member("folder/two", b"second")


def extracted(tmp_path, *members, most=MOST) -> dict[str, bytes]:
    (part := tmp_path / "a.tar.gz.part").write_bytes(packed(*members))
    extract(part, FILES, tmp_path, most)
    return {path.name: path.read_bytes() for path in tmp_path.iterdir()}


@pytest.mark.parametrize(
    ("format", "length"), [(tarfile.USTAR_FORMAT, 90), (tarfile.GNU_FORMAT, 300), (tarfile.PAX_FORMAT, 300)]
)
def test_every_format_of_tar_is_read(tmp_path, format, length):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", format=format) as archive:
        for info, content in (member("n" * length, b"long"), member("folder/", type=tarfile.DIRTYPE), *GOOD):
            archive.addfile(info, io.BytesIO(content))
    (part := tmp_path / "a.tar.gz.part").write_bytes(buffer.getvalue())
    extract(part, FILES, tmp_path, MOST)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"first", "two": b"second"}


def test_members_that_nobody_asked_for_do_nothing(tmp_path):
    others = (
        member("../../evil", b"?"),
        member("/etc/evil", b"?"),
        member("link", type=tarfile.SYMTYPE, linkname="/etc"),
        member("pipe", type=tarfile.FIFOTYPE),
    )
    assert extracted(tmp_path, *others, *GOOD) == {"one": b"first", "two": b"second"}


WRONG = {
    "symbolic link": (member("one", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'one' is no plain file"),
    "hard link": (member("one", type=tarfile.LNKTYPE, linkname="two"), "'one' is no plain file"),
    "device": (member("one", type=tarfile.CHRTYPE), "'one' is no plain file"),
    "above": (member("../one", b"first"), "'../one' is no plain file below"),
    "absolute": (member("/etc/one", b"first"), "'/etc/one' is no plain file below"),
    "twice": (member("again/two", b"second"), "'folder/two' comes twice"),
    "larger": (member("two", b"longer than 6"), "two: expected 6 bytes, found 13"),
    "size that lies": (member("other", size=2**33), "lacks one, two"),
    "negative size": (member("other", size=-512), "negative size"),
    "cut short": (member("one", b"fir", size=2**19), "broken archive"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wanted_member_is_a_plain_file(tmp_path, wrong):
    info, message = WRONG[wrong]
    with pytest.raises(DataError, match=message):
        extracted(tmp_path, info, *GOOD)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar.gz.part"]


@pytest.mark.parametrize("type", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_an_archive_that_outgrows_its_size_is_not_unpacked(tmp_path, type):
    """`tarfile` would read the first three into memory."""
    (part := tmp_path / "a.tar.gz.part").write_bytes(packed(member("bomb", bytes(2**22), type=type), *GOOD))
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="more than the 1,048,576 unpacked bytes"):
            extract(part, FILES, tmp_path, MOST)
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def test_a_planted_link_is_not_written_through(tmp_path):
    (mine := tmp_path / "mine").write_text("mine")
    for name in ("one.part", "two"):
        (tmp_path / name).symlink_to(mine)
    found = extracted(tmp_path, *GOOD)
    assert found == {"one": b"first", "two": b"second", "mine": b"mine"}
