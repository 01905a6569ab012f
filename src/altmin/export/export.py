"""What writes a trained network for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from altmin.errors import UnknownNameError, nearest
from altmin.export.answering import Answering
from altmin.export.card import card, markdown
from altmin.export.onnx_file import onnx_model
from altmin.files import replacing, write_json, write_tensors, write_text
from altmin.study.description import NetworkDescription
from altmin.study.saved_network import load, stored_tensors

CARD = "model_card"


def export(folder: str | Path, to: str = "onnx", out: str | Path | None = None, trust_code: bool = False) -> list[Path]:
    """Write the trained network of a run's folder for other programs, and a model card beside it.

    ``onnx`` writes ``model.onnx``: of samples ``x``, ``(N, d)``, the ``outputs`` ``(N, q)`` and ``probabilities`` of
    classes, or numbers ``predicted`` in the target's units. A network of a table has the table's columns as inputs
    ``(N, 1)`` in the place of ``x``: float64 for numbers (nan where there is none, 1 and 0 for true and false), texts
    without blanks around them for others (empty where there is none). ``torch`` writes ``model.pt2``, an exported
    program of PyTorch's for encoded samples, which ``torch.export.load(...).module()`` runs without this library.
    ``safetensors`` writes the weights, by the names that the ``nn.Sequential`` has for them.

    Args:
        folder: What ``altmin train`` wrote, or a method's folder of ``altmin compare``.
        to: ``onnx``, ``torch`` or ``safetensors``.
        out: The folder that is written to; `None` for ``export`` within `folder`.
        trust_code: Whether the code of a network of a user's file may run (`altmin.study.load`).

    Returns:
        The files: the network, then ``model_card.json`` and ``model_card.md``.

    Raises:
        UnknownNameError: Another format.
        DataError: A folder without a network or its results, or a column that ONNX cannot encode.
        ModuleNotFoundError: ``onnx`` needs packages that are not installed.
    """
    if to not in FORMATS:
        raise UnknownNameError(f"unknown `to` {to!r}; {nearest(to, list(FORMATS))}")
    folder = Path(folder)
    model, network = load(folder, trust_code)
    about = card(folder, network)
    target = folder / "export" if out is None else Path(out)
    target.mkdir(parents=True, exist_ok=True)
    name, write = FORMATS[to]
    write(model, network, target / name)
    write_json(target / f"{CARD}.json", about)
    write_text(target / f"{CARD}.md", markdown(about, [name]))
    return [target / name, target / f"{CARD}.json", target / f"{CARD}.md"]


def _onnx(model: nn.Sequential, network: NetworkDescription, path: Path) -> None:
    made = onnx_model(Answering(model, network), network)
    with replacing(path) as part:
        part.write_bytes(made.SerializeToString())


def _torch(model: nn.Sequential, network: NetworkDescription, path: Path) -> None:
    answering = Answering(model, network)
    shapes = ({0: torch.export.Dim.AUTO},)
    program = torch.export.export(answering, (answering.samples(),), dynamic_shapes=shapes)
    with replacing(path) as part, part.open("wb") as file:
        torch.export.save(program, file)


def _safetensors(model: nn.Sequential, network: NetworkDescription, path: Path) -> None:
    write_tensors(path, stored_tensors(model))


FORMATS: dict[str, tuple[str, Callable[[nn.Sequential, NetworkDescription, Path], None]]] = {
    "onnx": ("model.onnx", _onnx),
    "torch": ("model.pt2", _torch),
    "safetensors": ("model.safetensors", _safetensors),
}
"""What each format's file is called, and what writes it."""
