"""Tensors of any size in safetensors files of bounded size, written a part at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from altmin.files import digest

LARGEST = 2**30  # bytes of tensors in a file


def write_shards(tensors: dict[str, Tensor], folder: Path) -> dict[str, str]:
    """Write tensors into files of a folder.

    Args:
        tensors: By name; a file holds those that fit, and a tensor that fits into none is cut.
        folder: Holds no such files yet.

    Returns:
        The SHA-256 of each file by its name.

    Raises:
        OSError: The disk is full or fails.
    """
    digests = {}
    for i, part in enumerate(_parts(tensors)):
        path = folder / f"tensors-{i + 1:05}.safetensors"
        with _system_errors(path):
            save_file({name: _own(t) for name, t in part.items()}, path)
        digests[path.name] = digest(path)
    return digests


def read_shards(folder: Path, names: list[str]) -> dict[str, Tensor]:
    """The tensors in these files; one that was cut is flat, the others stay on the disk until they are read."""
    found = {key: t for name in names for key, t in load_file(folder / name).items()}
    cut = [key.removesuffix(":0") for key in found if key.endswith(":0")]
    whole = {key: t for key, t in found.items() if ":" not in key}
    return whole | {name: torch.cat([found[f"{name}:{i}"] for i in _counted(name, found)]) for name in cut}


def _counted(name: str, found: dict[str, Tensor]) -> Iterator[int]:
    return takewhile(lambda i: f"{name}:{i}" in found, count())


@contextmanager
def _system_errors(path: Path) -> Iterator[None]:
    """Raise what the system said where safetensors put it into words."""
    try:
        yield
    except SafetensorError as error:
        if (found := re.search(r"os error (\d+)", str(error))) is None:
            raise
        number = int(found[1])
        raise OSError(number, os.strerror(number), str(path)) from error


def _parts(tensors: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Groups of tensors that fit into a file each."""
    part: dict[str, Tensor] = {}
    for name, t in _pieces(tensors):
        if part and sum(other.nbytes for other in part.values()) + t.nbytes > LARGEST:
            yield part
            part = {}
        part[name] = t
    if part:
        yield part


def _pieces(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for name, t in tensors.items():
        if t.nbytes <= LARGEST:
            yield name, t
        else:
            pieces = t.contiguous().view(-1).split(LARGEST // t.element_size())
            yield from ((f"{name}:{i}", piece) for i, piece in enumerate(pieces))


def _own(t: Tensor) -> Tensor:
    """The tensor in main memory that it shares with no other, as safetensors asks."""
    t = t.cpu().contiguous()
    return t if t.nbytes == t.untyped_storage().nbytes() else t.clone()
