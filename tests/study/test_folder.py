from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from altmin.study.claim import LOCK, claimed
from altmin.study.folder import prepare
from altmin.study.model_source import ModelSource
from altmin.study.run_files import CONFIG, Owner, clear, remove_checkpoints
from altmin.train.checkpoint import Checkpoints

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def source(here: Path) -> ModelSource:
    (here / "net.py").write_text("def make(): ...\n")
    return ModelSource.read(here / "net.py", "make")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def run(out: str, command: str = "train", names: tuple[str, ...] = (), **how: Any) -> None:
    """A run that leaves some of its files."""
    with claimed(command, out, **how) as folder:
        prepare(folder, command, {"seed": 0}, parts={name: {"seed": 1} for name in names})
        for name in ("results.json", "curves.csv"):
            (folder / name).write_text("{}")
        for name in names:
            (folder / name / "model.json").write_text("{}")


def test_without_a_name_there_is_a_new_folder_each_time(here: Path):
    with claimed("train", None) as first, claimed("train", None) as second:
        assert (first, second) == (Path("altmin-train"), Path("altmin-train-2"))
        prepare(second, "train", {})
    with claimed("compare", None) as other:
        assert other == Path("altmin-compare")
    assert files(here) == ["altmin-train-2", f"altmin-train-2/{CONFIG}"]


def test_a_folder_that_holds_nothing_of_a_run_is_taken_and_left(here: Path):
    (here / "a").mkdir()
    (here / "a" / "notes.txt").write_text("mine")
    with claimed("train", "a/b/c") as folder:
        assert folder.is_dir()
    assert files(here) == ["a", "a/notes.txt"]
    with claimed("train", "a") as folder:
        prepare(folder, "train", {"seed": 3})
    assert files(here) == ["a", f"a/{CONFIG}", "a/notes.txt"]
    assert yaml.safe_load((here / "a" / CONFIG).read_text()) == {"seed": 3}
    assert Owner.of(Path("a")) == Owner("train")


@pytest.mark.parametrize("command", ["train", "compare", "bench"])
@pytest.mark.parametrize("before", ["train", "compare", "bench"])
def test_a_folder_that_holds_a_run_keeps_it(before: str, command: str, here: Path):
    run("a/b", before)
    found, said = files(here / "a" / "b"), []
    with claimed(command, "a/b/", tell=said.append) as folder:
        assert folder == Path("a/b-2")
    (line,) = said
    assert line.startswith(f"a/b holds a run of altmin {before} (")
    assert line.endswith("--overwrite replaces it); this run is written to a/b-2")
    assert files(here / "a" / "b") == found


@pytest.mark.parametrize("name", ["results.json", "model.safetensors", "config.yaml", "checkpoints"])
def test_files_of_unknown_origin_are_never_replaced(name: str, here: Path):
    (here / "a").mkdir()
    (here / "a" / name).write_text("mine")
    with claimed("train", "a") as folder:
        assert folder == Path("a-2")
    with pytest.raises(ValueError, match=rf"a holds {name}, .*; move it"), claimed("train", "a", overwrite=True):
        pass
    assert (here / "a" / name).read_text() == "mine"


def test_a_folder_without_a_name_of_its_own_is_refused(here: Path, monkeypatch: pytest.MonkeyPatch):
    run("a")
    monkeypatch.chdir(here / "a")
    with (
        pytest.raises(ValueError, match=r"\. holds a run of altmin train .*or name another folder"),
        claimed("train", "."),
    ):
        pass


def test_overwriting_leaves_files_of_the_users_own_and_nothing_of_the_run(here: Path):
    run("a", "compare", ("adam", "bcd"))
    for name in ("notes.txt", "adam/p.csv", "bench.json"):  # a comparison writes no bench.json
        (here / "a" / name).write_text("mine")
    with claimed("train", "a", overwrite=True) as folder:
        assert "bcd/model.json" in files(folder)  # nothing goes before all is checked
        prepare(folder, "train", {})
    assert files(here / "a") == ["adam", "adam/p.csv", "bench.json", CONFIG, "notes.txt"]


def test_a_comparison_replaces_its_own_parts_alone(here: Path):
    run("a", "compare", ("adam", "bcd"))
    run("a/sgd")
    with pytest.raises(ValueError, match="a/sgd holds a run of its own"):
        run("a", "compare", ("adam", "sgd"), overwrite=True)
    assert (here / "a" / "bcd" / "model.json").is_file()
    run("a", "compare", ("bcd", "dladmm"), overwrite=True)
    assert sorted(path.name for path in (here / "a").iterdir() if path.is_dir()) == ["bcd", "dladmm", "sgd"]


