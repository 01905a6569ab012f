"""Freed memory stays with the process while it trains, so that temporaries do not fault their pages in again.

Training makes and frees arrays of megabytes thousands of times. The GNU C library gives such memory back to the system
at once, and every page of the next array is then cleared by the kernel at its first touch, which may take as long as
what is computed. Its thresholds rise by themselves with what a program frees, up to a limit; here they begin there.
"""

from __future__ import annotations

import ctypes
import os
import platform
from functools import cache

MMAP_THRESHOLD = -3, 32 * 2**20  # parameter and value of mallopt: the largest that the library's own adjusting reaches
TRIM_THRESHOLD = -1, 256 * 2**20  # enough for all that a stretch of samples, or a mini-batch, makes
CHOSEN = "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES", "LD_PRELOAD"


@cache
def keep_freed_memory() -> bool:
    """Have the GNU C library keep up to 64 MB of freed memory, for the rest of the process; whether that was done.

    Nothing is changed with other C libraries, nor where the environment chooses thresholds or another allocator.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in CHOSEN):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(*setting) == 1 for setting in (MMAP_THRESHOLD, TRIM_THRESHOLD))
