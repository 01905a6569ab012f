"""Names for methods: the edge where strings become objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import TypeVar

from altmin.audit import Gradients
from altmin.errors import UnknownNameError, nearest
from altmin.methods.base import Method

ENTRY_POINTS = "altmin.methods"  # the group in which other packages name the modules that register theirs


@dataclass(frozen=True)
class Entry:
    """A method under a name.

    Attributes:
        name: As on the command line.
        method: An instance with the numbers that the name stands for.
        title: What it is, in a few words.
        paper: Where it comes from.
        loss: The loss that its paper uses.
        epochs: How many it is trained for where the user names no number; `None` for the usual number of its kind.
        of: The name of the method that this is a label of, a user's own for other numbers of it; empty for a method.
    """

    name: str
    method: Method
    title: str
    paper: str
    loss: str = "cross_entropy"
    epochs: int | None = None
    of: str = ""


METHODS: dict[str, Entry] = {}
"""All methods by name, in the order in which they were registered."""

C = TypeVar("C", bound=Callable[[], Method])


def register_method(
    name: str, method: Method, *, title: str, paper: str, loss: str = "cross_entropy", epochs: int | None = None
) -> None:
    """Put a method under a name, so that the command line, comparisons and tables know it.

    Args:
        name: Lower-case words with hyphens; not yet taken.
        method: An instance, whose numbers become the defaults.
        title: What it is, in a few words.
        paper: Where it comes from.
        loss: The loss that its paper uses.
        epochs: How many it is trained for by default; `None` for the usual number of its kind.

    Raises:
        TypeError: `method` is no instance of a `Method`.
        ValueError: The name is taken by another class.

    Example:
        >>> from altmin import DLADMM
        >>> register_method("dladmm-proved", DLADMM(rho=2.0, nu=1.0), title="dlADMM, rho > 2H", paper="KDD 2019")
        >>> entry("dladmm-proved").loss
        'cross_entropy'
    """
    if not isinstance(method, Method):
        raise TypeError(f"`method` must be an instance of an altmin.Method, got {method!r}")
    before = METHODS.get(name)
    if before is not None and type(before.method).__qualname__ != type(method).__qualname__:
        raise ValueError(f"the method name {name!r} is taken by {type(before.method).__name__}; choose another")
    METHODS[name] = Entry(name, method, title, paper, loss, epochs)


def method(
    name: str, *, title: str, paper: str, loss: str = "cross_entropy", epochs: int | None = None
) -> Callable[[C], C]:
    """A decorator that registers a class of methods, with the defaults of its numbers; see `register_method`.

    Example:
        >>> from dataclasses import dataclass
        >>> @method("still", title="a method that changes nothing", paper="none")
        ... @dataclass(frozen=True)
        ... class Still(Method):
        ...     def step(self, sweep):
        ...         pass
        >>> entry("still").method
        Still()
    """

    def decorate(cls: C) -> C:
        register_method(name, cls(), title=title, paper=paper, loss=loss, epochs=epochs)
        return cls

    return decorate


def entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ValueError: An unknown name; the message has the nearest known one.
    """
    if name not in METHODS:
        load_plugins()
    if name not in METHODS:
        raise UnknownNameError(f"unknown method {name!r}; {nearest(name, list(METHODS))}")
    return METHODS[name]


def make_method(method: str | Method) -> Method:
    """A method from its name, such as ``"am-newton"``; an object is passed through.

    Raises:
        TypeError: Neither text nor a method.
        ValueError: An unknown name; the message has the nearest known one.

    Example:
        >>> from altmin import IPDLAM
        >>> make_method("ipdlam") == IPDLAM()
        True
    """
    if isinstance(method, str):
        return entry(method).method
    if not isinstance(method, Method):
        raise TypeError(f"`method` must be a method such as altmin.DLADMM(), or its name, got {method!r}")
    return method


def listed() -> list[Entry]:
    """All entries as a list for readers: by how far gradients reach, and of those by name."""
    labels = list(Gradients)
    return sorted(METHODS.values(), key=lambda e: (labels.index(e.method.gradients), e.name))


def load_plugins() -> None:
    """Import what other packages name in the entry-point group ``altmin.methods``: each registers its methods."""
    for point in entry_points(group=ENTRY_POINTS):
        point.load()
