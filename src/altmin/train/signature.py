"""Functions that take the options of a dataclass as named arguments: their signature and docstring are made of it."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from torch import nn

from altmin.methods.base import Method
from altmin.train.option_field import described
from altmin.train.options import Options

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
WIDTH = 120


class TakesSamples(Protocol[P, R_co]):
    """A function of a model, a method and samples, whose targets stand beside the inputs or behind them."""

    @overload
    def __call__(
        self, model: nn.Sequential, method: str | Method, data: Any, /, *own: P.args, **options: P.kwargs
    ) -> R_co: ...
    @overload
    def __call__(
        self, model: nn.Sequential, method: str | Method, x: Any, y: Any, /, *own: P.args, **options: P.kwargs
    ) -> R_co: ...


def takes(
    options: Callable[P, Any],
) -> Callable[[Callable[Concatenate[A, B, C, ...], R]], Callable[Concatenate[A, B, C, P], R]]:
    """A decorator of a function with arguments of its own, three of which must be given, and ``**options``.

    The function gets the signature that it would have with the options written out, and their meaning is added to its
    docstring, where the line of ``**options`` stands.

    Args:
        options: The dataclass, a kind of `Options`.
    """

    def decorate(function: Any) -> Any:
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        named = sorted(inspect.signature(options).parameters.values(), key=lambda p: p.default is not p.empty)
        function.__signature__ = inspect.Signature([*own, *named])
        return explained(options)(function) if function.__doc__ else function

    return decorate


def takes_samples(options: Callable[P, Any]) -> Callable[[Callable[..., R]], TakesSamples[P, R]]:
    """The decorator `takes` for functions whose samples are one argument or two; type checkers know of both."""
    return takes(options)  # type: ignore[return-value]


def explained(options: Any) -> Callable[[T], T]:
    """A decorator that writes the meaning of every option where a docstring has a line of ``**options``."""

    def decorate(target: T) -> T:
        lines = (target.__doc__ or "").splitlines()
        (i,) = (i for i, line in enumerate(lines) if line.lstrip().startswith("**options:"))
        indent = lines[i][: len(lines[i]) - len(lines[i].lstrip())]
        target.__doc__ = "\n".join([*lines[:i], *explanations(options, indent), *lines[i + 1 :]])
        return target

    return decorate


def explanations(options: type[Options], indent: str = "") -> Iterator[str]:
    """The lines of a docstring that have each option's name and meaning."""
    for f in options.listed():
        meaning = described(f).replace("none:", "`None`:")
        text = f"{f.name}: {meaning[0].upper()}{meaning[1:]}."
        yield from textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "    ")
