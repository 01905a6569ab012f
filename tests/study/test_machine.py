"""What is left of memory: within the system's, the control groups' and the shell's limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from altmin.study.machine import free_memory, in_units


def written(root: Path, files: dict[str, object]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    return root


SYSTEM = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    5000 kB"}
V2 = "sys/fs/cgroup/a/b/memory"
V1 = "sys/fs/cgroup/memory/memory"


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),
        (SYSTEM, 5_120_000),
        (SYSTEM | {"proc/self/cgroup": "0::/a/b", f"{V2}.max": "max", f"{V2}.current": 5}, 5_120_000),
        (SYSTEM | {"proc/self/cgroup": "0::/a/b", f"{V2}.max": 1000, f"{V2}.current": 600}, 400),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                f"{V2}.max": 1000,
                f"{V2}.current": 600,
                f"{V2}.stat": "anon 500\ninactive_file 100",
            },
            500,
        ),
        (
            SYSTEM
            | {"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/memory.max": 70, "sys/fs/cgroup/a/memory.current": 80},
            0,
        ),
        (
            SYSTEM
            | {"proc/self/cgroup": "5:cpu:/\n4:memory:/gone", f"{V1}.limit_in_bytes": 900, f"{V1}.usage_in_bytes": 200},
            700,
        ),
    ],
)
def test_the_tightest_limit_counts(files: dict[str, object], free: int | None, tmp_path: Path):
    assert free_memory(root=written(tmp_path, files)) == free


def test_this_machine_has_memory():
    assert (free_memory() or 0) > 10**7


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1.34e9, "1.3 GB"), (21e9, "21 GB"), (4e23, "400000 EB")],
)
def test_sizes_in_words(size: float, text: str):
    assert in_units(size) == text
