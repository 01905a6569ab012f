"""Trainings are made once, the missing ones alone; a trial decides; what fails takes nothing else along."""

from __future__ import annotations

from concurrent.futures.process import BrokenProcessPool
from math import nan
from pathlib import Path
from typing import Any

import pytest

from altmin.errors import UnknownNameError
from altmin.exhibits import Curves, Exhibit, ExhibitScale, Measure, Outcome, Setting, processes
from altmin.exhibits.processes import StudyProgress, Workshop
from altmin.exhibits.rules import between
from altmin.exhibits.runner import Study
from altmin.exhibits.store import Store
from altmin.methods import BCD
from altmin.study.processes import KilledError
from exhibits.making import Pool, outcome, setting

GAMMAS = 0.4, 0.1, 0.2, 0.3


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Setting, int]]:
    """What was trained, in its order; on validation 0.2 is best: 0.4 ends in nan, and 0.3 diverges."""
    done: list[tuple[Setting, int]] = []

    def train(one: Setting, seed: int, *_: object) -> Outcome:
        done.append((one, seed))
        gamma = one.method.gamma  # type: ignore[attr-defined]
        accuracy = {0.1: 0.5, 0.2: 0.9, 0.3: 0.99, 0.4: nan}.get(gamma, 0.7)
        return outcome(seed, gamma == 0.3, validation_accuracy=[0.1, accuracy], test_accuracy=[0.1, 0.8])

    monkeypatch.setattr(processes, "train", train)
    monkeypatch.setattr("altmin.study.processes.ProcessPoolExecutor", Pool)
    return done


def exhibit(base: Setting, **words: Any) -> Exhibit:
    own = {
        "panels": {"p": {}, "q": {"epochs": 3}},
        "arms": {"a": {}, "b": {"method": BCD(gamma=0.7)}},
        "name": "made-up",
    }
    return Exhibit(
        **{**own, **words},
        **{"paper": "mine", "place": "Figure 1", "title": "a title", "claim": "A claim.", "base": base},
        picture=Curves(("test_accuracy",)),
        columns={"test %": Measure("test_accuracy", factor=100)},
        checks={"it is good": between("test %", ["a"], 50.0, 100.0)},
        desk=ExhibitScale(),
    )


def study(folder: Path, *exhibits: Exhibit, seeds: int = 2, **more: Any) -> Study:
    return Study(exhibits, "desk", seeds, Store(folder, pytest.fail), **more)


def ignore(progress: StudyProgress) -> None:
    pass


def test_every_panel_arm_and_seed_once(tmp_path: Path, made: list):
    one = exhibit(setting())
    assert study(tmp_path, one).run(ignore) == []
    assert len(made) == 8
    assert {(s.epochs, s.method.gamma, seed) for s, seed in made} == {
        (epochs, gamma, seed) for epochs in (2, 3) for gamma in (1.0, 0.7) for seed in (0, 1)
    }
    found = study(tmp_path, one).outcomes(one)
    assert found is not None
    assert found.values("q", "b", "test %") == [80, 80]
    assert [each.seed for each in found.found["p", "a"]] == [0, 1]


def test_the_panels_that_are_named(tmp_path: Path, made: list):
    one = exhibit(setting())
    some = study(tmp_path, one, seeds=1, panels=["q"])
    assert some.run(ignore) == []
    assert {s.epochs for s, _ in made} == {3}
    found = some.outcomes(one)
    assert found is not None
    assert (found.panels, found.left_out) == (["q"], ["p"])
    assert study(tmp_path, one, seeds=1).outcomes(one) is None
    with pytest.raises(UnknownNameError, match="unknown panel 'r'"):
        study(tmp_path, one, panels=["r"])


def test_what_is_there_is_not_made_again(tmp_path: Path, made: list):
    one = exhibit(setting())
    study(tmp_path, one, seeds=1).run(ignore)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert len(times) == len(made) == 4
    study(tmp_path, one, seeds=1).run(ignore)
    assert len(made) == 4
    study(tmp_path, one, seeds=3).run(ignore)
    assert len(made) == 12
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())


def test_two_exhibits_share_their_trainings(tmp_path: Path, made: list):
    one, other = exhibit(setting()), exhibit(setting(), name="another")
    study(tmp_path, one, other).run(ignore)
    assert len(made) == 8
    assert study(tmp_path, one, other).outcomes(other) is not None


