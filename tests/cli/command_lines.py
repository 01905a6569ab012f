"""Strategies of command lines, sound and unsound, on data so small that each takes a few hundredths of a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from altmin.losses import LOSSES
from altmin.methods.registry import METHODS
from altmin.study.activation_names import ACTIVATION_NAMES
from altmin.study.networks import NETWORKS

TINY = ["--train-samples", "60", "--threads", "1", "--seeds", "1", "--out", "out"]
NUMBERS = ["1", "0", "-1", "2", "0.5", "1e-3", "1e300", "1e999", "-0.0", "nan", "inf", "null", "x", "", "1_0", "٣"]
ODD = [
    "",
    " ",
    "-",
    "--",
    "null",
    "true",
    "[1]",
    "{a: 1}",
    "*a",
    "&a",
    "!!python/none",
    "\u2603",
    "a=b",
    "%s",
    "`loss`",
]


def one_of(sound: Sequence[str], unsound: Sequence[str]) -> st.SearchStrategy[str]:
    """Mostly a sound value."""
    return st.one_of(st.sampled_from(sound), st.sampled_from(sound), st.sampled_from([*unsound, *ODD]))


WHOLE = ["0", "-1", "1.5", "1e3", str(2**31), str(2**64), "9" * 400]
VALUES: dict[str, st.SearchStrategy[str]] = {
    "--epochs": one_of(["1", "2"], ["0", "-1", "1.5", str(2**64), "9" * 400]),
    "--batch-size": one_of(["1", "7", "59", "60"], WHOLE),
    "--seed": one_of(["0", "1", str(2**32 - 1)], ["-1", str(2**32), str(2**64)]),
    "--hidden": one_of(["1", "4"], ["0", "-4", "x", str(10**9), str(2**64)]),
    "--depth": one_of(["2", "4"], ["0", "1", str(10**9)]),
    "--step-width": one_of(["16", "64"], ["3", "65", str(10**9)]),
    "--model": one_of([*NETWORKS], ["mpl", "nowhere.py:net", ".py:", "mlp:mlp"]),
    "--activation": one_of([*ACTIVATION_NAMES], ["rellu"]),
    "--loss": one_of([*LOSSES, "mse", "huber:0.5"], ["huber:-1", "sqared", "squared:1:2", "huber:nan"]),
    "--regularizer": one_of(["none", "l1:0.01", "l2:0.01"], ["l2:-1", "l3:1", "l1", "l2:nan", "l2:1e300"]),
    "--device": one_of(["cpu", "auto"], ["cuda:99", "tpu", "meta", "mps"]),
    "--precision": one_of(["float32", "float64", "bf16", "null"], ["fp8"]),
    "--dtype": one_of(["float32", "float64"], ["float16"]),
    "--keep": one_of(["best", "last"], ["none"]),
    "--data": one_of(["digits"], ["digts", "csv", "mnist:1"]),
    "--train-samples": one_of(["60", "30", "1", "2"], ["0", "5000", *WHOLE]),
    "--csv.train": one_of(["nowhere.csv"], ["."]),
    "--csv.target": one_of(["label"], ["2020"]),
    "--task": one_of(["classification"], ["clasification"]),
    "--seeds": one_of(["1", "2"], ["0", "-1", "1.5", "9" * 400]),
    "--then": one_of(["bcd", "sgd", "taylor"], ["adm", "x=bcd"]),
    "--preset": one_of(["none", "ipdlam"], ["ipdlam-tabel1", "ipdlam-table1/x"]),
    "--threads": one_of(["1"], ["0", "100000"]),
    "--config": one_of(["nowhere.yaml"], ["."]),
}
FLAGS = ["--batch-norm", "--center", "--audit", "--quiet"]
METHOD = one_of([*METHODS], ["adm", "dladm", "m.py:Method", "--quiet", "a=bcd", "out=bcd", "=bcd"])


@st.composite
def options(draw: Callable[..., Any], prefixes: Sequence[str] = ("",)) -> list[str]:
    """A few options, of which some are misspelt."""
    names = draw(st.lists(st.sampled_from([*VALUES, *FLAGS]), max_size=3, unique=True))
    words = [[name] if name in FLAGS else [name, draw(VALUES[name])] for name in names]
    for method in draw(st.lists(st.sampled_from(prefixes), max_size=2)):
        own = numbers(METHODS[method.strip("-.")].method) if method.strip("-.") in METHODS else ["rho"]
        words.append([f"{method}{draw(st.sampled_from(own or ['rho']))}", draw(st.sampled_from(NUMBERS))])
    return [draw(misspelt(word)) if i == 0 else word for word_list in words for i, word in enumerate(word_list)]


def misspelt(word: str) -> st.SearchStrategy[str]:
    """Mostly the word itself."""
    wrong = [word[:-1], word.replace("-", "_"), word + "s", word.replace(".", ""), word.upper()]
    return st.sampled_from([*[word] * 12, *wrong])


def numbers(method: Any, prefix: str = "") -> list[str]:
    """The names of a method's numbers, nested ones dotted."""
    found = [(f.name, getattr(method, f.name)) for f in fields(method)]
    inner = [name for own, value in found if is_dataclass(value) for name in numbers(value, f"{prefix}{own}.")]
    return [*(prefix + name.replace("_", "-") for name, value in found if not is_dataclass(value)), *inner]


