"""The program `altmin`: how its waiting threads wait is said before PyTorch is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from altmin_program import SLEEP


def environment(**own: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in SLEEP} | own


@pytest.mark.parametrize(
    ("own", "found"), [({}, SLEEP), ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"})]
)
def test_threads_sleep_unless_the_user_says_how_they_wait(own: dict[str, str], found: dict[str, str]):
    code = f"""
import json, os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and not seen:
            seen.append({{name: os.environ[name] for name in {list(SLEEP)!r} if name in os.environ}})
seen = []
sys.meta_path.insert(0, Look())
from altmin_program import main
sys.argv = ["altmin", "methods"]
assert main() == 0
print(json.dumps(seen[0]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment(**own)
    )
    assert json.loads(done.stdout.splitlines()[-1]) == found


def test_the_installed_program_is_this_one():
    (script,) = entry_points(group="console_scripts", name="altmin")
    assert script.value == "altmin_program:main"
