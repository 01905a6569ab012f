"""A trained network in a folder: its description as JSON, its weights as safetensors."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any
from uuid import uuid4

import torch
from torch import nn

from altmin.checks import check_types
from altmin.data import TableEncoder
from altmin.errors import DataError, UntrustedCodeError
from altmin.files import digest, read_json, write_json, write_tensors, write_text
from altmin.study.integrity import Seal, kinds, read_weights, require_finite, require_tensors
from altmin.study.networks import NETWORKS, ModelSource, check_options

DESCRIPTION, WEIGHTS, SOURCE, ENCODER = "model.json", "model.safetensors", "model.py", "encoder.json"
MOST = 2**22  # bytes of a description; what has more is none
LARGEST_ENCODER = 2**27  # bytes: names of columns and categories may be long
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Which data a network was trained on: what `altmin.data.load` needs to draw the same samples again.

    Attributes:
        name: The data set's name.
        seed: The seed of its splits.
        train_samples: How many training samples were used; `None` for all.
        table: The options of ``csv``, fields of `altmin.data.TableOptions`.
        center: Whether the training samples' mean was subtracted.
    """

    name: str = "digits"
    seed: int = 0
    train_samples: int | None = None
    table: dict[str, str] | None = None
    center: bool = False

    def __post_init__(self) -> None:
        check_types(self)


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
        run: Which run trained it, a name that no other run has; its results have it too.
        encoder: What turns the rows of a table into its inputs; `None` where it was not trained on a table. It has a
            file of its own.
    """

    model: str | ModelSource = "mlp"
    inputs: tuple[int, ...]
    outputs: int
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    loss: str = "cross_entropy"
    classes: tuple[str, ...] | None = None
    data: Origin = Origin()
    run: str | None = field(default=None, compare=False)
    encoder: TableEncoder | None = None

    def __post_init__(self) -> None:
        check_types(self)
        if self.dtype not in DTYPES:
            raise ValueError(f"unknown dtype {self.dtype!r}; known: {', '.join(DTYPES)}")
        if not self.inputs or min((*self.inputs, self.outputs)) < 1:
            raise ValueError(f"`inputs` and `outputs` must be 1 or more, got {self.inputs} and {self.outputs}")
        names = len(self.classes or ())
        if self.classes is not None and names != max(self.outputs, 2):  # one output tells two classes apart
            raise ValueError(
                f"`classes` must name {max(self.outputs, 2)} classes for {self.outputs} outputs, got {names}"
            )
        if sum(8 + 6 * len(name) for name in self.classes or ()) > MOST:
            raise ValueError(f"the names of {names:,} classes do not fit into the {MOST:,} bytes of {DESCRIPTION}")
        self.tensors()  # the numbers are checked, and nothing is made

    def tensors(self) -> dict[str, str] | None:
        """Type and shape of each of the network's tensors; `None` where only a user's code can tell."""
        if isinstance(self.model, ModelSource):
            return None
        check_options(self.model, self.options)
        with torch.device("meta"):
            try:
                return kinds(self._made().state_dict())
            except (RuntimeError, OverflowError, TypeError) as error:
                reason = str(error).partition("\n")[0]
                raise ValueError(f"{self.model} cannot be made with these numbers ({reason})") from error

    @property
    def name(self) -> str:
        """The model's name; of a user's own, the file's and the function's."""
        return self.model.name if isinstance(self.model, ModelSource) else self.model

    def build(self, seed: int = 0) -> nn.Sequential:
        """The network with PyTorch's default initialisation; the global generators are left as they were."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self._made()

    def _made(self) -> nn.Sequential:
        if isinstance(self.model, ModelSource):
            return self.model.build().to(DTYPES[self.dtype])
        return NETWORKS[self.model](self.inputs, self.outputs, **self.options).to(DTYPES[self.dtype])


def save(description: NetworkDescription, model: nn.Sequential, folder: str | Path) -> None:
    """Write `model` and what rebuilds it into `folder`; each file appears whole or not at all.

    The description comes last, with the digests of the others: where the process ends between the files, `load` sees
    that they do not belong together.
    """
    folder, values = Path(folder), asdict(replace(description, encoder=None))
    del values["encoder"]
    folder.mkdir(parents=True, exist_ok=True)
    if description.encoder is not None:
        write_json(folder / ENCODER, description.encoder.to_json())
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}
    write_tensors(folder / WEIGHTS, tensors)
    if isinstance(description.model, ModelSource):
        write_text(folder / SOURCE, description.model.text)
        values["model"] = f"{SOURCE}:{description.model.function}"
    values["run"] = description.run or new_run()
    seal = Seal(sha256={name: digest(folder / name) for name in _files(description)}, tensors=kinds(tensors))
    write_json(folder / DESCRIPTION, values | asdict(seal))


