"""Which code gave a figure, on which machine."""

from __future__ import annotations

import platform
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import altmin


def provenance(device: str) -> dict[str, Any]:
    """Versions, the commit where there is one, the processor, and the threads that are used."""
    return {
        "altmin": altmin.__version__,
        "commit": commit(),
        "torch": torch.__version__,
        "processor": torch.cuda.get_device_name(device) if device.startswith("cuda") else processor(),
        "threads": torch.get_num_threads(),
    }


@lru_cache
def commit() -> str | None:
    """The commit of the checkout that the package lies in, with ``+`` where files differ from it; `None` elsewhere."""
    folder = Path(altmin.__file__).parent
    if not (folder.parent.parent / ".git").exists():
        return None
    try:
        named, changed = (
            subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "."])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return named + ("+" if changed else "")


@lru_cache
def processor() -> str:
    """The processor's name, and the vector instructions that PyTorch uses."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"
