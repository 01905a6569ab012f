"""Weights that are not those that a description speaks of, by name."""

from __future__ import annotations

import json
import os
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from altmin import DataError
from altmin.study.description import NetworkDescription
from altmin.study.integrity import HEADER
from altmin.study.saved_network import load, save

INF = float("inf")
ENTRY = {"dtype": "F32", "shape": [3, 2], "data_offsets": [0, 24]}


@pytest.fixture
def folder(tmp_path):
    description = NetworkDescription(inputs=(2,), outputs=3, options={"hidden": (), "batch_norm": False})
    save(description, description.build(), tmp_path)
    return tmp_path


CHANGES = {
    "shape": (
        lambda w: w | {"0.weight": torch.zeros(2, 3)},
        r"'0.weight': expected float32 \[3, 2\], found float32 \[2, 3\]",
    ),
    "type": (lambda w: w | {"0.bias": w["0.bias"].double()}, r"'0.bias': expected float32 \[3\], found float64 \[3\]"),
    "half": (lambda w: w | {"0.bias": w["0.bias"].half()}, r"'0.bias': expected float32 \[3\], found float16 \[3\]"),
    "integer": (lambda w: w | {"0.bias": w["0.bias"].int()}, r"'0.bias': expected float32 \[3\], found int32 \[3\]"),
    "missing": (lambda w: {"0.weight": w["0.weight"]}, r"'0.bias': expected float32 \[3\], found none"),
    "extra": (lambda w: w | {"1\n.b": torch.zeros(1)}, r"'1\\n.b': expected no such tensor, found float32 \[1\]"),
    "none": (lambda w: {}, r"'0.weight': expected float32 \[3, 2\], found none"),
    "nan": (
        lambda w: w | {"0.weight": w["0.weight"] * torch.tensor([INF - INF, 1])},
        r"'0.weight': .* nan or inf in 3 of 6",
    ),
    "inf": (lambda w: w | {"0.bias": torch.tensor([0.0, INF, 0.0])}, r"'0.bias': .* nan or inf in 1 of 3"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_tensor_is_named(folder, change):
    changed, message = CHANGES[change]
    path = folder / "model.safetensors"
    save_file(changed(load_file(path)), path)
    with pytest.raises(DataError, match=rf"model\.safetensors: .*{message}"):
        load(folder)


def packed(header: object, content: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + content


DAMAGED = {
    "empty": b"",
    "text": b"not weights at all",
    "long header": packed({}, length=2**63),
    "header beyond the file": packed({}, length=1000),
    "deep": packed(b"[" * 100_000),
    "cut short": packed({"0.weight": ENTRY}, bytes(20)),
    "more than it says": packed({"0.weight": ENTRY}, bytes(28)),
    "overflow": packed({"0.weight": {**ENTRY, "shape": [2**62, 8]}}, bytes(24)),
    "negative": packed({"0.weight": {**ENTRY, "shape": [-3, -2]}}, bytes(24)),
    "outside": packed({"0.weight": {**ENTRY, "data_offsets": [2**40, 2**40 + 24]}}, bytes(24)),
    "overlapping": packed({"0.weight": ENTRY, "0.bias": {**ENTRY, "shape": [6]}}, bytes(24)),
    "unknown type": packed({"0.weight": {**ENTRY, "dtype": "F99"}}, bytes(24)),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_header_that_lies_is_refused(folder, damage):
    (folder / "model.safetensors").write_bytes(DAMAGED[damage])
    with pytest.raises(DataError, match=r"model\.safetensors: not the weights"):
        load(folder)


def test_a_long_header_is_not_read(folder):
    path = folder / "model.safetensors"
    path.write_bytes(packed(b"{}", length=HEADER + 1))
    os.truncate(path, 8 + HEADER + 1)
    with pytest.raises(DataError, match=r"its header would have 4,194,305 bytes"):
        load(folder)


def test_a_widened_description_is_refused_before_anything_is_made(folder):
    values = json.loads((folder / "model.json").read_text())
    values["options"]["hidden"] = [10**9]
    (folder / "model.json").write_text(json.dumps(values | {"tensors": None}))
    with pytest.raises(DataError, match=r"'0.weight': expected float32 \[1000000000, 2\], found float32 \[3, 2\]"):
        load(folder)


@pytest.mark.parametrize("target", ["/dev/zero", "nowhere"])
def test_weights_that_are_no_file(folder, target):
    path = folder / "model.safetensors"
    path.unlink()
    path.symlink_to(target)
    with pytest.raises(DataError, match="there is no such file"):
        load(folder)