def new_run() -> str:
    """A name that no other run has."""
    return uuid4().hex


def load(folder: str | Path, trust_code: bool = False) -> tuple[nn.Sequential, NetworkDescription]:
    """The network that `save` wrote, in evaluation mode, and its description.

    Args:
        folder: The folder.
        trust_code: A network that came from a user's file is made by the copy of that file in `folder`: whether its
            code may run, which can do all that you can. It runs only after the weights proved right.

    Raises:
        DataError: Files that are missing or damaged, or do not belong together.
        UntrustedCodeError: A network of a user's file, without `trust_code`.
    """
    folder = Path(folder)
    description, seal = _described(folder)
    if ENCODER in seal.sha256 and description.encoder is None:
        raise DataError(f"{folder / ENCODER}: there is no such file, and {DESCRIPTION} needs it")
    path = folder / WEIGHTS
    weights = read_weights(path)
    for expected in (seal.tensors, description.tensors()):
        if expected is not None:
            require_tensors(path, kinds(weights), expected, DESCRIPTION)
    require_finite(path, weights)
    seal.check(folder, _files(description), DESCRIPTION, description.run)
    _require_trust(folder, description, trust_code)
    model = description.build()
    require_tensors(path, kinds(weights), kinds(model.state_dict()), description.name)
    model.load_state_dict(weights)
    return model.eval(), description


def _files(description: NetworkDescription) -> tuple[str, ...]:
    """The files that go with a description."""
    source = (SOURCE,) if isinstance(description.model, ModelSource) else ()
    return (WEIGHTS, *source, *(() if description.encoder is None else (ENCODER,)))


def _require_trust(folder: Path, description: NetworkDescription, trust_code: bool) -> None:
    if isinstance(description.model, ModelSource) and not trust_code:
        raise UntrustedCodeError(
            f"{folder / SOURCE}: this network is made by {description.model.function}() in that file, whose code would "
            "run now; if you trust it, allow it by --trust-model-code (in Python trust_code=True)"
        )


def _described(folder: Path) -> tuple[NetworkDescription, Seal]:
    """The description in `folder`, and what it says of the other files."""
    path = folder / DESCRIPTION
    if not path.is_file():
        below = sorted(p.parent.name for p in folder.glob(f"*/{DESCRIPTION}"))
        raise DataError(f"{folder} holds no {DESCRIPTION}" + (f"; its folders {', '.join(below)} do" if below else ""))
    try:
        values = dict(read_json(path, MOST))
        seal = Seal(sha256=values.pop("sha256", {}), tensors=values.pop("tensors", None))
        return _description(values, folder), seal
    except DataError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path}: not a model's description ({error})"[:500]) from error


def _description(values: dict[str, Any], folder: Path) -> NetworkDescription:
    """`values` as `asdict` gave them, lists for tuples; a user's own model is in `folder`."""
    name, _, function = str(values["model"]).partition(":")
    model = ModelSource.read(folder / SOURCE, function) if function else name
    options = _tuples(dict(values["options"]))
    made = NetworkDescription(
        **{**_tuples(values), "model": model, "options": options, "data": Origin(**values["data"])}
    )
    return replace(made, encoder=_encoder(folder, made) if made.data.name == "csv" else None)


def _encoder(folder: Path, network: NetworkDescription) -> TableEncoder | None:
    """What the rows of a table are encoded by; `None` in folders of versions that did not keep it.

    Raises:
        DataError: A file that is damaged, or does not belong to the network.
    """
    path = folder / ENCODER
    if not path.is_file():
        return None
    try:
        encoder = TableEncoder.from_json(read_json(path, LARGEST_ENCODER))
    except ValueError as error:
        raise DataError(f"{path}: not the encoder of a table ({error})") from error
    if (encoder.width, getattr(encoder.target, "classes", None)) != (prod(network.inputs), network.classes):
        raise DataError(f"{path}: not the encoder of the network that {DESCRIPTION} describes")
    return encoder


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