def test_a_part_of_a_comparison_belongs_to_it(here: Path):
    run("a", "compare", ("adam",))
    with pytest.raises(ValueError, match="a/adam is a part of the comparison in"):
        run("a/adam", overwrite=True)


def test_two_never_share_a_folder():
    with claimed("train", "a"), claimed("train", "a") as second:
        assert second == Path("a-2")
        with (
            pytest.raises(ValueError, match="another process of altmin writes to a; wait for it"),
            claimed("train", "a", overwrite=True),
        ):
            pass
    with claimed("train", "a"):
        assert Path("a", LOCK).is_file()
    assert not Path("a").exists()


def test_what_a_killed_process_left_half_written_goes(here: Path):
    run("a", "compare", ("adam",))
    for name in (".results.json.7.part", "adam/.model.json.8.part", ".notes.9.part"):
        (here / "a" / name).write_text("half")
    with claimed("compare", "a", resume=True):
        assert [name for name in files(here / "a") if name.endswith(".part")] == [".notes.9.part"]


def test_a_killed_preparation_is_completed(here: Path):
    run("a", "compare", ("adam", "bcd"))
    (here / "a" / "bcd" / CONFIG).unlink()
    (here / "a" / "bcd" / "model.json").unlink()
    with claimed("compare", "a", resume=True) as folder:
        prepare(folder, "compare", {}, parts={"adam": {}, "bcd": {"seed": 2}}, resume=True)
    assert yaml.safe_load((here / "a" / "bcd" / CONFIG).read_text()) == {"seed": 2}
    assert yaml.safe_load((here / "a" / CONFIG).read_text()) == {"seed": 0}


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("none", "there is no such folder"),
        ("empty", "no run of altmin has left its config.yaml there"),
        ("whole", "this folder is by altmin compare, not by altmin train"),
        ("whole/adam", "a part of a comparison; altmin compare --resume"),
    ],
)
def test_what_cannot_go_on(out: str, message: str, here: Path):
    (here / "empty").mkdir()
    run("whole", "compare", ("adam",))
    with pytest.raises(ValueError, match=message), claimed("train", out, resume=True):
        pass


def test_a_users_network_is_copied_and_goes_with_the_run(here: Path, source: ModelSource):
    with claimed("train", "a") as folder:
        prepare(folder, "train", {"model": "net.py:make"}, source)
    assert yaml.safe_load((here / "a" / CONFIG).read_text()) == {"model": f"{here / 'a' / 'model.py'}:make"}
    assert (here / "a" / "model.py").read_text() == source.text
    again = ModelSource.read(here / "a" / "model.py", "make")
    with claimed("train", "a", overwrite=True) as folder:  # as from the folder's own config.yaml
        prepare(folder, "train", {"model": ""}, again)
    assert (here / "a" / "model.py").read_text() == source.text
    clear(Path("a"))
    assert files(here / "a") == []


def test_a_users_network_in_the_folder_itself_stays(here: Path):
    (here / "a").mkdir()
    (here / "a" / "model.py").write_text("def make(): ...\n")
    source = ModelSource.read(here / "a" / "model.py", "make")
    with claimed("train", "a") as folder:
        prepare(folder, "train", {}, source)
    clear(Path("a"))
    assert files(here / "a") == ["model.py"]
    other = ModelSource("net.py", "make", "another")
    with claimed("train", "a") as folder, pytest.raises(ValueError, match=r"model.py there is not net.py"):
        prepare(folder, "train", {}, other)


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_files_have_the_mode_that_the_umask_says(here: Path, source: ModelSource):
    with claimed("train", "a") as folder:
        prepare(folder, "train", {}, source)
    assert {oct(path.stat().st_mode & 0o777) for path in (here / "a").iterdir()} == {"0o640"}


def test_only_checkpoints_are_removed_from_their_folder(here: Path):
    Checkpoints(here / "a" / "checkpoints").prepare()
    Checkpoints(here / "a" / "checkpoints").write(3, {"x": 1})
    remove_checkpoints(here / "a")
    assert files(here / "a") == []
    (here / "a" / "checkpoints").mkdir()
    (here / "a" / "checkpoints" / "mine").write_text("")
    remove_checkpoints(here / "a")
    assert files(here / "a") == ["checkpoints", "checkpoints/mine"]
