"""Data frames as samples: the same as arrays, and columns that are no numbers are named."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from altmin import Trainer, fit

N = 40
DATA = pd.DataFrame(np.random.default_rng(0).normal(size=(N, 3)), columns=pd.Index(["age", "height", "weight"]))
X = DATA.to_numpy()
Y = pd.Series((DATA["age"] > 0).astype(int), name="ill")
TOWNS = ["Rome", "Oslo"] * (N // 2)


def network(outputs: int = 2, inputs: int = 3) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return nn.Sequential(nn.Linear(inputs, 4), nn.ReLU(), nn.Linear(4, outputs)).double()


def trained(x: Any, y: Any, outputs: int = 2, **options: Any) -> torch.Tensor:
    model = network(outputs, x.shape[1])
    fit(model, "am-newton", x, y, epochs=2, seed=0, **options)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def polars_of(frame: pd.DataFrame) -> Any:
    polars: Any = pytest.importorskip("polars")
    return polars.DataFrame({str(name): column.tolist() for name, column in frame.items()})


LIBRARIES = pytest.mark.parametrize("made", [lambda frame: frame, polars_of], ids=["pandas", "polars"])


@LIBRARIES
def test_a_frame_is_its_numbers(made: Any):
    expected = trained(X, Y.to_numpy())
    assert torch.equal(trained(made(DATA), Y), expected)
    assert torch.equal(trained(made(DATA), made(Y.to_frame())), expected)
    assert torch.equal(trained(made(DATA), made(Y.to_frame())["ill"]), expected)


@LIBRARIES
def test_columns_may_be_of_several_types(made: Any):
    mixed = DATA.assign(age=[i % 3 for i in range(N)], height=[True, False] * (N // 2))
    expected = np.column_stack([np.arange(N) % 3, np.tile([1.0, 0.0], N // 2), X[:, 2]])
    assert torch.equal(trained(made(mixed), Y), trained(expected, Y.to_numpy()))


def test_pandas_own_types_are_numbers_where_none_is_missing():
    own = DATA.assign(
        age=pd.array([i % 3 for i in range(N)], dtype="Int64"),
        height=pd.array([True, False] * (N // 2), dtype="boolean"),
    )
    expected = np.column_stack([np.arange(N) % 3, np.tile([1.0, 0.0], N // 2), X[:, 2]])
    assert torch.equal(trained(own, Y), trained(expected, Y.to_numpy()))


@LIBRARIES
def test_several_columns_are_several_targets(made: Any):
    y = DATA[["age", "weight"]]
    assert torch.equal(trained(DATA, made(y), loss="squared"), trained(X, y.to_numpy(), loss="squared"))


@LIBRARIES
@pytest.mark.parametrize(
    ("column", "kind", "text"),
    [
        (TOWNS, TypeError, r"`data`: column 'age' of x holds no numbers.*encode or drop it.*altmin.data"),
        ([*X[:-2, 0], None, None], ValueError, r"`data`: column 'age' of x has 2 missing values, the first in row 38"),
        ([float("nan"), *X[1:, 0]], ValueError, r"column 'age' of x has 1 missing values, the first in row 0"),
        (pd.date_range("2026-01-01", periods=N).tolist(), TypeError, r"column 'age' of x holds no numbers"),
    ],
    ids=["texts", "none", "nan", "dates"],
)
def test_columns_without_numbers_are_named(made: Any, column: list[Any], kind: type[Exception], text: str):
    with pytest.raises(kind, match=text):
        trained(made(DATA.assign(age=column)), Y)


@LIBRARIES
def test_labels_that_are_texts_are_listed(made: Any):
    with pytest.raises(TypeError, match=r"y holds the labels 'Oslo', 'Rome'"):
        trained(DATA, made(pd.DataFrame({"town": TOWNS})))


def test_categories_and_missing_integers_are_no_numbers():
    with pytest.raises(TypeError, match=r"column 'age' of x holds no numbers \(dtype category\)"):
        trained(DATA.assign(age=pd.Categorical(TOWNS)), Y)
    with pytest.raises(ValueError, match="column 'age' of x has 1 missing values"):
        trained(DATA.assign(age=pd.array([None, *range(N - 1)], dtype="Int64")), Y)


def test_columns_of_one_name_are_each_taken():
    twice = pd.DataFrame(X, columns=pd.Index(["a", "b", "a"]))
    assert torch.equal(trained(twice, Y), trained(X, Y.to_numpy()))


@LIBRARIES
def test_other_samples_have_the_same_columns_in_their_order(made: Any):
    trained(made(DATA), Y, validation=(made(DATA), Y))
    trained(made(DATA), Y, validation=(X, Y))
    with pytest.raises(ValueError, match="`validation`: x has the columns weight, height, age, what came before"):
        trained(made(DATA), Y, validation=(made(DATA[["weight", "height", "age"]]), Y))


def test_steps_of_a_trainer_take_frames():
    mixed = DATA.assign(height=[True, False] * (N // 2))
    one, other = network(), network()
    for model, x in ((one, mixed), (other, mixed.to_numpy(float))):
        trainer = Trainer(model, "bcd")
        for _ in range(2):
            trainer.step(x, Y)
    assert all(map(torch.equal, one.parameters(), other.parameters()))
