"""Options in YAML mean what they mean on the command line, and what is wrong with them is said in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from altmin.cli import main
from altmin.cli.commandline import parse
from altmin.cli.spelling import Spelling
from altmin.cli.yaml_file import MOST, read_yaml

pytestmark = pytest.mark.usefixtures("here")


def parsed(text: str, line: str = "train am-adam", behind: str = ""):
    Path("run.yaml").write_text(text)
    return parse([*line.split(), "--config", "run.yaml", *behind.split()], Spelling())


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("hidden: 8", "hidden", [8]),
        ("hidden: [8, 4]", "hidden", [8, 4]),
        ("hidden: []", "hidden", []),
        ("csv: {train: t.csv, target: 2020}", "csv.target", "2020"),
        ("csv: {train: t.csv, target: no}", "csv.target", "no"),
        ("csv.target: 1e3", "csv.target", "1e3"),
        ("csv: {target: 'null'}", "csv.target", "null"),
        ("csv: {target: null}", "csv.target", None),
        ("csv: {target: 2020-01-01}", "csv.target", "2020-01-01"),
        ("rule: {lr: 1e-3}", "rule.lr", 1e-3),
        ("rule: {lr: 1E-3}", "rule.lr", 1e-3),
        ("rule.lr: 5", "rule.lr", 5.0),
        ("seed: 1e3", "seed", 1000),
        ("epochs: 10.0", "epochs", 10),
        ("batch-size: 5", "batch_size", 5),
        ("batch_size: null", "batch_size", None),
        ("batch_norm: yes", "batch_norm", True),
        ("batch_norm: off", "batch_norm", False),
        ("out: 5", "out", "5"),
        ("out: -x", "out", "-x"),
        ("\ufeffepochs: 3", "epochs", 3),
    ],
)
def test_values_are_read_as_on_the_command_line(text: str, name: str, value: object):
    assert parsed(text)[name] == value


def test_the_command_line_comes_first_wherever_it_stands():
    Path("more.yaml").write_text("epochs: 4\nseed: 4")
    options = parsed("epochs: 3\nbatch_size: 3\nhidden: [3]", behind="--batch-size 7 --config more.yaml")
    assert (options.epochs, options.batch_size, options.hidden, options.seed) == (4, 7, [3], 4)


def test_yaml_names_methods():
    assert parsed("method: dladmm\nrho: 0.5", "train").rho == 0.5
    assert parsed("methods: adam", "compare").methods == ["adam"]
    assert parsed("methods: [adam, sgd]\nsgd: {lr: 0.5}", "compare").sgd.lr == 0.5
    assert parsed("methods: [sgd]", "compare adam").methods == ["adam"]
    assert parsed("dir: run", "predict").dir == "run"


WRONG = {
    "hidden: x": "run.yaml: `hidden` must be a whole number from 1 to 1,000,000,000, or several, got 'x'",
    "hidden: [-x]": "run.yaml: `hidden` must be",
    "hidden: [8, null]": "run.yaml: `hidden` is a list with a null in it",
    "hidden: [[8]]": "run.yaml: `hidden` is a list of lists",
    "lr: 1": "run.yaml: unknown key `lr`; did you mean rule.lr or last.lr or codes.lr?",
    "rule: {lrr: 1}": "run.yaml: unknown key `rule.lrr`; did you mean rule.lr?",
    "batchsize: 1": "did you mean batch_size?",
    "batch-size: 0": "run.yaml: `batch-size` must be a whole number from 1",
    "codes: 1": "run.yaml: `codes` holds options; write them below it, as in codes: {",
    "rule: 1": "run.yaml: `rule` must be Adam, SGD, CoActivationMemory or Newton, got '1'",
    "csv: t.csv": "run.yaml: `csv` holds options; write them below it, as in csv: {train: ...}",
    "epochs: {a: 1}": "run.yaml: `epochs` takes one value, not options below it",
    "epochs: [1, 2]": "run.yaml: `epochs` takes one value, got a list of 2",
    "codes: {lr: null}": "run.yaml: `codes.lr` must be a number, got ''",
    "rule: {lr: -1}": "run.yaml: `rule.lr` must be > 0, got -1.0",
    "device: tpu": "run.yaml: `device` must be such as cpu",
    "loss: sqared": "run.yaml: unknown `loss` 'sqared'; did you mean 'squared'?",
    "quiet: maybe": "run.yaml: `quiet` must be true or false, got 'maybe'",
    "epochs: 1\nepochs: 2": "run.yaml, line 2: `epochs` stands there twice",
    "batch_size: 1\nbatch-size: 2": "run.yaml, line 2: `batch-size` stands there twice",
    "rule: {lr: 1, lr: 2}": "`rule.lr` stands there twice",
    "a: &a [1]\nhidden: *a": "run.yaml, line 2: an alias (*)",
    "hidden: !!python/object/apply:os.system [ls]": "python/object",
    "- 1": "run.yaml is no list of options",
    "text": "run.yaml is no list of options",
    "": "run.yaml is empty",
    "# only": "run.yaml is empty",
    "? [a]\n: 1": "run.yaml, line 1: a key must be the name of an option",
    "hidden: [1": "run.yaml, line 1: ",
    "a: 1\n---\nb: 2": "run.yaml, line 2: ",
    "\x00": "run.yaml: special characters are not allowed",
    "[" * 1500: "run.yaml: nested too deeply",
    "config: b.yaml": "run.yaml: unknown key `config`",
    "help: true": "run.yaml: unknown key `help`",
    "import: nowhere.py": "nowhere.py",
    "method: sgd": "run.yaml: `method` is sgd, but the command line has am-adam",
    "#" * MOST + "##": f"more than {MOST:,} bytes",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:20].encode("unicode_escape").decode())
def test_errors_name_file_and_key(text: str, capsys: pytest.CaptureFixture[str]):
    Path("run.yaml").write_text(text)
    assert main(["train", "am-adam", "--config", "run.yaml"]) == 2
    shown = capsys.readouterr()
    assert WRONG[text] in shown.err
    assert shown.err.startswith("altmin: error: ")
    assert (shown.err.count("\n"), shown.out) == (1, "")
    assert "unexpected" not in shown.err
    assert "<class" not in shown.err


@pytest.mark.parametrize(
    ("name", "part"), [(".", "Is a directory"), ("no.yaml", "No such file"), ("latin", "no text in UTF-8")]
)
def test_files_that_cannot_be_read(name: str, part: str):
    Path("latin").write_bytes(b"out: \xe4")
    with pytest.raises(ValueError, match=part):
        read_yaml(name)


def test_a_column_whose_name_is_a_number_is_trained_on(capsys: pytest.CaptureFixture[str]):
    r = np.random.default_rng(0)
    pd.DataFrame({"a": r.normal(size=60), "2020": [0, 1] * 30}).to_csv("t.csv", index=False)
    Path("run.yaml").write_text("method: am-adam\ncsv: {train: t.csv, target: 2020}\nhidden: 4\nepochs: 1\n")
    assert main(["train", "--config", "run.yaml", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
