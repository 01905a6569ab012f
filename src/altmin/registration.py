"""What a class stands for, said where it is defined: the PyTorch module that it converts, or the name that it has.

Two decorators: `converts` for maps, operations, activations and normalisations, and `Registry.register` for classes
that strings name, such as losses and regularisers. Whoever imports a class has registered it, in this library or not.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from torch import nn

from altmin.errors import UnknownNameError, nearest

C = TypeVar("C", bound=type)
T = TypeVar("T")
USER_MODULE = "altmin_user_"  # begins the names of the modules that are made of files named on the command line


class Conversion(NamedTuple):
    """How modules of one class become objects of this library.

    Attributes:
        kind: The class whose objects they become, which has a `role`.
        of: Makes the object of a module.
    """

    kind: Any
    of: Callable[[Any], Any]


_conversions: dict[type[nn.Module], Conversion] = {}


def converts(*modules: type[nn.Module], of: Callable[[Any], Any] | None = None) -> Callable[[C], C]:
    """Class decorator: modules of these classes, but not of their subclasses, stand for objects of this class.

    The class derives from `altmin.maps.Map`, `altmin.operations.Operation` or `altmin.activations.Activation`, whose
    classmethod ``of(module)`` makes the object; override it where there is something to read or to refuse.

    Args:
        modules: Classes of modules; a subclass of one may compute anything and is registered by itself.
        of: Makes the object of a module, in place of the class's own ``of``.

    Raises:
        TypeError: The class has no `role`, or no module class is named.
        ValueError: Another class stands for one of these modules.

    Examples:
        >>> from torch import nn
        >>> from altmin.activations import Piece, PiecewiseLinear
        >>> class Halved(nn.Module):
        ...     def forward(self, x):
        ...         return 0.5 * x
        >>> @converts(Halved)
        ... class Half(PiecewiseLinear):
        ...     def __init__(self):
        ...         super().__init__((Piece(-float("inf"), float("inf"), 0.5, 0.0),))
        >>> conversion_of(Halved).of(Halved()).pieces[0].slope
        0.5
    """
    if not modules or not all(isinstance(m, type) and issubclass(m, nn.Module) for m in modules):
        raise TypeError(f"`converts` takes classes of nn.Module, as in @converts(nn.ReLU), got {modules}")

    def decorate(kind: C) -> C:
        if not getattr(kind, "role", None):
            raise TypeError(f"{kind.__name__} must derive from Map, Operation or Activation to stand for a module")
        for module in modules:
            other = _conversions.get(module)
            if other is not None and not _same(other.kind, kind):
                raise ValueError(f"{module.__name__} stands for {other.kind.__name__} already, not for {kind.__name__}")
            _conversions[module] = Conversion(kind, of or kind.of)  # type: ignore[attr-defined]
        return kind

    return decorate


def conversion_of(module: type[nn.Module]) -> Conversion | None:
    """How modules of a class are converted; `None` where that very class is not registered."""
    return _conversions.get(module)


def kinds_registered() -> list[Any]:
    """The classes whose objects modules become, in the order of their registration."""
    return [conversion.kind for conversion in _conversions.values()]


def modules_of(role: str) -> list[type[nn.Module]]:
    """The classes of modules that stand for objects of a role, in the order of their registration.

    Args:
        role: ``"map"``, ``"normalisation"``, ``"operation"`` or ``"activation"``.
    """
    return [module for module, conversion in _conversions.items() if conversion.kind.role == role]


class Registry(Mapping[str, type[T]], Generic[T]):
    """Classes under the names that their decorator gave them: a mapping to read, which grows as classes register.

    Args:
        what: What the classes are, in a word for errors.

    Examples:
        >>> shapes = Registry("shape")
        >>> @shapes.register("square")
        ... class Square:
        ...     def __init__(self, side: float):
        ...         self.side = side
        >>> shapes["square"].name, shapes.forms()
        ('square', ['square:SIDE'])
        >>> shapes.make("square:2").side
        2.0
        >>> shapes.make("sqare:2")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: `shape` must be 'square:SIDE', got 'sqare:2': ...
    """

    def __init__(self, what: str):
        self.what = what
        self._kinds: dict[str, Any] = {}
        self._others: dict[str, str] = {}  # names by names that stand for them

    def register(self, name: str, *others: str) -> Callable[[C], C]:
        """Class decorator: the class goes by `name` from now on, which becomes its attribute ``name``.

        Args:
            name: Without colons.
            others: Names that stand for this one, and that no list has.

        Raises:
            ValueError: Another class has one of the names, or it holds a colon.

        Example:
            >>> from altmin.regularizers import REGULARIZERS, Regularizer, make_regularizer
            >>> @REGULARIZERS.register("half-l2")
            ... class HalfL2(Regularizer):
            ...     def __init__(self, weight: float):
            ...         self.weight = weight
            >>> make_regularizer("half-l2:0.5").weight
            0.5
        """
        for one in (name, *others):
            if not isinstance(one, str) or not one or ":" in one:
                raise ValueError(f"the name of a {self.what} must be text without a colon, got {one!r}")

        def decorate(kind: C) -> C:
            for one in (name, *others):
                other = self._kinds.get(self._others.get(one, one))
                if other is not None and not _same(other, kind):
                    raise ValueError(f"{other.__name__} is the {self.what} {one!r} already, not {kind.__name__}")
            kind.name = name  # type: ignore[attr-defined]
            self._kinds[name] = kind
            self._others |= dict.fromkeys(others, name)
            return kind

        return decorate

    def find(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            ValueError: An unknown name; the message has the nearest known one.
        """
        own = self._others.get(name, name)
        if own not in self._kinds:
            raise UnknownNameError(f"unknown `{self.what}` {name!r}; {nearest(name, list(self._kinds))}")
        return self._kinds[own]

    def make(self, text: str) -> T:
        """An object from ``NAME`` or ``NAME:NUMBER:NUMBER``, the numbers being the arguments of the class.

        An argument whose default is a text takes a text.

        Raises:
            ValueError: An unknown name, too many or too few numbers, or some that the class refuses; the message says
                which, and every form.
        """
        name, *words = text.split(":")
        try:
            kind = self.find(name)
            own = inspect.signature(kind)
            own.bind(*words)
            defaults = [parameter.default for parameter in own.parameters.values()]
            return kind(*(_read(word, default) for word, default in zip(words, defaults, strict=False)))
        except (TypeError, ValueError) as error:
            *forms, last = map(repr, self.forms())
            wanted = f"{', '.join(forms)} or {last}" if forms else last
            raise ValueError(f"`{self.what}` must be {wanted}, got {text!r}: {error}") from error

    def forms(self) -> list[str]:
        """What `make` takes: every name with the names of its numbers, such as ``"l1:WEIGHT"``."""
        arguments = {name: inspect.signature(kind).parameters for name, kind in self._kinds.items()}
        return [":".join([name, *map(str.upper, own)]) for name, own in arguments.items()]

    def __getitem__(self, name: str) -> type[T]:
        return self._kinds[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


def _read(word: str, default: object) -> str | float:
    """A word as the kind of value that its argument has by default: a text, a whole number, or else a number."""
    if isinstance(default, str):
        return word
    return int(word) if isinstance(default, int) and word.lstrip("-").isdigit() else float(word)


def _same(one: type, other: type) -> bool:
    """Whether two classes are one, or one by name and file: a file that is run twice defines its classes anew.

    Files that users name may be copies of each other, as the one that is kept with a network's weights.
    """
    both_named = all(kind.__module__.startswith(USER_MODULE) for kind in (one, other))
    return one.__qualname__ == other.__qualname__ and (both_named or _home(one) == _home(other))


def _home(kind: type) -> str:
    """The file that a class is defined in, which may be run under several names; without one the module's name."""
    path = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return kind.__module__ if path is None else os.path.realpath(path)
