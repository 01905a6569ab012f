"""Imports go one way: problem -> state -> solvers -> methods -> fit -> facades."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import altmin

ROOT = Path(altmin.__file__).parent
# From the bottom up; a module imports only from its own group or from groups below it.
GROUPS = [
    ["errors", "checks", "schedules", "draws", "audit", "precision"],
    ["maps", "regularizers", "solvers.scalar", "solvers.softmax"],
    ["activations", "losses"],
    ["problem"],
    ["state"],
    ["objective", "solvers"],
    ["cost"],
    ["methods"],
    ["diagnostics", "modules", "reading", "translation", "history", "inputs", "registry", "fit", "streams"],
    ["data", "networks", "support", "checkpoint", "runs", "plots"],
    ["bench"],
    ["cli", "__main__"],
]
RANK = {name: rank for rank, group in enumerate(GROUPS) for name in group}
FILES = [f for f in sorted(ROOT.rglob("*.py")) if f != ROOT / "__init__.py"]


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(p for p in parts if p != "__init__")


def rank(module: str) -> int:
    """The group of a module, or of the package that holds it."""
    return RANK[module] if module in RANK else RANK[module.split(".")[0]]


def imports(file: Path) -> list[str]:
    """The modules of altmin that a file imports when it is loaded."""
    found = []
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "altmin":
            inner = (node.module or "").removeprefix("altmin").removeprefix(".")
            found += [inner] if inner else [alias.name for alias in node.names if alias.name != "__version__"]
    return found


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_go_one_way(file: Path):
    own = name_of(file)
    for other in imports(file):
        assert rank(other) <= rank(own), f"{own} must not import {other}"


def test_every_module_has_a_place():
    assert all(name_of(f) in RANK or name_of(f).split(".")[0] in RANK for f in FILES)


def test_data_needs_nothing_but_errors():
    for file in (ROOT / "data").glob("*.py"):
        assert all(m == "errors" or m.startswith("data") for m in imports(file))
