"""A trained network in a folder: its description as JSON, its weights as safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from altmin.errors import DataError, nearest
from altmin.modules import ACTIVATIONS

DESCRIPTION, WEIGHTS = "model.json", "model.safetensors"
ACTIVATION_NAMES = {kind.__name__.lower(): kind for kind in ACTIVATIONS}
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which data a network was trained on: what `altmin.data.load` needs to draw the same samples again.

    Attributes:
        name: The data set's name.
        seed: The seed of its splits.
        train_samples: How many training samples were used; `None` for all.
        table: The options of ``csv``: ``train``, ``test``, ``target`` and ``task``.
    """

    name: str = "digits"
    seed: int = 0
    train_samples: int | None = None
    table: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Description:
    """Everything but the weights: what rebuilds a network, and says what its outputs mean.

    Attributes:
        widths: Of the input, the hidden layers and the output.
        activation: A name in `ACTIVATION_NAMES`.
        batch_norm: Whether hidden layers are `Linear` without intercept and `BatchNorm1d`.
        dtype: ``"float32"`` or ``"float64"``.
        loss: What it was trained with.
        classes: The outputs' names; `None` for regression.
        data: What it was trained on.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    batch_norm: bool = False
    dtype: str = "float32"
    loss: str = "cross_entropy"
    classes: tuple[str, ...] | None = None
    data: Origin = Origin()

    def __post_init__(self) -> None:
        for what, name, known in (("activation", self.activation, ACTIVATION_NAMES), ("dtype", self.dtype, DTYPES)):
            if name not in known:
                raise ValueError(f"unknown {what} {name!r}; {nearest(str(name), list(known))}")
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"a network needs widths of 1 or more from input to output, got {self.widths}")

    def build(self, seed: int = 0) -> nn.Sequential:
        """The network with PyTorch's default initialisation; the global generators are left as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return nn.Sequential(*self._modules())

    def _modules(self) -> Iterator[nn.Module]:
        dtype = DTYPES[self.dtype]
        for inputs, outputs in pairwise(self.widths[:-1]):
            yield nn.Linear(inputs, outputs, bias=not self.batch_norm, dtype=dtype)
            if self.batch_norm:
                yield nn.BatchNorm1d(outputs, dtype=dtype)
            yield ACTIVATION_NAMES[self.activation]()
        yield nn.Linear(self.widths[-2], self.widths[-1], dtype=dtype)


def save(description: Description, model: nn.Sequential, folder: str | Path) -> None:
    """Write `model` and what rebuilds it into `folder`; each file appears whole or not at all."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    with replacing(folder / WEIGHTS) as path:
        save_file(tensors, path)
    write_json(folder / DESCRIPTION, asdict(description))


def load(folder: str | Path) -> tuple[nn.Sequential, Description]:
    """The network that `save` wrote, in evaluation mode, and its description.

    Raises:
        DataError: Files that are missing or damaged, or do not belong together.
    """
    folder = Path(folder)
    description = read_description(folder)
    model = description.build()
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise DataError(f"{folder / WEIGHTS}: not the weights that {DESCRIPTION} describes ({error})") from error
    return model.eval(), description


def read_description(folder: Path) -> Description:
    """The description in `folder`."""
    path = folder / DESCRIPTION
    if not path.is_file():
        below = sorted(p.parent.name for p in folder.glob(f"*/{DESCRIPTION}"))
        raise DataError(f"{folder} holds no {DESCRIPTION}" + (f"; its folders {', '.join(below)} do" if below else ""))
    try:
        return _description(json.loads(path.read_text()))
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not a model's description ({error})") from error


def _description(values: dict[str, Any]) -> Description:
    """`values` as `asdict` gave them, lists for tuples."""
    lists = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return Description(**{**values, **lists, "data": Origin(**values["data"])})


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON in one move."""
    with replacing(path) as part:
        part.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which takes the place of `path` if that went well."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
