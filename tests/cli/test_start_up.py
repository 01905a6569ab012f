"""What a command imports before it is needed: nothing that takes as long as all of altmin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("IPython", "joblib", "matplotlib", "pandas", "scipy", "sklearn", "torch._dynamo", "torch._inductor")
CODE = """
import json, sys
from altmin.cli import main
try:
    code = main(sys.argv[2:])
except SystemExit as end:
    code = end.code or 0
print(json.dumps([code, [name for name in json.loads(sys.argv[1]) if name in sys.modules]]))
"""
DRAWN = "--data synthetic --train-samples 60 --hidden 4 --epochs 1 --quiet"


@pytest.mark.parametrize(
    "line", ["--version", "methods", "train --help", f"train dladmm {DRAWN}", f"compare bcd am-ridge {DRAWN}"]
)
def test_nothing_heavy_is_imported_before_it_is_needed(line: str, tmp_path: Path):
    """Adam is left out: PyTorch's optimisers import its compiler themselves. So is a comparison's picture."""
    heavy = [name for name in HEAVY if name != "matplotlib" or "compare" not in line]
    arguments = [sys.executable, "-c", CODE, json.dumps(heavy), *line.split()]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert json.loads(done.stdout.splitlines()[-1]) == [0, []], done.stderr
