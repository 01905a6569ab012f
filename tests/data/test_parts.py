"""The partial file of a download: one writer at a time, and no way to elsewhere."""

from __future__ import annotations

import os
import threading

import pytest

from altmin.data.parts import held
from altmin.errors import DataError


def test_a_second_writer_waits_and_sees_what_became_of_it(tmp_path):
    part, order, inside = tmp_path / "a.part", [], threading.Event()

    def second() -> None:
        inside.wait()
        with held(part):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with held(part) as file:
        inside.set()
        file.write(b"whole")
        thread.join(0.05)
        order.append("first")
        os.replace(part, tmp_path / "a")
    thread.join()
    assert order == ["first", "second"]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"whole"}


def test_what_is_left_is_taken_up(tmp_path):
    for expected in (b"", b"1", b"12"):
        with held(tmp_path / "a.part") as file:
            assert file.read() == expected
            file.write(str(len(expected) + 1).encode())


def link(path, mine):
    path.symlink_to(mine)


def nowhere(path, mine):
    path.symlink_to(mine.with_name("new"))


def hard(path, mine):
    path.hardlink_to(mine)


def pipe(path, mine):
    os.mkfifo(path)


@pytest.mark.parametrize("plant", [link, nowhere, hard, pipe])
def test_nothing_is_written_through_what_was_planted(tmp_path, plant):
    (mine := tmp_path / "mine").write_text("mine")
    plant(tmp_path / "a.part", mine)
    with pytest.raises(DataError, match=r"a\.part is .* delete it"), held(tmp_path / "a.part"):
        pass
    assert mine.read_text() == "mine"
    assert not (tmp_path / "new").exists()
