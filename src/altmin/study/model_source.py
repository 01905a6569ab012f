"""A network that a function in the user's own file makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from altmin.study.files import read_file, run_file, users_code


@dataclass(frozen=True)
class ModelSource:
    """A user's file whose function, called without arguments, makes a network.

    Attributes:
        path: Where it was read.
        function: The function's name.
        text: What the file held then: a run's network stays the same when the file is edited.
        copy_of: The user's file, where `path` is the copy of it in a run's folder.
    """

    path: str
    function: str
    text: str
    copy_of: str = ""

    @classmethod
    def read(cls, path: str | Path, function: str) -> ModelSource:
        """The file as it is now.

        Raises:
            ValueError: No such file, or no text.
        """
        return cls(str(path), function, read_file(path))

    @property
    def name(self) -> str:
        """The user's file and the function."""
        return f"{Path(self.copy_of or self.path).name}:{self.function}"

    def build(self) -> nn.Sequential:
        """What the function returns; the file's code is run afresh each time.

        Raises:
            ValueError: The code fails, or has no such function.
            TypeError: The function returns no `nn.Sequential`.
        """
        with users_code(self.path, self.function):
            function = vars(run_file(self.path, self.text)).get(self.function)
            model = function() if callable(function) else None
        if not callable(function):
            raise ValueError(f"{self.path} has no function {self.function!r}")
        if not isinstance(model, nn.Sequential):
            raise TypeError(f"{self.path}:{self.function} must return an nn.Sequential, got {type(model).__name__}")
        return model