@st.composite
def training(draw: Callable[..., Any]) -> list[str]:
    """``altmin train``."""
    method = draw(METHOD)
    prefix = "--" if method in METHODS else "--x"
    own = [f"--{name}" for name in numbers(METHODS[method].method)] if method in METHODS else []
    given = draw(st.lists(st.sampled_from(own), max_size=2, unique=True)) if own else [prefix]
    pairs = [word for name in given for word in (name, draw(st.sampled_from(NUMBERS)))]
    return ["train", method, *TINY, "--epochs", "1", *pairs, *draw(options())]


@st.composite
def comparing(draw: Callable[..., Any]) -> list[str]:
    """``altmin compare``, of few methods."""
    methods = draw(st.lists(METHOD, min_size=1, max_size=2))
    prefixes = [f"--{name}." for name in (*methods, "sgd") if name in METHODS]
    return ["compare", *methods, *TINY, "--hidden", "4", "--epochs", "1", *draw(options(prefixes))]


@st.composite
def other(draw: Callable[..., Any]) -> list[str]:
    """Other commands, and what is none; ``bench`` only with what ends it at once."""
    command = draw(
        one_of(["predict", "methods", "datasets", "exhibits"], ["trian", "--version", "-x", "adam", "bench"])
    )
    words = draw(st.lists(one_of(["nowhere", "--quiet"], ["--devic", "--out", "--seed", "-1"]), max_size=3))
    return [command, *(["--rounds", "0"] if command == "bench" else []), *words]


KEYS = ["hidden", "epochs", "batch_size", "batch-size", "seed", "loss", "csv", "rule", "codes", "lr", "rho", "quiet",
        "out", "method", "methods", "import", "data", "a", "", "1", "config"]  # fmt: skip
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 8), st.floats(width=16), st.sampled_from([*NUMBERS, *ODD, "digits"])
)
YAML = st.one_of(
    st.dictionaries(
        st.sampled_from(KEYS),
        st.recursive(
            SCALARS,
            lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(st.sampled_from(KEYS), v, max_size=2)),
            max_leaves=4,
        ),
        max_size=3,
    ).map(lambda value: yaml.safe_dump(value, allow_unicode=True)),
    st.text(max_size=40),
    st.sampled_from(
        ["a: &a [1]\nb: *a", "? [1]\n: 2", "a: 1\na: 2", "--- 1\n--- 2", "hidden: [", "<<: {a: 1}", "\t- x"]
    ),
)
