"""The command line."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence

from jsonargparse import Namespace

from altmin.audit import BackpropError
from altmin.cli.bench import bench
from altmin.cli.commandline import parse
from altmin.cli.failures import FAILED, REFUSED, disk_full, out_of_memory, reason, with_notes
from altmin.cli.labels import of_one_command
from altmin.cli.output import unfailing
from altmin.cli.screen import complain, plain_warnings, wording
from altmin.cli.signals import as_ctrl_c, exit_code
from altmin.cli.spelling import Spelling
from altmin.cli.tables import datasets, exhibits, methods
from altmin.cli.training import compare, train
from altmin.errors import UnknownNameError


def predict(options: Namespace) -> int:
    """``altmin predict``, which alone needs pandas."""
    from altmin.cli.prediction import predict as run

    return run(options)


def reproduce(options: Namespace) -> int:
    """``altmin reproduce``, which alone needs the exhibits' settings and pictures."""
    from altmin.cli.reproduction import reproduce as run

    return run(options)


def report(options: Namespace) -> int:
    """``altmin report``, which alone needs charts."""
    from altmin.cli.run_report import report as run

    return run(options)


def export(options: Namespace) -> int:
    """``altmin export``, which alone needs the exporters."""
    from altmin.cli.exporting import export as run

    return run(options)


def tune(options: Namespace) -> int:
    """``altmin tune``, which alone needs searches."""
    from altmin.cli.tune import tune as run

    return run(options)


RUN: dict[str, Callable[[Namespace], int]] = {
    "train": train,
    "compare": compare,
    "tune": tune,
    "bench": bench,
    "predict": predict,
    "reproduce": reproduce,
    "report": report,
    "export": export,
    "methods": methods,
    "datasets": datasets,
    "exhibits": exhibits,
}

IMPORT_ADVICE = "; a file of your own that registers it goes to --import"
MISFITS = (ValueError, TypeError, NotImplementedError, OSError, ModuleNotFoundError, BackpropError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The arguments behind the program's name; by default those of this process.

    Returns:
        The exit code, see `altmin.cli.failures.EXIT_CODES`.
    """
    with unfailing() as output:
        with as_ctrl_c():
            status = _run(sys.argv[1:] if argv is None else argv)
        output.flush()
        if status or output.error is None or isinstance(output.error, BrokenPipeError):  # who closed it wants no more
            return status
        complain("error", f"standard output took no more ({output.error}); all else was done")
        return FAILED


def _run(argv: Sequence[str]) -> int:
    spelling = Spelling()
    try:
        with wording(spelling.translate), plain_warnings(), of_one_command():
            options = parse(argv, spelling)
            return RUN[options.command](options)
    except (argparse.ArgumentError, argparse.ArgumentTypeError) as error:
        complain("error", error)
        return REFUSED
    except KeyboardInterrupt as end:
        complain("interrupted", with_notes("nothing more is written", end))
        return exit_code(*end.args or (signal.SIGINT,))
    except Exception as error:
        if disk_full(error) or out_of_memory(error):
            complain("error", with_notes(reason(error), error))
            return FAILED
        if not isinstance(error, MISFITS):
            raise
        unknown = any(isinstance(e, UnknownNameError) for e in (error, error.__cause__))
        complain("error", with_notes(f"{spelling.translate(error)}{IMPORT_ADVICE if unknown else ''}", error))
        return REFUSED
