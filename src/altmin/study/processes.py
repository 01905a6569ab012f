"""Processes side by side that make trainings, each with one thread."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from altmin.study.files import import_file

TO_ALL = ("SIGINT", "SIGHUP")  # which a terminal sends to all of its processes; Windows lacks the last one
Submit = Callable[..., "Future[Any]"]


class KilledError(Exception):
    """A process that trains was killed; what was finished by then is kept."""

    def __init__(self, what: str) -> None:
        why = "a process that trains was killed, probably by the system for want of memory"
        super().__init__(f"{why}; with fewer --jobs less is needed at once; {what}")


@contextmanager
def processes(count: int, files: Sequence[str] = ()) -> Iterator[Submit]:
    """A context that has processes, and ends them; yields what hands them work, as ``submit(function, ...)``.

    A terminal's signals reach this process alone, which also speaks to users alone.

    Args:
        count: How many.
        files: The user's own, which each of them imports.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(count, context, _begin, (tuple(files),))

    def submit(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with _signals_held_back():
            return pool.submit(function, *arguments)

    try:
        yield submit
    finally:
        for child in multiprocessing.active_children():  # at a regular end they are idle
            child.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """A context in which processes start that hear nothing of a terminal's signals before `_begin` ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {getattr(signal, name) for name in TO_ALL})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(files: Sequence[str]) -> None:
    """A process that trains: one thread, and the user's files.

    It ends at once with the one that started it, which alone speaks to users.
    """
    for name in TO_ALL:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for file in files:
        import_file(file)


def _end_with_parent() -> None:
    """End this process where the one that started it is gone, which may have been killed without a word."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
