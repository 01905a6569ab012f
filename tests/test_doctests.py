"""The examples of all docstrings run and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import altmin

MODULES = sorted(m.name for m in pkgutil.walk_packages(altmin.__path__, "altmin.") if not m.name.endswith("__main__"))
PUBLIC = sorted(name for name in altmin.__all__ if callable(getattr(altmin, name)))


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
def test_examples_of(name: str):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_an_example(name: str):
    assert ">>> " in (inspect.getdoc(getattr(altmin, name)) or ""), f"altmin.{name} has no example"
