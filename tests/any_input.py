"""Strategies of what users hand in, sound and unsound, and what may become of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import altmin
from altmin.methods.registry import METHODS

TIMES = float(os.environ.get("ALTMIN_FUZZ", "1"))
FIRST = 1 / 6  # of the examples, in the fast run
# What the docstrings of `fit`, `fit_stream` and `Trainer` say that they raise.
DOCUMENTED = (TypeError, ValueError, altmin.DivergenceError, altmin.BackpropError)


def shares(count: int, check: Callable[..., None], **drawn: st.SearchStrategy[Any]) -> list[Callable[..., None]]:
    """Two tests that `check` so many examples: the first ones of them in the fast run, and all in the slow one.

    They are the same ones in every run; with ``ALTMIN_FUZZ=10`` ten times as many, others every time.
    """
    first, every = (cases(share * count)(given(**drawn)(check)) for share in (FIRST, 1))
    return [first, pytest.mark.slow(every)]


def cases(count: float) -> settings:
    return settings(
        max_examples=max(1, int(TIMES * count)),
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# Networks of three features and two outputs, and others

NETWORKS: dict[str, Callable[[], Any]] = {
    "mlp": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
    "deep": lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3), nn.LeakyReLU(), nn.Linear(3, 2)),
    "linear": lambda: nn.Sequential(nn.Linear(3, 2)),
    "one output": lambda: nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 1)),
    "normed": lambda: nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)),
    "dropout": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2)),
    "float64": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double(),
    "signs": lambda: nn.Sequential(nn.Linear(3, 4), altmin.Sign(), nn.Linear(4, 2)),
    "residual": lambda: nn.Sequential(
        nn.Linear(3, 4), nn.ReLU(), altmin.Residual(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2)
    ),
    "images": lambda: nn.Sequential(nn.Conv2d(1, 2, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2, 2)),
    "recurrent": lambda: nn.Sequential(nn.Unflatten(1, (3, 1)), altmin.Elman(1, 3), nn.Linear(3, 2)),
    "empty": nn.Sequential,
    "no weights": lambda: nn.Sequential(nn.ReLU()),
    "two activations": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Tanh(), nn.Linear(4, 2)),
    "softmax": lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)),
    "other widths": lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2)),
    "unknown": lambda: nn.Sequential(nn.Linear(3, 4), nn.Bilinear(4, 4, 2)),
    "half": lambda: nn.Sequential(nn.Linear(3, 2)).half(),
    "meta": lambda: nn.Sequential(nn.Linear(3, 2, device="meta")),
    "nan": lambda: filled(float("nan")),
    "huge": lambda: filled(1e30),
    "zero": lambda: filled(0.0),
    "frozen": lambda: nn.Sequential(nn.Linear(3, 2)).requires_grad_(False),
    "a list": lambda: [nn.Linear(3, 2)],
    "a text": lambda: "mlp",
}
SOUND = tuple(NETWORKS)[:9]


def filled(value: float) -> nn.Sequential:
    """A network whose parameters all have one value."""
    model = NETWORKS["mlp"]()
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(value)
    return model


def networks() -> st.SearchStrategy[str]:
    """Names of networks, those that can be trained most often."""
    return st.sampled_from(SOUND * 6 + tuple(NETWORKS))


def built(name: str) -> Any:
    """The network of a name, always with the same start."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        return NETWORKS[name]()


# Samples

ODD = st.sampled_from([0.0, 1e-30, 1e30, -1e38, float("nan"), float("inf"), 255.0, 1e4])
DTYPES = ("float32",) * 16 + ("float64", "float16", "int64", "bool", "uint8", "complex64", "object", "str")
TARGETS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "labels": lambda rng, n: rng.integers(0, 2, n),
    "numbers": lambda rng, n: rng.standard_normal((n, 2)).astype("float32"),
    "labels beyond": lambda rng, n: rng.integers(-1, 5, n),
    "one class": lambda rng, n: np.zeros(n, int),
    "a column": lambda rng, n: rng.standard_normal((n, 1)).astype("float32"),
    "large": lambda rng, n: 1e6 * rng.standard_normal((n, 2)).astype("float32"),
    "text": lambda rng, n: rng.choice(["yes", "no"], n),
    "nan": lambda rng, n: np.full((n, 2), np.nan, "float32"),
    "rows of integers": lambda rng, n: rng.integers(0, 2, (n, 2)),
    "float64": lambda rng, n: rng.standard_normal((n, 2)),
    "nothing": lambda rng, n: np.array(None),
}


