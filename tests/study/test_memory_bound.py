"""Hostile files are refused within the memory and the time of an ordinary start."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import pytest

from altmin.study.description import NetworkDescription
from altmin.study.saved_network import save
from study.peak import WITH_TESTS

CODE = """
import sys, time
from altmin.cli import main
from study.peak import peak_resident
start = time.process_time()
code = main(sys.argv[1:])
print(code, peak_resident() // 2**20, time.process_time() - start)
"""


def sparse(folder):
    """A terabyte that takes no room on the disk."""
    os.truncate(folder / "model.json", 2**40)


def images(folder):
    """Pixels of a million images; a gzip stream may have any number of members, so that one of zeros does."""
    (folder / "mnist").mkdir()
    zeros = gzip.compress(bytes(2**20))
    for part in ("train", "t10k"):
        head = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (2**20, 28, 28))
        (folder / "mnist" / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head) + 784 * zeros)
        (folder / "mnist" / f"{part}-labels-idx1-ubyte").write_bytes(b"")


@pytest.mark.slow
@pytest.mark.parametrize("attack", [sparse, images])
def test_an_attack_takes_no_more_than_an_ordinary_start(tmp_path, attack):
    description = NetworkDescription(inputs=(64,), outputs=10)
    save(description, description.build(), tmp_path)
    attack(tmp_path)
    more = ["--data", "mnist", "--data-dir", str(tmp_path)] if attack is images else []
    arguments = [sys.executable, "-c", CODE, "predict", str(tmp_path), *more]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, env=WITH_TESTS)
    code, megabytes, seconds = done.stdout.split()[-3:]
    assert code == "2", done.stdout
    assert done.stderr.startswith("altmin: error: ")
    assert done.stderr.count("\n") == 1
    assert int(megabytes) < 500
    assert float(seconds) < 5
