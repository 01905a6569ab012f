"""A trained network in a folder: its description as JSON, its weights as safetensors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from altmin.errors import DataError
from altmin.files import replacing, write_json, write_tensors
from altmin.study.networks import NETWORKS, ModelSource, defaults

DESCRIPTION, WEIGHTS, SOURCE = "model.json", "model.safetensors", "model.py"
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which data a network was trained on: what `altmin.data.load` needs to draw the same samples again.

    Attributes:
        name: The data set's name.
        seed: The seed of its splits.
        train_samples: How many training samples were used; `None` for all.
        table: The options of ``csv``: ``train``, ``test``, ``target`` and ``task``.
        center: Whether the training samples' mean was subtracted.
    """

    name: str = "digits"
    seed: int = 0
    train_samples: int | None = None
    table: dict[str, str] | None = None
    center: bool = False


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """Everything but the weights: what rebuilds a network, and says what its outputs mean.

    Attributes:
        model: A name in `altmin.study.networks.NETWORKS`, or a function in the user's own file.
        inputs: The shape of a sample, such as ``(64,)`` or ``(1, 28, 28)``; samples come flat.
        outputs: Width of the output.
        options: The model's own arguments, such as ``{"hidden": (128, 128)}``.
        dtype: ``"float32"`` or ``"float64"``.
        loss: What it was trained with.
        classes: The outputs' names; `None` for regression.
        data: What it was trained on.
    """

    model: str | ModelSource = "mlp"
    inputs: tuple[int, ...]
    outputs: int
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    loss: str = "cross_entropy"
    classes: tuple[str, ...] | None = None
    data: Origin = Origin()

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown dtype {self.dtype!r}; known: {', '.join(DTYPES)}")
        if not isinstance(self.model, ModelSource):
            defaults(self.model)
            with torch.device("meta"):  # the numbers are checked, and nothing is made
                NETWORKS[self.model](self.inputs, self.outputs, **self.options)

    @property
    def name(self) -> str:
        """The model's name; of a user's own, the file's and the function's."""
        return self.model.name if isinstance(self.model, ModelSource) else self.model

    def build(self, seed: int = 0) -> nn.Sequential:
        """The network with PyTorch's default initialisation; the global generators are left as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            if isinstance(self.model, ModelSource):
                return self.model.build().to(DTYPES[self.dtype])
            return NETWORKS[self.model](self.inputs, self.outputs, **self.options).to(DTYPES[self.dtype])


def save(description: NetworkDescription, model: nn.Sequential, folder: str | Path) -> None:
    """Write `model` and what rebuilds it into `folder`; each file appears whole or not at all."""
    folder, values = Path(folder), asdict(description)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    write_tensors(folder / WEIGHTS, tensors)
    if isinstance(description.model, ModelSource):
        with replacing(folder / SOURCE) as path:
            path.write_text(description.model.text, encoding="utf-8")
        values["model"] = f"{SOURCE}:{description.model.function}"
    write_json(folder / DESCRIPTION, values)


def load(folder: str | Path) -> tuple[nn.Sequential, NetworkDescription]:
    """The network that `save` wrote, in evaluation mode, and its description.

    A network that came from a user's file is made by the copy of that file in `folder`: its code is run.

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


def read_description(folder: Path) -> NetworkDescription:
    """The description in `folder`."""
    path = folder / DESCRIPTION
    if not path.is_file():
        below = sorted(p.parent.name for p in folder.glob(f"*/{DESCRIPTION}"))
        raise DataError(f"{folder} holds no {DESCRIPTION}" + (f"; its folders {', '.join(below)} do" if below else ""))
    try:
        return _description(json.loads(path.read_text()), folder)
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{path}: not a model's description ({error})") from error


def _description(values: dict[str, Any], folder: Path) -> NetworkDescription:
    """`values` as `asdict` gave them, lists for tuples; a user's own model is in `folder`."""
    name, _, function = str(values["model"]).partition(":")
    model = ModelSource.read(folder / SOURCE, function) if function else name
    options = _tuples(dict(values["options"]))
    return NetworkDescription(
        **{**_tuples(values), "model": model, "options": options, "data": Origin(**values["data"])}
    )


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
