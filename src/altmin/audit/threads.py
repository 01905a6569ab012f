"""The audits that hold on a thread: those entered on it, and those that it was started in."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any


class Scope:
    """An audit from its entering to its leaving, as the threads know it that are started meanwhile."""

    def __init__(self) -> None:
        self.active = True


class Here(threading.local):
    """The audits that were entered on this thread, and those that it was started in."""

    def __init__(self) -> None:
        self.own: list[Scope] = []
        self.inherited: list[Scope] = []

    @property
    def audited(self) -> bool:
        """Whether one of them is active."""
        return bool(self.own) or any(scope.active for scope in self.inherited)


here = Here()


def inherited(original: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in the place of `threading.Thread.start`: the thread is audited while the audits around it are."""

    @wraps(original)
    def start(thread: threading.Thread) -> None:
        if here.audited:
            scopes, run = [*here.own, *here.inherited], thread.run

            def audited() -> None:
                here.inherited = scopes
                run()

            thread.run = audited
        original(thread)

    return start
