"""What proves that the files of a saved network are whole and belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from altmin.checks import check_types
from altmin.errors import DataError
from altmin.files import digest

HEADER = 2**22  # bytes of a weights' file that name its tensors; a tensor needs about 100
STRETCH = 2**22  # numbers that are looked at at once


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a description says of the files beside it.

    Attributes:
        sha256: The digest of each file, by its name.
        tensors: Type and shape of each tensor of the weights' file by its name, such as ``"float32 [8, 64]"``; `None`
            where only the network's own layers tell.
    """

    sha256: dict[str, str]
    tensors: dict[str, str] | None = None

    def __post_init__(self) -> None:
        check_types(self)

    def check(self, folder: Path, names: tuple[str, ...], description: str, run: str | None) -> None:
        """A `DataError` where one of the files `names` is not the one that `description` was written for."""
        for name in names:
            path, found = folder / name, digest(folder / name)
            if name not in self.sha256:
                raise DataError(
                    f"{path}: {description} does not say which file belongs to it, as the first altmin did not; if you "
                    f'know that it is this one, add "sha256": {{"{name}": "{found}"}} there'
                )
            if found != (expected := self.sha256[name]):
                raise DataError(
                    f"{path}: not the file that {description} describes: expected SHA-256 {expected[:16]}..., found "
                    f"{found[:16]}...; it was damaged or changed, or is another run's: put back that of run {run}"
                )


def kinds(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Type and shape of each tensor in words, such as ``"float32 [8, 64]"``."""
    return {name: f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for name, t in tensors.items()}


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, which come into memory when they are looked at.

    Raises:
        DataError: No such file, or one that is cut short or whose header does not fit it.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        _require_header(path)
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: not the weights of a network, or not whole ({error})"[:500]) from error


def _require_header(path: Path) -> None:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > HEADER:
        raise ValueError(f"its header would have {length:,} bytes, more than any network of {HEADER:,} needs")


def require_tensors(path: Path, found: Mapping[str, str], expected: Mapping[str, str], by: str) -> None:
    """A `DataError` that names the first tensor that `by` describes otherwise than `path` has it."""
    for name in [*expected, *found]:
        wanted, there = expected.get(name, "no such tensor"), found.get(name, "none")
        if name not in found or name not in expected or wanted != there:
            raise DataError(f"{path}: not the weights that {by} describes: {name!r}: expected {wanted}, found {there}")


def require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A `DataError` that names the first tensor with nan or inf."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and (count := sum(map(_infinite, tensor.flatten().split(STRETCH)))):
            raise DataError(
                f"{path}: {name!r}: expected finite numbers, found nan or inf in {count:,} of {tensor.numel():,}"
            )


def _infinite(values: Tensor) -> int:
    return int((~torch.isfinite(values)).sum())
