"""Signals that ask for an end: Ctrl-C, and SIGTERM and SIGHUP, which mean the same."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from altmin.core.state import State
from altmin.train.history import History

NAMES = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows lacks the last one
ASKED = "stopping after this iteration; press Ctrl-C again to stop at once, which keeps what there is"
INSISTED = "stopping at once, with the weights of the iteration before"


class Interrupt:
    """While it is entered, a first signal is a wish to stop, which whoever works asks for; nothing is lost by it.

    It is itself the callback that tells `altmin.fit`. Only while a method trains (`training`) does a second one raise.

    Attributes:
        signal: The first signal that came; `None` where none did.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._training = False

    @property
    def asked(self) -> bool:
        """Whether somebody wants the end."""
        return self.signal is not None

    def __call__(self, history: History, state: State) -> bool:
        """Whether training shall stop."""
        return self.asked

    def __enter__(self) -> Interrupt:
        self._caught = _catching(self._on)
        self._caught.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._caught.__exit__(None, None, None)

    @contextmanager
    def training(self) -> Iterator[None]:
        """A context that a second signal ends at once, by a `KeyboardInterrupt`."""
        self._training = True
        try:
            yield
        finally:
            self._training = False

    def _on(self, number: int, frame: FrameType | None) -> None:
        first, self.signal = not self.asked, self.signal or number
        if self._training:
            _say(ASKED if first else INSISTED)
            if not first:
                self._training = False
                raise KeyboardInterrupt(number)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """A context in which SIGTERM and SIGHUP raise `KeyboardInterrupt` with their number, as Ctrl-C does without."""

    def raise_(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    with _catching(raise_):
        yield


def exit_code(number: int) -> int:
    """What a shell expects of a process that a signal ended: 130, 143 or 129."""
    return 128 + number


@contextmanager
def _catching(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals; SIGHUP stays ignored where ``nohup`` says so. Only a process's main thread can do it."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in NAMES if main and hasattr(signal, name)]
    kept = [n for n in numbers if n != signal.SIGINT and signal.getsignal(n) is signal.SIG_IGN]
    before = {n: signal.signal(n, handler) for n in numbers if n not in kept}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)  # None: set by no Python


def _say(text: str) -> None:
    """A line on standard error, by the descriptor: a stream may be in the midst of writing when a signal comes."""
    with suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), f"altmin: interrupted: {text}\n".encode())
