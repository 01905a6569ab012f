"""What the shape of the code promises: imports go one way, methods read as their papers, and memories can be saved."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import altmin
from altmin.core.memory import Memory
from altmin.methods.registry import METHODS

SOURCE = Path(altmin.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(SOURCE.rglob("*.py"))


def test_imports_go_one_way(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == 0, capsys.readouterr().out


def test_data_needs_nothing_but_errors():
    for file in (SOURCE / "data").rglob("*.py"):
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


def functions(file: Path) -> Iterator[ast.FunctionDef]:
    yield from (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef))


# Where a sweep comes from, and what scores any weights on any samples, without a method.
TRIPLES = {("sweep/sweep.py", "__init__"), ("core/score.py", "score")}


def test_what_a_method_works_on_is_one_argument():
    """A sweep, not problem, state and batch one by one."""
    found = set()
    for file in FILES:
        for f in functions(file):
            names = {a.arg for a in (*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs)}
            if {"problem", "state", "batch"} <= names:
                found.add((str(file.relative_to(SOURCE)), f.name))
    assert found == TRIPLES


METHOD_FILES = sorted((SOURCE / "methods").glob("*.py"))


@pytest.mark.parametrize("file", METHOD_FILES, ids=lambda f: f.stem)
def test_a_file_of_a_method_has_at_most_150_lines(file: Path):
    assert len(file.read_text().splitlines()) <= 150


def lines_of_code(f: ast.FunctionDef) -> set[int]:
    """The lines that statements stand on, without docstrings, comments and empty lines."""
    body = f.body[1:] if isinstance(f.body[0], ast.Expr) and isinstance(f.body[0].value, ast.Constant) else f.body
    found = set(range(f.lineno, f.body[0].lineno))
    for statement in body:
        for node in ast.walk(statement):
            if isinstance(node, ast.stmt | ast.expr):
                found |= {node.lineno, node.end_lineno or node.lineno}
    return found


def algorithm(cls: type) -> int:
    """The lines of code of `step` and of what it calls of the class itself."""
    by_name: dict[str, ast.FunctionDef] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, altmin.Method) and base is not altmin.Method:
            tree = ast.parse(inspect.getsource(base))
            by_name |= {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    todo, found = ["step"], {}
    while todo:
        name = todo.pop()
        if name in by_name and name not in found:
            found[name] = len(lines_of_code(by_name[name]))
            calls = (n.attr for n in ast.walk(by_name[name]) if isinstance(n, ast.Attribute))
            todo += [call for call in calls if call in by_name]
    return sum(found.values())


CLASSES = sorted({type(entry.method) for entry in METHODS.values()}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_algorithm_fits_on_a_screen(cls: type):
    """`step` with its updates, 45 lines at most."""
    assert 5 <= algorithm(cls) <= 45


def test_every_method_is_registered():
    public = {getattr(altmin, name) for name in altmin.__all__ if isinstance(getattr(altmin, name), type)}
    methods = {m for m in public if issubclass(m, altmin.Method) and m is not altmin.Method}
    assert methods == set(CLASSES)


def memories(cls: type = Memory) -> Iterator[type]:
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("altmin"):
            yield sub
            yield from memories(sub)


def annotated(cls: type) -> dict[str, Any]:
    return {name: value for base in cls.__mro__ for name, value in vars(base).get("__annotations__", {}).items()}


def test_memories_say_what_they_hold():
    """No `Any`, no functions, no objects: what is remembered can be saved."""
    found = list(memories())
    assert len(found) > 10
    for cls in found:
        for name, annotation in annotated(cls).items():
            words = {node.id for node in ast.walk(ast.parse(str(annotation))) if isinstance(node, ast.Name)}
            assert not words & {"Any", "object", "Callable"}, f"{cls.__name__}.{name}: {annotation}"
