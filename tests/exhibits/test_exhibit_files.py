"""Every exhibit's file: settings that exist, numbers as printed, and statements that can hold and can fail."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from math import isnan
from typing import Any

import pytest

from altmin import exhibits
from altmin.data import describe
from altmin.errors import UnknownNameError
from altmin.exhibits import Outcomes, Setting
from altmin.exhibits.exhibit import EXHIBITS, SCALES, register
from altmin.losses import LOSSES
from altmin.regularizers import REGULARIZERS
from altmin.study.description import NetworkDescription
from altmin.study.networks import NETWORKS
from exhibits.making import alike, figures, made_up, outcome

NAMES = exhibits.names()
DATA = {row.name: row for row in describe()}
RECORDED = {"objective", "train", "validation", "test", "weights"}
PRINTED_BY_PAPERS = [
    name for name in NAMES if re.fullmatch("(Figure|Table) [^']*(?<!question)", exhibits.load(name).place)
]
CHECKS = [(name, statement) for name in NAMES for statement in exhibits.load(name).checks]
# What the papers print, copied from their text once more.
PRINTED = [
    ("ipdlam-table1", "MNIST", "factor 0.7", "objective", 0.03),
    ("ipdlam-table1", "MNIST", "factor 0.8", "train %", 92.0),
    ("ipdlam-table1", "MNIST", "factor 1.0", "objective", 5510),
    ("ipdlam-table1", "Fashion-MNIST", "factor 0.5", "test %", 94.1),
    ("ipdlam-table1", "Fashion-MNIST", "factor 1.1", "train %", 10.4),
    ("mdlam-table2", "MNIST", ("0.0001", "1/5"), "s an iteration", 0.1692),
    ("mdlam-table2", "MNIST", ("0.1", "4/5"), "s an iteration", 1.9590),
    ("mdlam-table2", "Fashion-MNIST", ("1", "all"), "s an iteration", 4.2902),
    ("dladmm-table2", "MNIST", ("1e-5", "200"), "s an iteration", 2.8778),
    ("dladmm-table2", "MNIST", ("1e-2", "1000"), "s an iteration", 13.4485),
    ("dladmm-table2", "Fashion-MNIST", ("1e-4", "600"), "s an iteration", 6.4257),
    ("dladmm-table3", "MNIST", ("1e-6", "all"), "s an iteration", 5.7709),
    ("dladmm-table3", "Fashion-MNIST", ("1e-3", "2/5"), "s an iteration", 4.5250),
    ("online-lenet5-time", "MNIST", "AM-Adam", "s", 443),
    ("online-mnist-time", "MNIST", "AM-mem", "s", 9.7),
    ("online-mnist-epochs", "100-100", "AM-mem", "test %", 91),
    ("online-mnist-epochs", "500-500", "AM-Adam", "test %", 98),
    ("online-cifar10-epochs", "500-500", "Adam", "test %", 56),
    ("online-higgs", "HIGGS", "AM-mem", "test %", 61),
]
# Settings that the papers print.
SETTINGS: list[tuple[str, str | None, Any, dict[str, Any]]] = [
    (
        "ipdlam-figure1",
        "MNIST",
        "factor 0.5",
        {"data": "mnist-60k", "batch_size": 512, "epochs": 200, "loss": "squared"},
    ),
    ("ipdlam-figure1", None, "DLAM", {"options": {"hidden": (1500, 1500)}, "init": "normal:0.01,bias:0.1"}),
    ("mdlam-figure1", "MNIST, 100-100", None, {"data": "mnist-196", "epochs": 150, "batch_size": None}),
    ("mdlam-figure1", "Fashion-MNIST, 500-500", None, {"data": "fashion-mnist-60k", "options": {"hidden": (500, 500)}}),
    ("dladmm-figure4", None, None, {"data": "mnist", "epochs": 200, "options": {"hidden": (1000, 1000)}}),
    ("dladmm-figure5", None, None, {"data": "fashion-mnist-60k", "loss": "cross_entropy"}),
    ("online-mnist-epochs", "500-500", "SGD", {"data": "mnist-50k", "batch_size": 200, "epochs": 50}),
    ("online-cifar10-batches", "100-100", None, {"data": "cifar10", "batches": 50, "batch_size": 200}),
    ("online-higgs", None, None, {"options": {"hidden": (300,)}, "batches": 52_500, "batch_size": 200}),
    ("online-rnn-50", None, "Adam", {"options": {"hidden": (50,), "step_width": 1}, "regularizer": "l1:0.01"}),
    ("online-rnn-15", None, None, {"batch_size": 1024, "epochs": 10, "regularizer": None}),
    ("online-lenet5", None, None, {"model": "lenet5", "batch_size": 128, "epochs": 10}),
    ("online-binary", None, "DTP", {"model": "binary", "options": {"hidden": (500, 500)}, "epochs": 200}),
]
RATES: list[tuple[str, str | None, Any, str, Any]] = [
    ("ipdlam-table1", None, "factor 0.3", "alpha beta gamma delta theta", (0.3, 0.3, 0.3, 1.0, 1.1)),
    ("ipdlam-figure2", None, "delta 0.4", "alpha delta", (0.7, 0.4)),
    ("mdlam-figure1", None, "eps mean", "rho eps", (1e-4, 10.0)),
    ("dladmm-figure4", None, "dlADMM", "rho nu schedule", (1e-6, 1e-6, "steps")),
    ("dladmm-figure2", None, None, "rho schedule", (1.0, "constant")),
    ("dladmm-figure3", None, None, "rho schedule", (1e-6, "constant")),
    ("online-mnist-epochs", "100-100", "AM-Adam", "last.lr", (0.1973,)),
    ("online-mnist-epochs", "500-500", "AM-mem-off", "last.lr", (0.2503,)),
    ("online-mnist-epochs", "500-500", "Adam", "lr", (0.0005,)),
    ("online-mnist-epochs", "100-100", "Taylor", "beta gamma", (582.8, 54.15)),
    ("online-mnist-epochs", "500-500", "Taylor", "beta gamma", (444.2, 111.7)),
    ("online-cifar10-epochs", "500-500", "AM-Adam-off", "last.lr", (0.4844,)),
    ("online-cifar10-epochs", "100-100", "SGD", "lr", (0.15,)),
    ("online-higgs", None, "SGD", "lr", (0.05,)),
    ("online-rnn-15", None, "AM-Adam", "rule.lr mu.add mu.factor mu.most codes.steps", (0.005, 0.01, 1.1, 1.0, 5)),
    ("online-rnn-50", None, "AM-Adam", "mu.start mu.add mu.factor", (0.01, 1e-4, 1.0)),
    ("online-rnn-50", None, "SGD", "lr epoch_decay", (0.005, 0.9)),
    ("online-lenet5", None, "SGD", "lr epoch_decay", (0.02, 0.9)),
    ("online-lenet5-both", "Fashion-MNIST", "AM-Adam", "rule.lr codes.lr mu.add", (0.002, 1.0, 1e-5)),
    ("online-lenet5-both", "MNIST", "AM-Adam", "mu.add mu.start mu.most codes.steps", (1e-7, 0.01, 1.5, 1)),
]


def test_every_exhibit_of_the_papers_is_there():
    count = {paper: sum(name.startswith(f"{paper}-") for name in PRINTED_BY_PAPERS) for paper in exhibits.PAPERS}
    assert count == {"ipdlam": 5, "mdlam": 4, "dladmm": 6, "online": 12, "beyond": 0}
    assert len({(EXHIBITS[name].paper, EXHIBITS[name].place) for name in NAMES}) == len(NAMES)


def test_an_unknown_name_has_its_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'ipdlam-table1'"):
        exhibits.load("ipdlam-tabel1")
    with pytest.raises(UnknownNameError, match=r"unknown arm 'factor 0\.75'; did you mean 'factor 0\.[57]'"):
        exhibits.load("ipdlam-table1").setting("MNIST", "factor 0.75")


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch):
    first, second = (exhibits.load(name) for name in NAMES[:2])
    assert register(first) is first
    monkeypatch.setitem(EXHIBITS, first.name, second)
    with pytest.raises(ValueError, match="taken"):
        register(first)


@cache
def build(model: str, hidden: Any, init: str | None, data: str, rest: tuple[Any, ...]) -> None:
    row = DATA[data]
    shape = (1, 28, 28) if model == "lenet5" else (row.features or 0,)
    options = {**dict(rest), **({} if hidden is None else {"hidden": hidden})}
    NetworkDescription(model=model, inputs=shape, outputs=10, options=options, init=init).build(0)


def require_valid(setting: Setting) -> None:
    """What training would refuse, or what would make no sense."""
    assert setting.data in DATA
    assert setting.validated is None or setting.validated in DATA
    assert setting.model in NETWORKS
    assert set(setting.record) <= RECORDED
    assert 0 < setting.share <= 1
    assert min(setting.epochs, setting.every, setting.batches or 1, setting.batch_size or 1) >= 1
    assert "validation" not in setting.record or "none" not in DATA[setting.data].split
    LOSSES.make(setting.loss)
    if setting.regularizer is not None:
        REGULARIZERS.make(setting.regularizer)
    options = {k: v for k, v in setting.options.items() if k != "hidden"}
    build(setting.model, setting.options.get("hidden"), setting.init, setting.data, tuple(options.items()))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", NAMES)
def test_its_settings_are_valid(name: str, scale: str):
    exhibit = exhibits.load(name)
    settings = exhibit.settings(scale)
    assert set(settings) == {(panel, arm) for panel in exhibit.panels for arm in exhibit.arms}
    for setting in settings.values():
        for one in (setting, *setting.on_trial()):
            require_valid(one)
        assert len(setting.trials) != 1


@pytest.mark.parametrize("name", NAMES)
def test_no_two_trainings_of_it_share_a_name(name: str):
    settings = [t for s in exhibits.load(name).settings().values() for t in (s.changed({"trials": ()}), *s.on_trial())]
    distinct = [one for i, one in enumerate(settings) if one not in settings[:i]]
    assert len({one.digest(0) for one in distinct}) == len(distinct)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_complete(name: str):
    exhibit = exhibits.load(name)
    assert exhibit.claim.endswith(".")
    assert exhibit.checks
    for rows in exhibit.printed.values():
        assert all(column in exhibit.columns for row in rows.values() for column in row)
    assert exhibit.leading is None or exhibit.leading in exhibit.arms
    assert (
        exhibit.setting() == exhibit.settings()[next(iter(exhibit.panels)), exhibit.leading or next(iter(exhibit.arms))]
    )
    recorded = {"iteration", "elapsed_cpu_seconds", "cpu_seconds"}
    for setting in exhibit.settings().values():
        known = recorded | {"objective", "mean_objective"} if "objective" in setting.record else recorded
        known = known | ({"zero_weights", "zero_units"} if "weights" in setting.record else set())
        known = known | {f"{part}_{kind}" for part in setting.record for kind in ("loss", "accuracy")}
        assert {f for f in figures(exhibit) if not f.startswith("residuals.")} <= known


@pytest.mark.parametrize(("name", "panel", "arm", "column", "number"), PRINTED, ids=[str(p[:4]) for p in PRINTED])
def test_numbers_are_those_of_the_papers_text(name: str, panel: str, arm: Any, column: str, number: float):
    assert exhibits.load(name).printed[panel][arm][column] == number


def test_what_the_paper_has_as_nan():
    rows = exhibits.load("ipdlam-table1").printed
    assert all(isnan(rows["MNIST"]["factor 1.1"][column]) for column in ("objective", "train %", "test %"))
    assert isnan(rows["Fashion-MNIST"]["factor 1.2"]["objective"])


@pytest.mark.parametrize(
    ("name", "panel", "arm", "fields"), SETTINGS, ids=[f"{s[0]}-{s[2]}-{i}" for i, s in enumerate(SETTINGS)]
)
def test_settings_are_those_of_the_papers_text(name: str, panel: str | None, arm: Any, fields: dict[str, Any]):
    setting = exhibits.load(name).setting(panel, arm)
    assert {field: getattr(setting, field) for field in fields} == fields


@pytest.mark.parametrize(
    ("name", "panel", "arm", "numbers", "printed"), RATES, ids=[f"{r[0]}-{r[2]}-{i}" for i, r in enumerate(RATES)]
)
def test_methods_have_the_papers_numbers(
    name: str, panel: str | None, arm: Any, numbers: str, printed: tuple[Any, ...]
):
    found = []
    for path in numbers.split():
        value: Any = exhibits.load(name).setting(panel, arm).method
        for part in path.split("."):
            value = getattr(value, part)
        found.append(value)
    assert tuple(found) == printed


STEPS = 1, 2, 5, 6, 10, 20, 25, 40, 50, 120, 1_000, 2_000, 52_500
LEVELS = 0.1, 0.5, 0.65, 0.75, 0.82, 0.85, 0.91, 0.96, 0.985


def trials(exhibit: exhibits.Exhibit) -> Iterator[Outcomes]:
    """Outcomes of many kinds: flat curves and ones that rise late; arms that are alike, in order, or apart by one."""
    arms = list(exhibit.arms)

    def flat(levels: dict[Any, float], start: int = 0, diverged: bool = False) -> Outcomes:
        made = {
            arm: alike(exhibit, [level if step >= start else 0.0 for step in STEPS], STEPS, diverged=diverged)
            for arm, level in levels.items()
        }
        return made_up(exhibit, lambda panel, arm: made[arm])

    for level in LEVELS:
        yield flat(dict.fromkeys(arms, level))
        yield flat(dict.fromkeys(arms, level), start=120)
    yield flat(dict.fromkeys(arms, 0.5), diverged=True)
    for sign in (1, -1):
        yield flat({arm: 1.0 + 0.9 * sign * i / len(arms) for i, arm in enumerate(arms)})
    for special in arms:
        for level in (0.985, 0.1):
            yield flat(dict.fromkeys(arms, 0.5) | {special: level})


@cache
def verdicts(name: str) -> dict[str, set[bool]]:
    exhibit = exhibits.load(name)
    found: dict[str, set[bool]] = {statement: set() for statement in exhibit.checks}
    for outcomes in trials(exhibit):
        for statement, check in exhibit.checks.items():
            judged = check(outcomes)
            assert judged is not None
            assert isinstance(judged[1], str)
            found[statement].add(judged[0])
    return found


@pytest.mark.parametrize(("name", "statement"), CHECKS, ids=[" ".join(row) for row in CHECKS])
def test_its_statements_can_hold_and_can_fail(name: str, statement: str):
    assert verdicts(name)[statement] == {True, False}


WHOLE = [n for n in NAMES if n.endswith(("table1", "table2", "table3", "-time"))]


@pytest.mark.parametrize("name", WHOLE)
def test_the_papers_own_numbers_make_every_statement_true(name: str):
    """Of tables that are printed whole; arms beside the paper's have the same number everywhere."""
    exhibit = exhibits.load(name)

    def own(panel: str, arm: Any) -> Any:
        row = exhibit.printed[panel].get(arm, dict.fromkeys(exhibit.columns, 1.0))
        curves: dict[str, Any] = {
            exhibit.columns[name].figure: [value / exhibit.columns[name].factor] for name, value in row.items()
        }
        return outcome(diverged=any(map(isnan, row.values())), **curves)

    outcomes = made_up(exhibit, own)
    judged = {text: check(outcomes) for text, check in exhibit.checks.items()}
    assert {text: found for text, found in judged.items() if not (found and found[0])} == {}
