"""A trained network in a folder: its description as JSON, its weights as safetensors."""

from __future__ import annotations

from dataclasses import asdict, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from torch import Tensor, nn

from altmin.errors import DataError, UntrustedCodeError
from altmin.files import digest, read_json, write_json, write_tensors, write_text
from altmin.study.description import DESCRIPTION, MOST, NetworkDescription, Origin
from altmin.study.integrity import Seal, kinds, read_weights, require_finite, require_tensors
from altmin.study.model_source import ModelSource

if TYPE_CHECKING:
    from altmin.data import TableEncoder

WEIGHTS, SOURCE, ENCODER = "model.safetensors", "model.py", "encoder.json"
LARGEST_ENCODER = 2**27  # bytes: names of columns and categories may be long


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
    tensors = stored_tensors(model)
    write_tensors(folder / WEIGHTS, tensors)
    if isinstance(description.model, ModelSource):
        write_text(folder / SOURCE, description.model.text)
        values["model"] = f"{SOURCE}:{description.model.function}"
    values["run"] = description.run or new_run()
    seal = Seal(sha256={name: digest(folder / name) for name in _files(description)}, tensors=kinds(tensors))
    write_json(folder / DESCRIPTION, values | asdict(seal))


def stored_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Copies of a model's weights and buffers by name, on the CPU, as safetensors take them."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in model.state_dict().items()}


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
        found = [path for depth in ("*", "*/*") for path in folder.glob(f"{depth}/{DESCRIPTION}")]
        below = sorted(str(path.parent.relative_to(folder)) for path in found)
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
        from altmin.data import TableEncoder  # with pandas, which only tables need

        encoder = TableEncoder.from_json(read_json(path, LARGEST_ENCODER))
    except ValueError as error:
        raise DataError(f"{path}: not the encoder of a table ({error})") from error
    if (encoder.width, getattr(encoder.target, "classes", None)) != (prod(network.inputs), network.classes):
        raise DataError(f"{path}: not the encoder of the network that {DESCRIPTION} describes")
    return encoder


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
