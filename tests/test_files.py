import hashlib

import pytest

from altmin.files import abandoned, digest, new_folder, read_json, remove_folder, replacing, write_json


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
