"""What the machine has left: memory of this process or of a device, and space on a disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def free_memory(device: str = "cpu", root: Path = Path("/")) -> int | None:
    """Bytes that can still be had, in RAM within all limits on this process, or on a device; `None`: nobody knows.

    Args:
        device: Where the memory is to be.
        root: The folder that ``proc`` and ``sys`` lie in.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min((*_system(root), *_groups(root), *_limits(root)), default=None)


def _system(root: Path) -> Iterator[int]:
    for line in _lines(root / "proc/meminfo"):
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])


def _groups(root: Path) -> Iterator[int]:
    """What the control groups that this process is in, as in a container, leave of their limits."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _chain(root / "sys/fs/cgroup", path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _chain(root / "sys/fs/cgroup/memory", path, *names)


def _chain(top: Path, path: str, limit: str, usage: str, reclaimable: str) -> Iterator[int]:
    """A group and those above it. What files lie in memory unused is given up at need."""
    own = top / path.strip("/")
    for folder in (own, *own.parents):
        most, used = (_number(folder / name) for name in (limit, usage))
        if most is not None and used is not None:
            stat = dict(line.split() for line in _lines(folder / "memory.stat"))
            yield max(0, most - used + int(stat.get(reclaimable, 0)))
        if folder == top:
            return


def _limits(root: Path) -> Iterator[int]:
    """What ``ulimit -v`` leaves, where there are such limits."""
    try:
        import resource
    except ImportError:  # no Unix
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    for line in _lines(root / "proc/self/statm"):
        if most != resource.RLIM_INFINITY:
            yield max(0, most - int(line.split()[0]) * resource.getpagesize())


def _number(path: Path) -> int | None:
    """The number in a file; `None` where there is no file, or no limit."""
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def most_threads() -> int:
    """The threads that are still of use, and not so many that starting them fails: four for each CPU."""
    return 4 * (os.cpu_count() or 1)


def in_units(size: float) -> str:
    """A number of bytes in words, such as ``1.3 GB``."""
    power = 0
    while size >= 999.5 and power + 1 < len(UNITS):
        size, power = size / 1000, power + 1
    return f"{size:.0f} {UNITS[power]}" if power == 0 or size >= 99.5 else f"{size:.2g} {UNITS[power]}"
