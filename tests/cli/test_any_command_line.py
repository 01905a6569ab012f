"""Whatever a command line or a YAML file says, it ends with results or one line of error, and with a known code."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import example

import altmin.data.catalogue as catalogue
from altmin.cli import main
from any_input import shares
from cli.command_lines import TINY, YAML, comparing, other, training

CODES = (0, 1, 2)  # all was well, training diverged, something does not fit
PYTHON = re.compile(r"Traceback|<class|NoneType|object at 0x|PositiveInt|Namespace\(")


@pytest.fixture(autouse=True, scope="module")
def here(tmp_path_factory: pytest.TempPathFactory):
    """An empty folder to work in, and digits that are read once."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("lines"))
        patch.setattr(catalogue, "load_digits", lru_cache(catalogue.load_digits))
        yield
    torch.set_num_threads(threads)


def check(argv: Sequence[str]) -> None:
    """Run a command line in this process, and look at all that came of it."""
    shutil.rmtree("out", ignore_errors=True)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as end:  # help and version
            code = end.code
    said = err.getvalue()
    assert code in CODES
    assert not PYTHON.search(said), said
    lines = said.splitlines()
    assert all(line.startswith(("altmin: warning: ", "altmin: error: ")) for line in lines), said
    errors = [line for line in lines if line.startswith("altmin: error: ")]
    assert len(errors) == (code != 0), said
    assert all(len(line) < 3000 for line in lines), said
    for results in Path().glob("out/results.json"):
        check_finite(results)


def check_finite(results: Path) -> None:
    """Whatever a run kept is finite."""
    for run in json.loads(results.read_text(), parse_constant=pytest.fail)["runs"]:
        assert all(value is None or math.isfinite(value) for value in run["objective"])
        assert run["status"] in ("ok", "diverged", "stopped")


@example(text="hidden: 4\nrule: {lr: 1e-3}")
def check_yaml(text: str):
    Path("any.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    check(["train", "am-adam", *TINY, "--epochs", "1", "--config", "any.yaml"])


test_train, test_more_trained = shares(130, check, argv=training())
test_compare, test_more_compared = shares(30, check, argv=comparing())
test_other_commands, test_more_other_commands = shares(50, check, argv=other())
test_yaml, test_more_yaml = shares(90, check_yaml, text=YAML)
