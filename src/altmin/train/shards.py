"""Tensors of any size in safetensors files of bounded size, written a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from altmin.files import digest, system_errors

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
        with system_errors(path):
            save_file({name: _own(t) for name, t in part.items()}, path)
        digests[path.name] = digest(path)
    return digests


@dataclass(frozen=True)
class Cut:
    """A tensor that lies in pieces in several files, of which none is read before it is asked for.

    Attributes:
        pieces: Its numbers, flat, in their order.
        shape: Of the whole.
    """

    pieces: list[Tensor]
    shape: tuple[int, ...]

    def whole(self) -> Tensor:
        """The tensor, in memory."""
        return torch.cat(self.pieces).view(self.shape)

    def fills(self, t: Tensor) -> bool:
        """Write the numbers into `t`, one piece after the other; whether `t` is such that they could be written."""
        if t.shape != self.shape or t.dtype != self.pieces[0].dtype or not t.is_contiguous():
            return False
        with torch.no_grad():
            for part, piece in zip(t.view(-1).split(len(self.pieces[0])), self.pieces, strict=True):
                part.copy_(piece)
        return True


def read_shards(folder: Path, names: list[str]) -> dict[str, Tensor | list[Tensor]]:
    """The tensors in these files, which stay on the disk until they are read; of those that were cut, the pieces."""
    found = {key: t for name in names for key, t in load_file(folder / name).items()}
    cut = [key.removesuffix(":0") for key in found if key.endswith(":0")]
    pieces = {name: [found[f"{name}:{i}"] for i in _numbers(name, found)] for name in cut}
    return {key: t for key, t in found.items() if ":" not in key} | pieces


def uncut(saved: Any, now: Any = None) -> Any:
    """Nested values with whole tensors in the place of those that were cut.

    Args:
        saved: The values.
        now: The present ones, as `state_dict` gives them: where one fits, the numbers are written into it, so that no
            second one of its size is needed.
    """
    if isinstance(saved, Cut):
        return now if isinstance(now, Tensor) and saved.fills(now) else saved.whole()
    if isinstance(saved, dict):
        return {key: uncut(value, now.get(key) if isinstance(now, dict) else None) for key, value in saved.items()}
    if isinstance(saved, list):
        known = now if isinstance(now, list) and len(now) == len(saved) else [None] * len(saved)
        return [uncut(value, old) for value, old in zip(saved, known, strict=True)]
    return saved


def _numbers(name: str, found: dict[str, Tensor]) -> Iterator[int]:
    return takewhile(lambda i: f"{name}:{i}" in found, count())


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
