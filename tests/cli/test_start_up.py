"""What a command imports before it is needed: nothing that takes as long as all of altmin."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "IPython",
    "altmin.exhibits",
    "joblib",
    "matplotlib",
    "optuna",
    "pandas",
    "scipy",
    "sklearn",
    "tensorboard",
    "torch._dynamo",
    "torch._inductor",
)
CODE = """
import json, sys
from altmin.cli import main
found = []
for line in sys.argv[2:]:
    try:
        code = main(line.split())
    except SystemExit as end:
        code = end.code or 0
    found.append([code, [name for name in json.loads(sys.argv[1]) if name in sys.modules]])
print(json.dumps(found))
"""
DRAWN = "--data synthetic --train-samples 60 --hidden 4 --epochs 1 --quiet"


@pytest.mark.slow
def test_nothing_heavy_is_imported_before_it_is_needed(tmp_path: Path):
    """Without Adam, since PyTorch's optimisers import its compiler. A comparison, the last line, draws and ranks."""
    drawn = f"train dladmm {DRAWN} --no-plot", f"compare bcd am-ridge {DRAWN}"
    lines = ["--version", "methods", "train --help", *drawn]
    arguments = [sys.executable, "-c", CODE, json.dumps(HEAVY), *lines]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=tmp_path)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == [*[[0, []]] * 4, [0, ["matplotlib", "scipy"]]], done.stderr
