"""Which kind a part of a method is, said by its name: ``--last SGD``, and in YAML ``last: SGD``."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from altmin import DTP, SGD, Adam, CoActivationMemory, Method, Newton, OnlineAM, TaylorADMM
from altmin.cli.commandline import parse
from altmin.cli.config import _numbers
from altmin.cli.kinds import with_kinds
from altmin.cli.numbers import configured
from altmin.cli.plan import methods_of
from altmin.cli.spelling import Spelling
from altmin.methods.registry import METHODS


def method_of(*argv: str) -> Method:
    """The method of a command line of ``train``."""
    options = parse(["train", *argv], Spelling())
    return configured(METHODS[options.method].method, options)


SAID: dict[str, Method] = {
    "am-adam --last SGD --last.lr 0.2": OnlineAM(last=SGD(0.2)),
    "am-adam --last=SGD": OnlineAM(last=SGD()),
    "am-adam --last.by SGD --last.momentum 0.9": OnlineAM(last=SGD(momentum=0.9)),
    "am-adam --rule CoActivationMemory --rule.forget 1 --last Newton": OnlineAM(
        rule=CoActivationMemory(forget=1.0), last=Newton()
    ),
    "am-mem --last SGD --last.lr 0.5": OnlineAM(rule=CoActivationMemory(), last=SGD(0.5)),
    "am-adam": OnlineAM(),
    "am-adam --last Adam --last.lr 0.1": OnlineAM(last=Adam(0.1)),
    "dtp --feedback SGD --feedback.lr 0.3": DTP(feedback=SGD(0.3)),
}


@pytest.mark.parametrize("line", SAID)
def test_a_command_line_says_what_python_does(line: str):
    assert method_of(*line.split()) == SAID[line]


@pytest.mark.parametrize("line", ["am-sgd --last SGD", "am-sgd", "dtp --rule Adam"])
def test_the_methods_own_kind_keeps_its_numbers(line: str):
    assert method_of(*line.split()) == METHODS[line.split()[0]].method


def test_methods_that_are_compared_have_their_own():
    options = parse(["compare", "am-adam", "am-mem", "--am-adam.last", "SGD", "--am-mem.last.lr", "0.3"], Spelling())
    found = methods_of(options)
    assert found["am-adam"] == OnlineAM(last=SGD())
    assert found["am-mem"] == OnlineAM(rule=CoActivationMemory(), last=Adam(0.3))


YAML: dict[str, Any] = {
    "last: SGD": SGD(),
    "last: {by: SGD, lr: 0.4}": SGD(0.4),
    "last.by: SGD\nlast.lr: 0.4": SGD(0.4),
    "last: {lr: 0.4}": Adam(0.4),
}


@pytest.mark.parametrize("text", YAML)
def test_yaml_says_the_same(text: str, tmp_path: Path):
    (tmp_path / "run.yaml").write_text(text)
    method = method_of("am-adam", "--config", str(tmp_path / "run.yaml"))
    assert isinstance(method, OnlineAM)
    assert method.last == YAML[text]


def test_the_command_line_comes_first(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("last: SGD")
    assert method_of("am-adam", "--config", str(tmp_path / "run.yaml"), "--last", "Newton") == OnlineAM(last=Newton())


WRONG = {
    "--last SDG": "--last.by must be Adam, SGD or Newton, got 'SDG'",
    "--last CoActivationMemory": "--last.by must be Adam, SGD or Newton, got 'CoActivationMemory'",
    "--last": "--last.by needs a value: Adam, SGD or Newton",
    "--last.momentum 0.9": "unknown option --last.momentum; did you mean --codes.momentum?",
    "--codes Codes": "unknown option --codes; ",
}


@pytest.mark.parametrize("given", WRONG)
def test_what_is_no_kind_is_refused_by_name(given: str):
    with pytest.raises(ArgumentTypeError) as error:
        method_of("am-adam", *given.split())
    assert WRONG[given] in str(error.value)


def test_the_written_options_say_the_kind():
    numbers = _numbers(OnlineAM(last=SGD(0.2)))
    assert numbers["last"] == {"by": "SGD", "lr": 0.2, "momentum": 0.0, "radius": None}
    assert "by" not in numbers["codes"]


def test_a_method_without_such_parts_is_left_as_it_is():
    assert with_kinds(TaylorADMM(), {"beta": "SGD"}) == TaylorADMM()
