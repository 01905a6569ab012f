"""What decides a training, and its name: all fields, on every machine the same; and smaller scales."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from altmin.exhibits import ExhibitScale, Setting
from altmin.exhibits.setting import described
from altmin.methods import BCD, DLADMM, SGD, Adam, Backprop, Codes, OnlineAM
from exhibits.making import setting

OTHERS: dict[str, Any] = {
    "data": "digits",
    "method": BCD(gamma=0.5),
    "model": "lenet5",
    "options": {"hidden": (5,)},
    "init": "normal:0.1",
    "loss": "squared",
    "regularizer": "l1:0.01",
    "epochs": 3,
    "batches": 7,
    "batch_size": 10,
    "train_samples": 30,
    "share": 0.5,
    "every": 2,
    "record": ("train",),
    "center": True,
}


def test_every_field_has_another_value_here():
    assert {f.name for f in fields(Setting)} == {*OTHERS, "trials", "validated"}


@pytest.mark.parametrize("name", OTHERS)
def test_another_value_is_another_training(name: str):
    one, other = setting(), replace(setting(), **{name: OTHERS[name]})
    assert getattr(one, name) != getattr(other, name)
    assert one.digest(0) != other.digest(0)


def test_where_trials_were_compared_is_no_part_of_the_training_with_the_best():
    assert setting().digest(0) == replace(setting(), validated="digits").digest(0)


def test_no_two_of_all_these_trainings_share_a_name():
    every = [setting(), *(replace(setting(), **{name: value}) for name, value in OTHERS.items())]
    assert len({one.digest(seed) for one in every for seed in range(3)}) == 3 * len(every)


@pytest.mark.parametrize(
    "methods",
    [
        (Backprop("sgd", lr=0.1), Backprop("adam", lr=0.1)),
        (OnlineAM(rule=SGD(0.1)), OnlineAM(rule=Adam(0.1))),
        (OnlineAM(codes=Codes(steps=1)), OnlineAM(codes=Codes(steps=2))),
        (BCD(), DLADMM()),
    ],
    ids=["a name", "another class inside", "a number inside", "another class"],
)
def test_methods_that_differ_anywhere_are_other_trainings(methods: tuple[Any, Any]):
    first, second = (setting(method).digest(0) for method in methods)
    assert first != second


def test_what_is_equal_has_one_name():
    assert setting(BCD(gamma=0.25)).digest(3) == setting(BCD(gamma=0.25)).digest(3)
    assert setting().changed({"options": {"hidden": [4]}}).digest(0) == setting().digest(0)  # as JSON has it


def test_a_setting_is_described_as_json_has_it():
    text = setting(OnlineAM(rule=Adam(0.5))).described()
    assert text["options"] == {"hidden": [4]}
    assert text["method"]["class"] == "OnlineAM"
    assert text["method"]["rule"] == {"lr": 0.5}
    assert "trials" not in text
    assert described(BCD(gamma=0.5))["gamma"] == 0.5


def test_changes_name_fields_that_exist():
    assert setting().changed({"epochs": 9}) == replace(setting(), epochs=9)
    with pytest.raises(TypeError, match="epoch"):
        setting().changed({"epoch": 9})


def test_options_change_one_by_one():
    two = setting(options={"hidden": (4,), "activation": "tanh"}).changed({"options": {"hidden": (6, 6)}})
    assert two.options == {"hidden": (6, 6), "activation": "tanh"}


def test_trials_are_compared_on_validation_alone():
    trials = BCD(gamma=0.1), BCD(gamma=0.2)
    tried = setting(trials=trials, validated="digits").on_trial()
    assert [one.method for one in tried] == list(trials)
    assert {one.data for one in tried} == {"digits"}
    assert {one.record for one in tried} == {("validation",)}
    assert all(one.trials == () and one.validated is None for one in tried)
    assert tried[0].epochs == setting().epochs
    assert setting(trials=trials).on_trial()[0].data == "synthetic"
    assert setting().on_trial() == []


def test_a_scale_takes_the_smaller():
    big = setting(options={"hidden": (500, 20)}, train_samples=None, epochs=200, validated="mnist")
    small = ExhibitScale(samples=100, width=50, epochs=10, batches=5).of(big)
    assert small.options == {"hidden": (50, 20)}
    assert (small.train_samples, small.epochs, small.batches) == (100, 10, None)
    assert (small.data, small.validated) == ("synthetic", "mnist")
    assert ExhibitScale(samples=1000, epochs=1000, width=1000).of(setting()) == setting()
    assert ExhibitScale(batches=5).of(setting(batches=50)).batches == 5
    assert ExhibitScale(batches=50).of(setting(batches=5)).batches == 5
    moved = ExhibitScale(data="digits").of(big)
    assert (moved.data, moved.validated) == ("digits", "digits")


def test_the_papers_scale_changes_nothing():
    one = setting(trials=(BCD(gamma=0.1), BCD(gamma=0.2)), batches=3, validated="mnist")
    assert ExhibitScale().of(one) == one


@pytest.mark.parametrize(("most", "left"), [(None, 3), (3, 3), (2, 2), (1, 0)])
def test_a_scale_has_fewer_trials_and_never_a_single_one(most: int | None, left: int):
    trials = tuple(BCD(gamma=g) for g in (0.1, 0.2, 0.3))
    assert ExhibitScale(trials=most).of(setting(trials=trials)).trials == trials[:left]


def test_a_scale_in_words():
    assert ExhibitScale().words() == "as in the paper"
    assert ExhibitScale(samples=5_000, epochs=60).words() == "at most 5,000 training samples, 60 epochs"
