import errno
import hashlib
import os

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from altmin.files import (
    abandoned,
    digest,
    new_folder,
    read_json,
    remove_folder,
    replacing,
    system_errors,
    write_json,
    write_tensors,
)


def write_half(path):
    with replacing(path) as part:
        part.write_text("half")
        raise ZeroDivisionError


def test_a_file_is_replaced_whole_or_stays_as_it_was(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert read_json(path) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [("[" * 100_000, "nested too deeply"), ("1" * 300, "more than 256 bytes"), ("{", "Expecting property name")],
)
def test_json_of_others_is_refused(tmp_path, text, message):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_json(path, most=256 if len(text) == 300 else 2**20)


def test_digest(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert digest(path) == hashlib.sha256(b"abc").hexdigest()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a"
    with new_folder(path) as part:
        (part / "b").write_text("whole")
        assert not path.exists()
        assert abandoned(tmp_path) == [part]
    assert (path / "b").read_text() == "whole"
    with new_folder(path.with_name("c")) as part:
        remove_folder(path)  # in the place of which a new one may just be made
        assert [p for p in abandoned(tmp_path) if p != part] == []
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_a_folder_that_could_not_be_written_is_gone(tmp_path):
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "a") as part:
        (part / "b" / "c").write_text("")
    assert not list(tmp_path.iterdir())


def test_a_link_is_replaced_and_not_written_through(tmp_path):
    (mine := tmp_path / "mine").write_text("mine")
    (tmp_path / "a.json").symlink_to(mine)
    write_json(tmp_path / "a.json", 1)
    assert mine.read_text() == "mine"
    assert read_json(tmp_path / "a.json") == 1
    assert not (tmp_path / "a.json").is_symlink()


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(FileExistsError, match="no file that could be replaced"):
            write_json(tmp_path / name, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


def test_files_have_the_mode_that_the_umask_says(tmp_path):
    """A library may give its files another: safetensors' are its owner's alone."""
    before = os.umask(0o027)
    try:
        write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(3)})
        write_json(tmp_path / "a.json", 1)
        with new_folder(tmp_path / "folder") as folder:
            save_file({"a": torch.zeros(3)}, folder / "b.safetensors")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {(path.name, oct(path.stat().st_mode & 0o777)) for path in files} == {
        ("a.safetensors", "0o640"),
        ("a.json", "0o640"),
        ("b.safetensors", "0o640"),
    }


def test_what_the_system_said_is_no_longer_words_of_a_library(tmp_path):
    with pytest.raises(OSError, match=r"\[Errno 28\] No space left on device") as caught, system_errors(tmp_path / "a"):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(SafetensorError, match="no such tensor"), system_errors(tmp_path / "a"):
        raise SafetensorError("no such tensor")
