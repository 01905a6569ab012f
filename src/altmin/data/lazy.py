"""Names that a package has without importing the modules that define them, until somebody asks for one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any


def lazily(package: str, **modules: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package (PEP 562) that imports a name's module when the name is asked for first.

    Args:
        package: The package's name.
        modules: The module that defines it, by name.

    Example:
        >>> lazily("calendar", OrderedDict="collections")("OrderedDict").__name__
        'OrderedDict'
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return get
