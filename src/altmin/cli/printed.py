"""A command's parser, whose printed configuration has all that ``--config`` needs to make the same run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace

from altmin.cli.labels import written


class OptionParser(ArgumentParser):
    """A parser that prints methods as the user named them, which its options alone do not tell.

    Attributes:
        method: That of ``train``, in the registry.
        files: How methods were named that come from files, by their names.
    """

    method: str | None = None
    files: Mapping[str, str] = {}

    def dump(self, namespace: Namespace, *how: Any, **options: Any) -> str:
        """The text that ``--print-config`` prints."""
        named = namespace.clone()
        if "methods" in named:
            named.methods = [written(name, self.files) for name in named.methods]
        first = {} if self.method is None else {"method": written(self.method, self.files)}
        return (yaml.safe_dump(first) if first else "") + super().dump(named, *how, **options)