@st.composite
def inputs(draw: st.DrawFn) -> Any:
    """Arrays of samples, most of them sound."""
    n, p = draw(st.integers(0, 7)), draw(st.sampled_from([3] * 8 + [0, 1, 4]))
    shape = draw(st.sampled_from([(n, p)] * 16 + [(n,), (n, 1, 3, 3), (), (n, p, 1), (p, n)]))
    x = np.random.default_rng(draw(st.integers(0, 9))).standard_normal(shape)
    if x.size and not draw(st.integers(0, 5)):
        x.reshape(-1)[draw(st.integers(0, x.size - 1))] = draw(ODD)
    x = x * draw(st.sampled_from([1.0] * 8 + [1e-20, 1e10, 255.0]))
    dtype = draw(st.sampled_from(DTYPES))
    with np.errstate(all="ignore"):
        x = np.nan_to_num(x).clip(0, 200).astype(dtype) if dtype in ("int64", "uint8") else x.astype(dtype)
    return draw(handed(x))


@st.composite
def targets(draw: st.DrawFn, n: int) -> Any:
    """Labels or numbers, most of them sound."""
    kind = draw(st.sampled_from(("labels",) * 8 + ("numbers",) * 4 + tuple(TARGETS)))
    return draw(handed(TARGETS[kind](np.random.default_rng(draw(st.integers(0, 9))), n)))


@st.composite
def handed(draw: st.DrawFn, a: np.ndarray) -> Any:
    """An array as a user may hold it."""
    a = np.array(a)
    kind = draw(st.sampled_from(["tensor"] * 4 + ["array", "list", "strided", "read-only", "grad"]))
    if kind == "list":
        return a.tolist()
    if kind in ("array", "read-only") or a.dtype.kind in "OUc":
        a.flags.writeable = kind != "read-only"
        return a
    t = torch.as_tensor(a.copy())
    if kind == "strided" and t.ndim:
        t = torch.stack([t, t], -1)[..., 0]
    return t.requires_grad_() if kind == "grad" and t.is_floating_point() else t


@st.composite
def samples(draw: st.DrawFn) -> Any:
    """What may be handed in as data: pairs, as a rule, of as many inputs as targets."""
    x = draw(inputs())
    n = len(x) if isinstance(x, list) or getattr(x, "ndim", 0) else 0
    y = draw(targets(n if draw(st.integers(0, 11)) else draw(st.integers(0, 7))))
    form = draw(st.sampled_from(["pair"] * 16 + ["list", "dataset", "one", "three", "nothing", "iterator", "dict"]))
    if form == "dataset" and isinstance(x, Tensor) and isinstance(y, Tensor) and x.ndim and y.ndim and len(x) == len(y):
        return torch.utils.data.TensorDataset(x, y)
    others = {"list": [x, y], "one": x, "three": (x, y, y), "nothing": None, "iterator": iter([x, y]), "dict": {"x": x}}
    return others.get(form, (x, y))


# Methods and options

WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [0, 1, -1, 2, 3, 0.5, 1e-12, 1e12, -0.5, float("nan"), float("inf"), True, None, "", "rho", "1", [], (1, 2), {}]
)


@st.composite
def methods(draw: st.DrawFn) -> Callable[[], Any]:
    """A function that makes a method of the registry, in which one number may be anything."""
    method = METHODS[draw(st.sampled_from(sorted(METHODS)))].method
    if draw(st.booleans()):
        return lambda: method
    names = [f.name for f in fields(method) if f.init and f.name != "compile"]  # type: ignore[arg-type]
    changes = {draw(st.sampled_from(names)): draw(WRONG)} if names else {}
    return lambda: replace(method, **changes)  # type: ignore[type-var]


def options(epochs: str = "epochs") -> st.SearchStrategy[dict[str, Any]]:
    """Options of training, most of them sound; `epochs` names the one that says how long."""
    seldom: dict[str, st.SearchStrategy[Any]] = {
        "loss": st.sampled_from(["squared"] * 6 + ["hinge", "cross_entropy", "mse", "", None, 3, nn.MSELoss()]),
        "regularizer": st.sampled_from(["l1:0.1", "l2:0.1", "none", "l2", "l2:-1", "l2:nan", "l3:1", "", 1, None]),
        "keep": st.sampled_from(["last", "best", "first", None]),
        "validation": samples(),
        "callbacks": st.sampled_from([[], [lambda history, state: True], [3], "text", None]),
        "device": st.sampled_from(["cpu", "cuda:99", "gpu", "", None, torch.device("cpu"), 7]),
        "precision": st.sampled_from(["float32", "float64", "bf16", "float16", "", None, 32]),
        "audit": st.sampled_from([True, False, None, 1]),
        "generator": st.sampled_from([None, 0, torch.Generator()]),
        "lr": st.just(0.1),
    }
    if epochs == "epochs":
        seldom["batch_size"] = st.sampled_from([1, 2, 3, 4, 100, 0, -1, 1.5, "2", None, True])
    few = st.lists(st.sampled_from(sorted(seldom)), max_size=3, unique=True)
    long = st.sampled_from([1, 2, 3] * 5 + [0, -1, 1.5, "2", None, True])
    chosen = few.flatmap(lambda names: st.fixed_dictionaries({name: seldom[name] for name in names}))
    return st.tuples(long, chosen).map(lambda both: {epochs: both[0], **both[1]})
