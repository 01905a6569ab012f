"""The most memory that a process held, for tests that start one."""

from __future__ import annotations

import os
from pathlib import Path

TESTS = Path(__file__).parents[1]
WITH_TESTS = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}


def peak_resident() -> int:
    """The peak of this process's resident memory in bytes.

    `resource.getrusage` does not tell: a new process inherits its ``ru_maxrss`` from the one that started it, here a
    test's worker, which may have held more.
    """
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])
