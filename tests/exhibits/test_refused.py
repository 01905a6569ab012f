"""Exhibits of a user's own with a slip in them are refused before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from altmin import exhibits
from altmin.cli import main
from altmin.exhibits import Curves, Exhibit, ExhibitScale, Measure, Outcome, Outcomes, Setting, register
from altmin.exhibits.exhibit import EXHIBITS
from altmin.exhibits.result import result_of
from altmin.exhibits.rules import ahead
from altmin.methods import BCD


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch):
    """Registers an exhibit with some of its parts changed, for this test alone."""

    def make(**changes: Any) -> Exhibit:
        table = {name: exhibit for name, exhibit in EXHIBITS.items() if name != "slip"}
        monkeypatch.setattr("altmin.exhibits.exhibit.EXHIBITS", table)
        monkeypatch.setattr(exhibits, "EXHIBITS", table)
        parts: dict[str, Any] = {
            "name": "slip",
            "paper": "mine",
            "place": "here",
            "title": "a slip",
            "claim": "It is noticed.",
            "base": Setting(data="digits", method=BCD(), options={"hidden": (4,)}, loss="squared", epochs=1),
            "panels": {"digits": {}},
            "arms": {"one": {}, "two": {"method": BCD(gamma=2.0)}},
            "picture": Curves(("test_accuracy",)),
            "columns": {"test %": Measure("test_accuracy", factor=100)},
            "checks": {"one leads": ahead("test %", "one", ["two"])},
            "desk": ExhibitScale(samples=60, seeds=1),
        }
        return register(Exhibit(**(parts | changes)))

    return make


@pytest.mark.parametrize(
    ("check", "what"),
    [
        (ahead("tst %", "one", ["two"]), "'tst %'"),
        (ahead("test %", "none", ["two"]), "'none'"),
        (ahead("test %", "one", ["two"], panels=["digit"]), "'digit'"),
    ],
)
def test_a_statement_about_what_there_is_not(own, check, what: str):
    with pytest.raises(ValueError, match=rf"slip: the statement 'one leads' is about .*{what}.* no panel and arm"):
        own(checks={"one leads": check})


def test_a_field_that_a_setting_has_not(own):
    with pytest.raises(TypeError, match="a setting has no field `regulariser`; did you mean 'regularizer'"):
        own(arms={"one": {"regulariser": "l2:1"}, "two": {}})


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"regularizer": "nonegative"}, "did you mean 'nonnegative'"),
        ({"loss": "sqared"}, "did you mean 'squared'"),
        ({"init": "normal"}, "must be normal:DEVIATION"),
        ({"options": {"hiden": (3,)}}, "mlp has no option 'hiden'"),
    ],
)
def test_a_value_that_cannot_be_trained(own, changes: dict[str, Any], what: str, tmp_path: Path, capsys):
    own(arms={"one": {}, "two": changes})
    assert main(["reproduce", "slip", "--scale", "desk", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "slip, digits, two: " in said
    assert what in said
    assert not (tmp_path / "out" / "runs").exists()


def test_a_column_that_measures_what_nothing_recorded(own):
    exhibit = own(columns={"test %": Measure("test_acc")})
    outcome = Outcome("ok", None, {"iteration": [1.0], "test_accuracy": [0.5]}, 0, {})
    outcomes = Outcomes(exhibit.columns, {key: [outcome] for key in exhibit.settings()})
    with pytest.raises(
        ValueError, match=r"no training recorded `test_acc`, .* 'test %' .*did you mean 'test_accuracy'"
    ):
        result_of(exhibit, outcomes, "desk", 1)


def test_a_folder_with_results_at_another_scale(tmp_path: Path, capsys):
    (tmp_path / "ipdlam-figure2").mkdir()
    (tmp_path / "ipdlam-figure2" / "result.json").write_text(json.dumps({"scale": "desk"}))
    (tmp_path / "ipdlam-figure2" / "figure.png").touch()
    assert main(["reproduce", "ipdlam-figure2", "--scale", "smoke", "--out", str(tmp_path)]) == 2
    assert f"{tmp_path} holds results at desk scale; name another folder by --out" in capsys.readouterr().err
