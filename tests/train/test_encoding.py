"""Nested values as JSON and tensors: what comes back is what was there."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from altmin.train.encoding import Encoder, decode
from altmin.train.shards import read_shards, write_shards

scalars = st.none() | st.booleans() | st.integers() | st.floats(width=64) | st.text()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["$", "$kind"]) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def returned(value: Any) -> Any:
    encoder = Encoder()
    text = json.dumps(encoder.encode(value, "value"), allow_nan=False)
    return decode(json.loads(text), encoder.tensors)


@settings(max_examples=40, deadline=None)
@given(values)
def test_numbers_and_texts_come_back(value: Any):
    assert repr(returned(value)) == repr(value)


@pytest.mark.parametrize("value", [2**80, 2**53 + 1, -0.0, 5e-324, math.nan, -math.inf, 0.1 + 0.2])
def test_numbers_that_json_is_known_to_lose(value: float):
    assert repr(returned(value)) == repr(value)
    assert type(returned(value)) is type(value)


def test_numbers_of_numpy_become_those_of_python():
    assert returned([np.float32(0.5), np.int64(3), np.bool_(True)]) == [0.5, 3, True]


@pytest.mark.parametrize("value", [object(), {1, 2}, len, np.ones(2)])
def test_what_cannot_be_saved_is_named(value: Any):
    with pytest.raises(TypeError, match=r"`run\.a\.1`: a \w+ cannot be saved"):
        Encoder().encode({"a": [0, value]}, "run")


SPREAD = torch.arange(24.0).view(2, 3, 4)
TENSORS: dict[str, Tensor] = {
    "scalar": torch.tensor(2.0),
    "empty": torch.empty(0, 3),
    "half": torch.ones(3, dtype=torch.bfloat16),
    "bytes": torch.Generator().get_state(),
    "truth": torch.tensor([True, False]),
    "nan": torch.tensor([math.nan, -0.0, math.inf]),
    "large": torch.tensor([2**62 + 1]),
    "transposed": SPREAD[0].T,
    "permuted": SPREAD.permute(2, 0, 1),
    "part": SPREAD[:, 1],
    "spread out": torch.ones(1).expand(5),
}


@pytest.mark.parametrize("largest", [2**30, 20])
@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back_with_their_layout(name: str, largest: int, tmp_path: Path, monkeypatch):
    from altmin.train import shards

    monkeypatch.setattr(shards, "LARGEST", largest)
    t, encoder = TENSORS[name], Encoder()
    encoded = json.loads(json.dumps(encoder.encode([t, {"again": t}], "x")))
    files = write_shards(encoder.tensors, tmp_path)
    one, other = shards.uncut(decode(encoded, read_shards(tmp_path, list(files))), [torch.empty(9)])[0], t
    assert one.dtype == other.dtype
    assert one.shape == other.shape
    assert torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))
    if other.is_contiguous() or name in ("transposed", "permuted"):
        assert one.stride() == other.stride()
    assert len(encoder.tensors) == (1 if t.numel() else 2)


def test_places_that_read_alike_are_two():
    one, two, three = torch.ones(1), torch.zeros(1), torch.full((1,), 2.0)
    value = {"a.b": one, "a": {"b": two}, "a:b": three}
    assert returned(value) == value