def test_a_damaged_training_is_made_again(tmp_path: Path, made: list):
    one = exhibit(setting())
    study(tmp_path, one).run(ignore)
    damaged = tmp_path / "runs" / f"{one.setting('q', 'b').digest(1)}.json"
    damaged.write_text(damaged.read_text()[:50])
    told: list[str] = []
    Study([one], "desk", 2, Store(tmp_path, told.append)).run(ignore)
    assert made[8:] == [(one.setting("q", "b"), 1)]
    assert len(told) == 1


def test_the_method_that_is_best_on_validation_is_trained(tmp_path: Path, made: list):
    """One that diverged is not, nor one that ends in nan."""
    one = exhibit(setting(trials=tuple(BCD(gamma=g) for g in GAMMAS)), arms={"a": {}}, panels={"p": {}})
    assert study(tmp_path, one).outcomes(one) is None
    assert study(tmp_path, one).run(ignore) == []
    assert sorted(s.method.gamma for s, _ in made[:4]) == sorted(GAMMAS)
    assert all(s.record == ("validation",) and seed == 0 for s, seed in made[:4])
    assert [(s.method.gamma, s.record, seed) for s, seed in made[4:]] == [(0.2, setting().record, n) for n in (0, 1)]
    found = study(tmp_path, one).outcomes(one)
    assert found is not None
    assert found.chosen == {("p", "a"): BCD(gamma=0.2)}


@pytest.mark.parametrize("error", [ValueError("no such thing"), RuntimeError("it broke"), ZeroDivisionError()])
def test_a_training_that_fails_is_named_and_the_others_are_made(error, tmp_path: Path, made: list, monkeypatch):
    train = processes.train

    def failing(one: Setting, seed: int, *rest: Any) -> Outcome:
        if one.epochs == 3 and seed == 1:
            raise error
        return train(one, seed, *rest)

    monkeypatch.setattr(processes, "train", failing)
    one, whole = exhibit(setting()), exhibit(setting(), name="whole", panels={"p": {}})
    failed = study(tmp_path, one, whole).run(ignore)
    assert sorted(failed) == [f"made-up, q, {arm}, seed 1: {type(error).__name__}: {error}" for arm in "ab"]
    assert study(tmp_path, one).outcomes(one) is None
    assert study(tmp_path, whole).outcomes(whole) is not None


def test_a_process_that_is_killed_ends_it_all_and_keeps_what_is_finished(tmp_path: Path, made: list, monkeypatch):
    train = processes.train

    def killed(one: Setting, seed: int, *rest: Any) -> Outcome:
        if seed == 1:
            raise BrokenProcessPool("A process in the process pool was terminated abruptly")
        return train(one, seed, *rest)

    monkeypatch.setattr(processes, "train", killed)
    with pytest.raises(KilledError, match=r"killed, probably .* want of memory.*; 4 of 8 trainings were not finished"):
        study(tmp_path, exhibit(setting())).run(ignore)
    assert len(list((tmp_path / "runs").iterdir())) == 4


def test_progress_counts_what_is_to_be_made(tmp_path: Path, made: list):
    one = exhibit(setting())
    study(tmp_path, one, seeds=1).run(ignore)
    seen: list[StudyProgress] = []
    study(tmp_path, one).run(seen.append)
    assert [(p.done, p.total) for p in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert seen[-1].left == 0
    assert all(p.left >= 0 and p.seconds >= 0 for p in seen)
    assert {p.latest for p in seen} == {f"made-up, {panel}, {arm}, seed 1" for panel in "pq" for arm in "ab"}


def test_the_long_ones_come_first(tmp_path: Path, made: list):
    study(tmp_path, exhibit(setting()), seeds=1).run(ignore)
    assert [s.epochs for s, _ in made] == [3, 3, 2, 2]


def test_seeds_and_data_sets(tmp_path: Path):
    one = exhibit(setting(validated="digits"))
    assert study(tmp_path, one).data_sets() == {"synthetic", "digits"}
    assert study(tmp_path, one, seeds=4).seeds_of(one) == range(4)
    assert Study([one], "desk", None, Store(tmp_path, pytest.fail)).seeds_of(one) == range(3)
    assert Study([one], "smoke", None, Store(tmp_path, pytest.fail)).seeds_of(one) == range(1)


def test_a_process_of_its_own(tmp_path: Path):
    """As users have it; its times are those of one thread."""
    one = exhibit(setting(), arms={"a": {}})
    assert Study([one], "desk", 1, Store(tmp_path, pytest.fail), workshop=Workshop(jobs=2)).run(ignore) == []
    found = Study([one], "desk", 1, Store(tmp_path, pytest.fail)).outcomes(one)
    assert found is not None
    assert found.found["p", "a"][0].about["threads"] == 1
