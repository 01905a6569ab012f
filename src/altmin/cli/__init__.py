"""The command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from jsonargparse import Namespace

from altmin.audit import BackpropError
from altmin.cli.bench import bench
from altmin.cli.commandline import parse
from altmin.cli.prediction import predict
from altmin.cli.screen import complain, plain_warnings
from altmin.cli.spelling import Spelling
from altmin.cli.tables import datasets, methods
from altmin.cli.training import INTERRUPTED, compare, train
from altmin.errors import UnknownNameError

RUN: dict[str, Callable[[Namespace], int]] = {
    "train": train,
    "compare": compare,
    "bench": bench,
    "predict": predict,
    "methods": methods,
    "datasets": datasets,
}


IMPORT_ADVICE = "; a file of your own that registers it goes to --import"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Args:
        argv: The arguments behind the program's name; by default those of this process.

    Returns:
        The exit code: 0, 1 where training diverged, 2 where something does not fit or an audit ended it, 130 after
        Ctrl-C.
    """
    spelling = Spelling()
    try:
        with plain_warnings(spelling.translate):
            options = parse(sys.argv[1:] if argv is None else argv, spelling)
            return RUN[options.command](options)
    except (argparse.ArgumentError, argparse.ArgumentTypeError) as error:
        complain("error", error)
        return 2
    except (ValueError, TypeError, NotImplementedError, OSError, BackpropError) as error:
        unknown = any(isinstance(e, UnknownNameError) for e in (error, error.__cause__))
        complain("error", f"{spelling.translate(error)}{IMPORT_ADVICE if unknown else ''}")
        return 2
    except KeyboardInterrupt:
        complain("interrupted", "nothing more is written")
        return INTERRUPTED
