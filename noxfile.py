"""The suite with other interpreters and other versions than those of ``constraints.txt``; CI does not run it.

``nox -s newest-3.13`` installs the newest releases that an interpreter can have, ``nox -s oldest-3.11`` the lowest ones
that ``pyproject.toml`` admits. PyTorch comes as pip finds it, which may be a build of several GB.
"""

import tomllib
from pathlib import Path

import nox

INTERPRETERS = ["3.11", "3.12", "3.13", "3.14"]
nox.options.default_venv_backend = "venv"


@nox.session(python=INTERPRETERS)
def newest(session: nox.Session) -> None:
    """The fast tests with the newest versions."""
    session.install(".[test]")
    session.run("pytest", "-m", "not slow", *session.posargs)


@nox.session(python=INTERPRETERS[:1])
def oldest(session: nox.Session) -> None:
    """The fast tests with the lowest versions of what altmin needs to run."""
    session.install(".[test]", *lowest())
    session.run("pytest", "-m", "not slow", *session.posargs)


def lowest() -> list[str]:
    """The runtime dependencies at their lower bounds, ``torch>=2.8`` as ``torch==2.8.*``."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [f"{requirement.replace('>=', '==')}.*" for requirement in project["dependencies"]]
