"""The code in the README and the docs runs, and their method names are the registry's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import altmin
from altmin.methods.registry import METHODS
from methods.table import digits, network

ROOT = Path(__file__).resolve().parents[1]


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), flags=re.S)


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
def test_the_readmes_example_reaches_a_good_accuracy(capsys: pytest.CaptureFixture[str]):
    (example,) = blocks("README.md")
    exec(example, {})
    accuracy = float(capsys.readouterr().out.split()[-1])
    assert accuracy > 0.9


@pytest.mark.filterwarnings("ignore::altmin.PenaltyWarning")
def test_the_loop_of_the_architecture_page_lowers_the_objective(capsys: pytest.CaptureFixture[str]):
    (loop,) = blocks("docs/architecture.md")
    x, y = digits(200)
    exec(loop, {"altmin": altmin, "model": network(12), "x": x, "y": y})
    objectives = [float(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert len(objectives) == 100
    assert objectives[-1] < objectives[0]


def test_the_method_of_ones_own_trains():
    (source,) = blocks("docs/extending.md")
    scope: dict = {}
    exec(source.replace("from dataclasses", "from __future__ import annotations\nfrom dataclasses", 1), scope)
    losses = altmin.fit(network(30), scope["LastLayer"](lr=2.0), digits(300), epochs=100)["objective"]
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(ValueError, match="`lr` must be > 0"):
        scope["LastLayer"](lr=0.0)


def test_the_readmes_table_names_every_method():
    named = set(re.findall(r"^\| `([a-z-]+)`", (ROOT / "README.md").read_text(), flags=re.M))
    own = {name for name, entry in METHODS.items() if entry.paper != "torch.optim"}
    assert own <= named
