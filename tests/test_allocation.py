"""Memory that training frees stays with the process, unless the environment says how allocation is to be."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from altmin.allocation import CHOSEN, keep_freed_memory

PAGES = """
import resource, torch, altmin
x, y = torch.rand(8_000, 50), torch.randint(0, 3, (8_000,))
model = torch.nn.Sequential(torch.nn.Linear(50, 200), torch.nn.ReLU(), torch.nn.Linear(200, 3))
trainer = altmin.Trainer(model, "mdlam")
for k in range(6):
    if k == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    trainer.step(x, y)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 3)
"""


def faults(**environment: str) -> float:
    """Pages that a step of mDLAM touches for the first time, by a process with these variables."""
    own = {name: value for name, value in os.environ.items() if name not in CHOSEN} | environment
    made = subprocess.run([sys.executable, "-c", PAGES], env=own, capture_output=True, text=True, check=True)
    return float(made.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such thresholds")
def test_steps_fault_no_pages_in_again():
    assert faults() < 0.2 * faults(MALLOC_TRIM_THRESHOLD_="131072")


@pytest.mark.parametrize("name", CHOSEN)
def test_what_the_environment_chooses_stays(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, "1")
    assert keep_freed_memory.__wrapped__() is False
