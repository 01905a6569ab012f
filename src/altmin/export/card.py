"""The model card: what was trained, on what, how, how well, and what it was tested on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import altmin
from altmin.errors import DataError
from altmin.files import read_json
from altmin.methods.registry import METHODS
from altmin.study.description import NetworkDescription
from altmin.study.run_files import RESULTS
from altmin.study.summary import Spread
from altmin.train.history import flat

LARGEST = 2**26  # bytes of the results of a run
PARTS = "train", "validation", "test"
MEASURES = {"accuracy": "accuracy", "r2": "R^2", "rmse": "RMSE", "loss": "loss"}


def card(folder: Path, network: NetworkDescription) -> dict[str, Any]:
    """The card of the network in a run's folder, as JSON has it.

    Accuracies are of this network; where its run was one of several seeds, their mean and standard deviation stand
    beside it.

    Raises:
        DataError: The folder, and the one above it, have no results of the run.
    """
    run, others = _run(folder, network)
    entry = METHODS.get(run["method"])
    return {
        "network": {
            "model": network.name,
            "inputs": list(network.inputs),
            "outputs": network.outputs,
            "options": network.options,
            "dtype": network.dtype,
            "classes": None if network.classes is None else list(network.classes),
        },
        "data": {
            "name": network.data.name,
            "train_samples": run["train_samples"],
            "table": (network.data.table or {}).get("train"),
            "columns": None if network.encoder is None else list(network.encoder.about),
            "mean_subtracted": network.data.center,
            "test": "samples, or rows, of the same data set that training never saw",
        },
        "method": {
            "name": run["method"],
            "title": None if entry is None else entry.title,
            "paper": None if entry is None else entry.paper,
            "numbers": run["parameters"],
            "loss": run["loss"],
            "regularizer": run["regularizer"],
            "epochs": run["epochs"],
            "batch_size": run["batch_size"],
            "seed": run["seed"],
            "gradients": run["gradients"],
        },
        "measures": {name: _spread(name, run, others) for name in _measured(run)},
        "versions": run["versions"] | {"exported by altmin": altmin.__version__},
    }


def markdown(card: Mapping[str, Any], files: Sequence[str]) -> str:
    """The card as Markdown.

    Args:
        card: What `card` gave.
        files: The names of the exported files.
    """
    network, data, method = card["network"], card["data"], card["method"]
    parts = [
        f"# {network['model']} on {data['name']}, trained by {method['name']}",
        f"Files: {', '.join(f'`{name}`' for name in files)}.",
        _trained(network, data, method),
        "\n".join(_table(card["measures"])),
        f"Tested on {data['test']}; on other data nothing is known of it.",
    ]
    if data["mean_subtracted"]:
        parts.append("Samples have to be given less the mean of the training samples.")
    if network["classes"] is not None:
        parts.append(f"Classes, in the order of the probabilities: {', '.join(network['classes'])}.")
    if data["columns"] is not None:
        parts.append(_list("Columns", data["columns"]))
    parts.append(
        _list("Numbers of the method", (f"{name}: {value}" for name, value in flat(method["numbers"]).items()))
    )
    parts.append(f"Versions: {', '.join(f'{name} {version}' for name, version in card['versions'].items())}.")
    return "\n\n".join(parts) + "\n"


def _trained(network: Mapping[str, Any], data: Mapping[str, Any], method: Mapping[str, Any]) -> str:
    outputs = "a number" if network["classes"] is None else f"{len(network['classes'])} classes"
    name = method["title"] or method["name"]
    paper = f" ({method['paper']})" if method["paper"] else ""
    return (
        f"The network takes samples of shape {tuple(network['inputs'])}, flat, in {network['dtype']}, and tells "
        f"{outputs}. It was trained on {data['train_samples']:,} samples by {name}{paper}, with the loss "
        f"{method['loss']} and the regulariser {method['regularizer']}, in {method['epochs']} epochs, seed "
        f"{method['seed']}. In training: {method['gradients']}."
    )


def _table(measures: Mapping[str, Any]) -> Iterator[str]:
    yield "| measure | samples | value |\n|---|---|---|"
    for name, value in measures.items():
        part, _, measure = name.partition("_")
        yield f"| {MEASURES[measure]} | {part} | {_figure(value)} |"


def _list(heading: str, items: Iterable[str]) -> str:
    return f"{heading}:\n\n" + "\n".join(f"- {item}" for item in items)


def _run(folder: Path, network: NetworkDescription) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The results of the network's run, and those of the runs that differ from it by the seed alone."""
    for place in (folder, folder.parent, folder.parent.parent):
        if (place / RESULTS).is_file():
            runs = read_json(place / RESULTS, LARGEST)["runs"]
            own = [run for run in runs if run.get("run") == network.run]
            if own and "gradients" not in own[0]:
                raise DataError(f"{place / RESULTS} was written by an earlier version; train the network again")
            if own:
                return own[0], [run for run in runs if run["method"] == own[0]["method"] and run["status"] == "ok"]
    raise DataError(f"{folder}: no {RESULTS} here or above tells of the run that trained this network")


def _measured(run: Mapping[str, Any]) -> list[str]:
    """The names of the measures that a run has."""
    names = [f"{part}_{name}" for name in MEASURES for part in PARTS]
    return [name for name in names if run.get(name) is not None]


def _spread(name: str, run: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A measure of the run; of several seeds their mean and standard deviation."""
    spread = Spread.of(other.get(name) for other in others)
    return {"value": run[name]} | (asdict(spread) if spread is not None and spread.runs > 1 else {})


def _figure(value: Mapping[str, Any]) -> str:
    own = f"{value['value']:.4g}"
    if "mean" not in value:
        return own
    return f"{own} (of {value['runs']} seeds {value['mean']:.4g} ± {value['deviation']:.2g})"
