"""The program `altmin`: says how waiting threads are to wait, which has to be said before PyTorch is imported."""

from __future__ import annotations

import os

# Training makes thousands of short parallel regions. OpenMP's threads spin at the end of each until the last one is
# done, and where another process has its core that one comes late: all of them together then run many times slower than
# one thread alone. Sleeping threads cost some microseconds a region.
SLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}


def main() -> int:
    """Run the command line; what the user has set of these variables stays."""
    if not set(SLEEP) & set(os.environ):
        os.environ.update(SLEEP)
    from altmin.cli import main as run

    return run()
