"""Whether a class of methods is defined as it is meant, where Python would take another meaning without a word."""

from __future__ import annotations

from dataclasses import Field, fields

from altmin.core.problem import known_features


def check_definition(cls: type, facts: frozenset[str]) -> None:
    """Refuse a class whose numbers or facts are not what they look like.

    Args:
        cls: A class of methods.
        facts: The names of its class attributes.

    Raises:
        TypeError: A number that is no field, a class attribute that is one, or a feature that has another name.
    """
    for name, value in vars(cls).items():
        if isinstance(value, Field):
            raise TypeError(
                f"{cls.__name__}: `{name}` is no field yet; put @dataclass(frozen=True) right above the class"
            )
    for f in fields(cls):
        if f.name in facts:
            raise TypeError(
                f"{cls.__name__}: `{f.name}` is a fact about the class, but its annotation makes it a number; write "
                f"`{f.name} = ...` without one"
            )
    _check_features(cls.__name__, cls.unsupported)  # type: ignore[attr-defined]


def _check_features(cls: str, names: object) -> None:
    """Other packages' features may be registered later, so that only other spellings of the known ones are refused."""
    if isinstance(names, str):
        raise TypeError(
            f"{cls}.unsupported must be a set of names, such as frozenset({{{names!r}}}), got the text {names!r}"
        )
    known = {_spelling(feature): feature for feature in known_features()}
    for name in names:  # type: ignore[attr-defined]
        feature = known.get(_spelling(name), name)
        if feature != name:
            raise TypeError(f"{cls}.unsupported: no layer has the feature {name!r}; did you mean {feature!r}?")


def _spelling(name: str) -> str:
    """A name without capitals, hyphens, and what tells British from American spelling and one from many."""
    return name.casefold().replace("-", " ").replace("_", " ").replace("z", "s").rstrip("s")
