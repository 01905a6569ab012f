"""Standard output and error that never end the work: their reader may be gone, and their disk full."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from typing import Any, TextIO


class Output:
    """A stream that drops what it cannot write.

    Args:
        stream: What is written to.

    Attributes:
        error: Why something was dropped first; `None` where nothing was.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        """Write `text`, characters that the stream's encoding lacks by their numbers."""
        with self._dropping():
            try:
                self.stream.write(text)
            except UnicodeEncodeError as error:
                self.stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        return len(text)

    def flush(self) -> None:
        """Have all of it written."""
        with self._dropping():
            self.stream.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal that can still be written to."""
        return self.error is None and self.stream.isatty()

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        """After the first failure the descriptor leads nowhere: nothing fails again, when Python ends neither."""
        try:
            yield
        except OSError as error:
            self.error = self.error or error
            with suppress(OSError, ValueError):  # a stream without a descriptor, such as a test's
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, self.stream.fileno())
                os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def unfailing() -> Iterator[Output]:
    """A context in which standard output and error are such streams; the former."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # for a process that began without one of them
        output, errors = Output(sys.stdout or nowhere), Output(sys.stderr or nowhere)
        with _in_place(output, errors):
            yield output


@contextmanager
def _in_place(output: Output, errors: Output) -> Iterator[None]:
    with redirect_stdout(output), redirect_stderr(errors):  # type: ignore[type-var]
        try:
            yield
        finally:
            output.flush()
            errors.flush()
