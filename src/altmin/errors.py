"""Errors and warnings that a user may want to catch by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

LEAST_ALIKE = 0.5  # what share of two names, told by difflib, one is suggested for the other by


class DivergenceError(ArithmeticError):
    """Training met nan or inf, made a network worse than none, or a subproblem could not be solved any more.

    Attributes:
        block: What failed, such as ``"W_2"``, ``"objective"`` or ``"train_loss"``.
        value: What was seen there.
        cure: What to try.
        iteration: The iteration that failed, counted from 1; `None` until the training loop adds it.
        history: What had been recorded by then, an `altmin.History`; only `fit` and `fit_stream` set it.
    """

    history: Any

    def __init__(self, block: str, value: object, cure: str, iteration: int | None = None):
        self.block, self.value, self.cure, self.iteration = block, value, cure, iteration
        where = "" if iteration is None else f"iteration {iteration}, "
        super().__init__(f"training diverged: {where}block {block}: {value}. Try: {cure}")

    def at(self, iteration: int, cure: str | None = None) -> DivergenceError:
        """The same error with its iteration, and the cure that the method advises where it has one."""
        return DivergenceError(self.block, self.value, cure or self.cure, iteration)


class InertiaWarning(UserWarning):
    """An inertial factor of 1 or more: the iPDLAM paper's Table 1 shows divergence there."""


class PenaltyWarning(UserWarning):
    """A penalty below the bound of the method's convergence proof (dlADMM: ``rho > 2H``)."""


class LemmaWarning(UserWarning):
    """An inequality of a method's convergence theory that does not hold although what it supposes does."""


class PrecisionWarning(UserWarning):
    """A precision that was asked for cannot be had, or not for a step: float32 is used instead."""


class ConversionWarning(UserWarning):
    """Samples in other numbers than the model's, such as float64 arrays or images of bytes, which are converted."""


class ScaleWarning(UserWarning):
    """Inputs or regression targets far from unit scale, which starts and methods' numbers are made for."""


class CheckpointWarning(UserWarning):
    """A checkpoint that is damaged, so that the one before is used, or that was written in other circumstances."""


class CheckpointError(ValueError):
    """Checkpoints that are damaged, or those of another run than the one that is to go on."""


class LeakWarning(UserWarning):
    """A column of a table tells the target in every row, as a copy of it would."""


class DataError(ValueError):
    """A data set that is missing, cut short, or not what its file name says."""


class UntrustedCodeError(ValueError):
    """A saved network whose own code would have to run, and nobody said that it may."""


class UnknownNameError(ValueError):
    """A name that nothing is registered under, as far as files were imported by now."""


def absent(owner: object, name: str, advice: str = "") -> NotImplementedError:
    """The error of a base class where `owner`, a subclass or an object of one, has no method `name` of its own."""
    kind = owner if isinstance(owner, type) else type(owner)
    text = f"{kind.__name__} has no `{name}`, which its base class leaves to it"
    return NotImplementedError(f"{text}; {advice}" if advice else text)


def nearest(name: str, known: Sequence[str], about: Mapping[str, str] | None = None) -> str:
    """The end of an error message about an unknown name: the nearest known ones, three at most, and the list.

    Args:
        name: What was asked for.
        known: The names there are.
        about: More words that some of them may be asked for by.
    """
    *others, last = [repr(one) for one in _near(name, known, about or {})[:3]] or [""]
    choice = f"{', '.join(others)} or {last}" if others else last
    hint = f"did you mean {choice}? " if choice else ""
    separator = "; " if any("," in one for one in known) else ", "
    return f"{hint}known: {separator.join(known)}"


def _near(name: str, known: Sequence[str], about: Mapping[str, str]) -> list[str]:
    """Of known names those of the same words; else those that have all of them, among others; else the most alike."""
    from difflib import SequenceMatcher

    words = _words(name)
    same = [one for one in known if words and _words(one) == words]
    wider = [one for one in known if words and {*words} <= {*_words(one)}]
    about_it = [one for one in known if words and {*words} <= {*_words(f"{one} {about.get(one, '')}")}]
    alike = {one: SequenceMatcher(None, name.lower(), one.lower()).ratio() for one in known}
    most = max([LEAST_ALIKE, *alike.values()])
    return same or wider or about_it or [one for one in known if alike[one] == most]


def _words(name: str) -> list[str]:
    """Words and numbers, however they are joined, without single letters: ``Table_1a`` has those of ``table1``."""
    return re.findall(r"[^\W\d_]{2,}|\d+(?:\.\d+)?", name.lower())
