"""The examples in docstrings run, and every class that is made to be used has one."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import altmin
from altmin import activations, losses, maps, operations, regularizers

NAMES = [m.name for m in pkgutil.walk_packages(altmin.__path__, "altmin.") if not m.name.endswith("__main__")]
BASES = (activations.Activation, losses.Loss, maps.Map, operations.Operation, regularizers.Regularizer)
ABSTRACT = {*BASES, maps.LinearMap, operations.LinearOperation}


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
@pytest.mark.usefixtures("registrations")
@pytest.mark.parametrize("name", NAMES)
def test_examples_run(name: str):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("package", [activations, losses, maps, operations, regularizers], ids=lambda p: p.__name__)
def test_every_class_has_an_example(package: object):
    kinds = [kind for kind in vars(package).values() if inspect.isclass(kind) and issubclass(kind, BASES)]
    assert len(kinds) > 3
    for kind in set(kinds) - ABSTRACT:
        assert ">>> " in (kind.__doc__ or ""), kind


@pytest.mark.parametrize("name", altmin.__all__)
def test_every_public_name_has_an_example(name: str):
    thing = getattr(altmin, name)
    if not (inspect.isclass(thing) and issubclass(thing, BaseException)):
        assert ">>> " in (inspect.getdoc(thing) or ""), name
