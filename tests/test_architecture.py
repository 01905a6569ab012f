"""Imports go one way, as import-linter sees them (`[tool.importlinter]`), and a class name stands for one thing."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import altmin

SOURCE = Path(altmin.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(SOURCE.rglob("*.py"))


def test_imports_go_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_data_needs_nothing_but_errors():
    for file in (SOURCE / "data").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("altmin"):
                assert (node.module or "").startswith(("altmin.data", "altmin.errors")), file


def test_a_class_name_stands_for_one_thing():
    names = Counter(
        node.name for file in FILES for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)
    )
    both = {"Sign", "Step"}  # PyTorch's kind of module, and the activation that it stands for
    assert {name for name, count in names.items() if count > 1 and not name.startswith("_")} == both


def test_errors_import_nothing():
    assert not any("altmin" in line for line in (SOURCE / "errors.py").read_text().splitlines() if "import" in line)
