"""``altmin predict``."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jsonargparse import Namespace
from torch import nn

from altmin.cli.data import load_data, require_fit, require_writable
from altmin.cli.screen import Screen
from altmin.convert import problem_of, state_of
from altmin.core.forward import outputs
from altmin.data import TableEncoder
from altmin.data.table import check_format, read_table
from altmin.files import replacing
from altmin.study.description import NetworkDescription
from altmin.study.measures import Measures, measured
from altmin.study.prediction import class_frame, encoder_of, predict_rows
from altmin.study.saved_network import load
from altmin.train.place import check_device


@dataclass(frozen=True)
class Answer:
    """What a network says about some rows.

    Attributes:
        frame: Its predictions, a row for each.
        labels: What they should be, where there are labels.
        said: The result in words.
    """

    frame: pd.DataFrame
    labels: list | None
    said: str


def predict(options: Namespace) -> int:
    """Apply a trained network to a test set or to new rows of a table; the exit code."""
    screen, device = Screen(options.quiet), check_device(options.device)
    folder = Path(options.dir)
    if options.out is not None:
        if Path(options.out).is_dir():
            raise ValueError(f"--out {options.out}: this is a folder; name a file for the predictions")
        require_writable(Path(options.out).parent)
    model, network = load(folder, options.trust_model_code)
    of_table = network.data.name == "csv" and options.data in (None, "csv")
    answer = (_of_table if of_table else _of_data)(options, model.to(device), network, screen)
    screen.result(answer.said)
    if options.out is not None:
        write_predictions(answer, Path(options.out))
        screen.say(f"wrote {options.out}")
    return 0


def _of_data(options: Namespace, model: nn.Sequential, network: NetworkDescription, screen: Screen) -> Answer:
    """The test part of a data set that is no table."""
    if network.data.name != "csv" and (options.data == "csv" or any(vars(options.csv).values())):
        encoder_of(network, Path(options.dir))
    dataset, _ = load_data(options, network.dtype, screen, network.data)
    require_fit(Path(options.dir), network, dataset)
    problem, state = problem_of(model, network.loss), state_of(model)
    found = measured(problem, state, dataset.test, model)
    z = outputs(problem, state, dataset.test.x.to(next(model.parameters()).device)).cpu()
    classes = dataset.classes or ()  # none of the data sets by name is a regression
    labels = [classes[i] for i in dataset.test.y.tolist()]
    said = f"{dataset.name}, {len(labels):,} test samples: {quality(found)}"
    return Answer(class_frame(z, classes, network.loss).filter(["predicted"]), labels, said)


def _of_table(options: Namespace, model: nn.Sequential, network: NetworkDescription, screen: Screen) -> Answer:
    """New rows of a table, or the table that training tested on."""
    encoder, trained = encoder_of(network, Path(options.dir)), network.data.table or {}
    require_same_target(options, network, encoder)
    named = options.csv.test or trained.get("test")
    if named is None:
        raise ValueError("name the table with the rows to predict: --csv.test TABLE")
    delimiter, encoding = (options.csv[name] or trained.get(name) for name in ("delimiter", "encoding"))
    check_format(delimiter, encoding)
    table = read_table(Path(named).expanduser(), delimiter, encoding)
    found = predict_rows(model, network, encoder, table)
    for remark in found.remarks:
        screen.say(f"{table.title}: {remark}")
    return Answer(found.frame, found.labels, _said(found.measures, found.labelled, len(table), options.out is None))


def _said(measures: Measures | None, labelled: int, rows: int, lost: bool) -> str:
    """The result in words; a score only where there are labels."""
    if measures is None:
        return f"csv, {rows:,} rows without labels: no score" + ("; --out FILE writes predictions" if lost else "")
    without = f", {rows - labelled:,} more without labels" if labelled < rows else ""
    return f"csv, {labelled:,} test samples: {quality(measures)}{without}"


def quality(measures: Measures) -> str:
    """Measures in words."""
    if measures.accuracy is not None:
        return f"accuracy {measures.accuracy:.2%}"
    r2 = "undefined, since all targets are equal" if measures.r2 is None else f"{measures.r2:.4g}"
    return f"loss {measures.loss:.4g}, R^2 {r2}, RMSE {measures.rmse:.4g}"


def require_same_target(options: Namespace, network: NetworkDescription, encoder: TableEncoder) -> None:
    """A `ValueError` where another target is asked for than was learnt."""
    outputs = "numbers" if network.classes is None else f"{len(network.classes)} classes"
    says = f"the network in {options.dir} predicts {outputs}, the column {encoder.target.name!r}"
    if options.csv.target not in (None, encoder.target.name):
        raise ValueError(f"{says}, and not --csv.target {options.csv.target}")
    task = "regression" if network.classes is None else "classification"
    if options.task not in (None, task):
        raise ValueError(f"{says}, which is {task} and not --task {options.task}")


def write_predictions(answer: Answer, path: Path) -> None:
    """Write a row for each sample: its number from 0, what the network says, the label where there are any."""
    rest = [name for name in answer.frame if name != "predicted"]
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["index", "predicted", *(["label"] if answer.labels is not None else []), *rest])
        for i, (predicted, *values) in enumerate(answer.frame[["predicted", *rest]].itertuples(index=False, name=None)):
            writer.writerow([i, predicted, *([answer.labels[i]] if answer.labels is not None else []), *values])
